//! Archives: the published files come out; nothing else is written anywhere, whatever an archive says.

mod server;

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use pkdgan::data::DataError;
use pkdgan::unstable::data::fetch::{Arrival, EntryFault, FetchError, fetch};
use pkdgan::unstable::data::{Check, Content, Manifest, Packed, Packing, verify};
use server::{Reply, Server};
use tar::{EntryType, Header};
use tempfile::TempDir;

/// Bytes of a record of CIFAR-10.
const RECORD: usize = 3073;

fn records(labels: &[u8]) -> Vec<u8> {
    let record = |&label: &u8| [vec![label], vec![label * 20; RECORD - 1]].concat();
    labels.iter().flat_map(record).collect()
}

/// An entry as it stands in an archive, with a header that may lie.
fn entry(name: &str, kind: EntryType, size: u64, data: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..4].copy_from_slice(b"/tmp");
    header.set_mode(0o644);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    let padding = vec![0; data.len().next_multiple_of(512) - data.len()];
    [header.as_bytes(), data, &padding].concat()
}

fn file(name: &str, data: &[u8]) -> Vec<u8> {
    entry(name, EntryType::Regular, data.len() as u64, data)
}

fn good() -> Vec<Vec<u8>> {
    vec![
        entry("top/", EntryType::Directory, 0, &[]),
        file("top/a.bin", &records(&[3, 9])),
        file("top/readme.html", b"not wanted"),
        file("top/b.bin", &records(&[0])),
    ]
}

fn pack(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&[entries.concat(), vec![0; 1024]].concat()).unwrap();
    encoder.finish().unwrap()
}

fn manifest(archive: &[u8], address: String) -> Manifest {
    let content =
        |name: &str, count| Content { name: name.into(), size: (count * RECORD) as u64, check: Check::CifarLabels };
    let packed = Packed {
        name: "set.tar.gz".into(),
        packing: Packing::TarGzip("top".into()),
        md5: Md5::digest(archive).iter().map(|byte| format!("{byte:02x}")).collect(),
        contents: vec![content("a.bin", 2), content("b.bin", 1)],
    };
    Manifest { address, files: vec![packed] }
}

/// What is in a folder, but for the lock of whoever fetches.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != ".lock");
    names.sort();
    names
}

/// Fetches an archive that must be refused, and sees that nothing is left of it.
fn refused(archive: Vec<u8>) -> FetchError {
    let around = TempDir::new().unwrap();
    let folder = around.path().join("in/side");
    let served = archive.clone();
    let server = Server::start(move |_, request| Reply::part(&served, request));
    let error = fetch(&manifest(&archive, server.address()), &folder, &mut |_| {}).unwrap_err();
    assert!(!error.to_string().contains('\n'), "{error}");
    assert_eq!(names(around.path()), ["in"], "{error}");
    assert_eq!(names(&around.path().join("in")), ["side"], "{error}");
    assert!(names(&folder).is_empty(), "{error}: {:?}", names(&folder));
    error
}

/// The good archive with one more entry.
fn with(extra: Vec<u8>) -> Vec<u8> {
    pack(&[good(), vec![extra]].concat())
}

#[test]
fn the_published_files_come_out() {
    let around = TempDir::new().unwrap();
    let folder = around.path().join("set");
    // What is there and is wrong, gives way.
    fs::create_dir_all(folder.join("top")).unwrap();
    fs::write(folder.join("top/a.bin"), b"cut short").unwrap();
    let archive = pack(&good());
    let served = archive.clone();
    let server = Server::start(move |_, request| Reply::part(&served, request));
    let manifest = manifest(&archive, server.address());
    let arrived = |arrival| vec![("set.tar.gz".to_owned(), arrival)];
    assert_eq!(fetch(&manifest, &folder, &mut |_| {}).unwrap(), arrived(Arrival::Published));
    assert_eq!(names(&folder), ["top"]);
    assert_eq!(names(&folder.join("top")), ["a.bin", "b.bin"]);
    assert_eq!(fs::read(folder.join("top/a.bin")).unwrap(), records(&[3, 9]));
    assert_eq!(fetch(&manifest, &folder, &mut |_| {}).unwrap(), arrived(Arrival::Present));
    assert_eq!(server.ranges().len(), 1);

    let faults = || verify(&manifest, &folder).into_iter().filter_map(|file| file.outcome.err()).collect::<Vec<_>>();
    assert!(faults().is_empty());
    fs::write(folder.join("top/a.bin"), records(&[3, 10])).unwrap();
    assert!(matches!(faults()[..], [DataError::Label { index: 1, offset: 3073, label: 10, .. }]));
    fs::write(folder.join("top/a.bin"), records(&[3])).unwrap();
    assert!(matches!(faults()[..], [DataError::Truncated { offset: 3073, expected: 6146, .. }]));
    fs::write(folder.join("top/a.bin"), records(&[3, 4, 5])).unwrap();
    assert!(matches!(faults()[..], [DataError::Trailing { offset: 6146, .. }]));
}

#[test]
fn entries_outside_the_folder_are_refused() {
    for name in [
        "../evil.bin",
        "top/../../evil.bin",
        "top/..",
        "top/./a.bin",
        "top//etc/a.bin",
        "/tmp/evil.bin",
        "/top/a.bin",
        "top/sub/a.bin",
        "topper/a.bin",
        "top\\..\\evil.bin",
        "top/..\\evil.bin",
        "a.bin",
        "top/",
        "",
    ] {
        let error = refused(with(file(name, b"evil")));
        assert!(matches!(error, FetchError::Entry { fault: EntryFault::Outside, .. }), "{name}: {error}");
    }
    let error = refused(with(entry("top/sub", EntryType::Directory, 0, &[])));
    assert!(matches!(error, FetchError::Entry { fault: EntryFault::Outside, .. }), "{error}");
}

#[test]
fn entries_that_are_no_files_are_refused() {
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Fifo, EntryType::Char, EntryType::GNUSparse] {
        for name in ["top/a.bin", "top", "top/other"] {
            let error = refused(pack(&[vec![entry(name, kind, 0, &[])], good()].concat()));
            assert!(matches!(error, FetchError::Entry { fault: EntryFault::Kind, .. }), "{kind:?} {name}: {error}");
        }
    }
}

#[test]
fn lengths_are_those_published() {
    let huge = 1 << 50;
    for (name, size) in [("top/a.bin", huge), ("top/other", huge), ("top/a.bin", 5), ("top", huge)] {
        let kind = if name == "top" { EntryType::Directory } else { EntryType::Regular };
        let error = refused(pack(&[entry(name, kind, size, b"short")]));
        assert!(matches!(error, FetchError::Entry { fault: EntryFault::Size(said), .. } if said == size), "{error}");
    }
    // Contents that pack to nothing: the archive is longer than it can be.
    let blown_up = (0..20).map(|number| file(&format!("top/{number}"), &vec![0; 1 << 19])).collect::<Vec<_>>();
    let error = refused(pack(&blown_up));
    assert!(matches!(error, FetchError::Archive { .. }), "{error}");
    let many = (0..100).map(|number| file(&format!("top/{number}"), &[])).collect::<Vec<_>>();
    let error = refused(pack(&[good(), many].concat()));
    assert!(matches!(error, FetchError::TooManyEntries { limit: 64, .. }), "{error}");
}

#[test]
fn every_file_comes_once_and_is_right() {
    let error = refused(with(file("top/b.bin", &records(&[1]))));
    assert!(matches!(error, FetchError::Entry { fault: EntryFault::Twice, .. }), "{error}");
    let error = refused(pack(&good()[..3]));
    assert!(matches!(error, FetchError::Entry { fault: EntryFault::Missing, ref entry, .. } if entry == "top/b.bin"));
    let mut archive = good();
    archive[3] = file("top/b.bin", &records(&[11]));
    let error = refused(pack(&archive));
    assert!(matches!(error, FetchError::Contents(DataError::Label { label: 11, offset: 0, .. })), "{error}");
}

#[test]
fn damaged_archives_are_refused() {
    let whole = pack(&good());
    let mut flipped = good();
    flipped[1][3] ^= 1;
    // A length that is no number, but would clear a terminal where a message quotes it.
    let mut hostile = Header::new_gnu();
    hostile.as_old_mut().name[..5].copy_from_slice(b"top/a");
    hostile.as_old_mut().size = *b"7\n\x1b[2J\x1b[31m0";
    hostile.set_cksum();
    let hostile = pack(&[hostile.as_bytes().to_vec()]);
    for archive in [b"no gzip at all".to_vec(), whole[..whole.len() / 2].to_vec(), pack(&flipped), hostile] {
        let error = refused(archive);
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
        assert!(matches!(error, FetchError::Archive { .. }), "{error}");
    }
}
