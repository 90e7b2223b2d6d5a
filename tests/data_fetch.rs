//! Fetching: what arrives is whole and what was published, or an error; lines may break and servers may lie.

mod server;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use md5::Md5;
use pkdgan::data::DataError;
use pkdgan::unstable::data::fetch::{Arrival, FetchError, Pace, fetch, fetch_at};
use pkdgan::unstable::data::{Check, Content, Manifest, Packed, Packing, verify};
use server::{Reply, Server};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn gzip(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Contents that do not pack well.
fn contents() -> Vec<u8> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..40_000).map(next).collect()
}

/// The manifest of one gzip file.
fn manifest(packed: &[u8], contents: &[u8]) -> Manifest {
    let sum = Check::Sha256(hex(&Sha256::digest(contents)));
    let content = Content { name: "letters".into(), size: contents.len() as u64, check: sum };
    let file = Packed {
        name: "letters.gz".into(),
        packing: Packing::Gzip,
        md5: hex(&Md5::digest(packed)),
        contents: vec![content],
    };
    Manifest { address: String::new(), files: vec![file] }
}

/// A folder to fetch into, with nothing beside it.
struct Place {
    around: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { around: TempDir::new().unwrap() }
    }

    fn folder(&self) -> PathBuf {
        self.around.path().join("set")
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.folder()).unwrap();
        fs::write(self.folder().join(name), bytes).unwrap();
    }

    fn fetch(&self, manifest: &Manifest, server: &Server) -> Result<Arrival, FetchError> {
        let manifest = Manifest { address: server.address(), ..manifest.clone() };
        let outcome = fetch(&manifest, &self.folder(), &mut |_| {});
        if let Err(error) = &outcome {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        outcome.map(|arrivals| arrivals[0].1)
    }

    /// The files fetched; nothing may ever lie beside the folder.
    fn list(&self) -> Vec<String> {
        let names = |folder: PathBuf| {
            let entries = fs::read_dir(folder).into_iter().flatten();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names.retain(|name| name != ".lock");
            names
        };
        assert_eq!(names(self.around.path().to_owned()), ["set"]);
        names(self.folder())
    }
}

#[test]
fn a_good_file_is_put_in_place_once() {
    let (place, bytes) = (Place::new(), contents());
    let packed = gzip(&bytes, 6);
    let manifest = manifest(&packed, &bytes);
    let file = packed.clone();
    let server = Server::start(move |_, request| {
        assert_eq!(request.path, "letters.gz");
        Reply::part(&file, request)
    });
    assert_eq!(place.fetch(&manifest, &server).unwrap(), Arrival::Published);
    assert_eq!(place.list(), ["letters.gz"]);
    assert_eq!(fs::read(place.folder().join("letters.gz")).unwrap(), packed);
    assert!(verify(&manifest, &place.folder()).iter().all(|file| file.outcome.is_ok()));

    assert_eq!(place.fetch(&manifest, &server).unwrap(), Arrival::Present);
    assert_eq!(server.ranges(), [None]);

    place.put("letters.gz", &packed[..1_000]);
    assert_eq!(place.fetch(&manifest, &server).unwrap(), Arrival::Published);
    assert_eq!(server.ranges(), [None, None]);
}

#[test]
fn progress_counts_the_bytes() {
    let (place, bytes) = (Place::new(), contents());
    let packed = gzip(&bytes, 6);
    let (file, length) = (packed.clone(), packed.len() as u64);
    let server = Server::start(move |_, request| Reply::part(&file, request));
    let manifest = Manifest { address: server.address(), ..manifest(&packed, &bytes) };
    let mut last = 0;
    let mut report = |progress: pkdgan::unstable::data::fetch::Progress| {
        assert!(progress.done > last && progress.total == Some(length) && progress.file == "letters.gz");
        last = progress.done;
    };
    fetch(&manifest, &place.folder(), &mut report).unwrap();
    assert_eq!(last, length);
}

#[test]
fn a_cut_connection_is_gone_on_with() {
    let (place, bytes) = (Place::new(), contents());
    let packed = gzip(&bytes, 6);
    let manifest = manifest(&packed, &bytes);
    let server = Server::start(move |number, request| {
        let reply = Reply::part(&packed, request);
        if number < 2 { reply.cut(15_000) } else { reply }
    });
    assert_eq!(place.fetch(&manifest, &server).unwrap(), Arrival::Published);
    assert_eq!(server.ranges(), [None, Some(15_000), Some(30_000)]);
    assert_eq!(place.list(), ["letters.gz"]);
}

#[test]
fn a_line_that_stays_bad_leaves_a_part_for_the_next_call() {
    let (place, bytes) = (Place::new(), contents());
    let packed = gzip(&bytes, 6);
    let manifest = manifest(&packed, &bytes);
    let server = Server::start(move |number, request| {
        let reply = Reply::part(&packed, request);
        if number < 5 { reply.cut(5_000) } else { reply }
    });
    let error = place.fetch(&manifest, &server).unwrap_err();
    assert!(matches!(error, FetchError::Connection { received: 25_000, .. }), "{error}");
    assert_eq!(place.list(), ["letters.gz.part"]);
    assert_eq!(place.fetch(&manifest, &server).unwrap(), Arrival::Published);
    assert_eq!(server.ranges().last(), Some(&Some(25_000)));
}

#[test]
fn what_cannot_be_gone_on_with_is_begun_anew() {
    let bytes = contents();
    let packed = gzip(&bytes, 6);
    let manifest = manifest(&packed, &bytes);

    let (place, file) = (Place::new(), packed.clone());
    place.put("letters.gz.part", b"of another file");
    let ignores_ranges = Server::start(move |_, _| Reply::whole(&file));
    assert_eq!(place.fetch(&manifest, &ignores_ranges).unwrap(), Arrival::Published);
    assert_eq!(ignores_ranges.ranges(), [Some(15)]);

    let (place, file) = (Place::new(), packed.clone());
    place.put("letters.gz.part", &vec![0; packed.len() + 1]);
    let refuses_range = Server::start(move |_, request| Reply::part(&file, request));
    assert_eq!(place.fetch(&manifest, &refuses_range).unwrap(), Arrival::Published);
    assert_eq!(refuses_range.ranges(), [Some(packed.len() + 1), None]);

    let (place, file) = (Place::new(), packed.clone());
    place.put("letters.gz.part", b"of another file");
    let server = Server::start(move |_, request| Reply::part(&file, request));
    assert_eq!(place.fetch(&manifest, &server).unwrap(), Arrival::Published);
    assert_eq!(server.ranges(), [Some(15), None], "the sums tell that the part was of another file");

    let (place, file) = (Place::new(), packed.clone());
    place.put("letters.gz.part", &packed[..100]);
    let other_range = Server::start(move |_, request| {
        let mut reply = Reply::part(&file, request);
        reply.headers.retain(|header| !header.starts_with("Content-Range"));
        reply
    });
    assert_eq!(place.fetch(&manifest, &other_range).unwrap(), Arrival::Published);
    assert_eq!(other_range.ranges(), [Some(100), None]);
}

#[test]
fn another_packing_of_the_same_contents_is_accepted() {
    let (place, bytes) = (Place::new(), contents());
    let manifest = manifest(&gzip(&bytes, 6), &bytes);
    let other = gzip(&bytes, 0);
    let server = Server::start(move |_, request| Reply::part(&other, request));
    assert_eq!(place.fetch(&manifest, &server).unwrap(), Arrival::Repacked);
    assert_eq!(place.list(), ["letters.gz"]);
}

#[test]
fn wrong_bytes_are_refused() {
    let bytes = contents();
    let packed = gzip(&bytes, 6);
    let mut other = bytes.clone();
    other[20_000] ^= 1;
    for served in [gzip(&other, 6), b"<html>sign in here</html>".to_vec(), packed[..1_000].to_vec(), Vec::new()] {
        let place = Place::new();
        let server = Server::start(move |_, request| Reply::part(&served, request));
        let error = place.fetch(&manifest(&packed, &bytes), &server).unwrap_err();
        assert!(matches!(error, FetchError::Unpublished { .. }), "{error}");
        assert!(place.list().is_empty(), "{:?}", place.list());
    }
    // A file that is right but for its contents.
    for (served, wanted) in [(&bytes, &bytes[..39_999]), (&bytes, &[&bytes[..], &[0]].concat()), (&other, &bytes)] {
        let (place, packed) = (Place::new(), gzip(served, 6));
        let manifest = manifest(&packed, wanted);
        let server = Server::start(move |_, request| Reply::part(&packed, request));
        let error = place.fetch(&manifest, &server).unwrap_err();
        let FetchError::Contents(error) = error else { panic!("{error}") };
        match wanted.len() {
            39_999 => assert!(matches!(error, DataError::Trailing { offset: 39_999, .. }), "{error}"),
            40_000 => assert!(matches!(error, DataError::Checksum { .. }), "{error}"),
            _ => assert!(matches!(error, DataError::Truncated { offset: 40_000, expected: 40_001, .. }), "{error}"),
        }
        assert!(place.list().is_empty(), "{:?}", place.list());
    }
}

#[test]
fn more_bytes_than_can_be_are_refused() {
    let bytes = contents();
    let packed = gzip(&bytes, 6);
    let claims = |_: usize, _: &server::Request| Reply {
        headers: vec!["Content-Length: 99999999999999".into()],
        ..Reply::whole(&[])
    };
    let goes_on = |_: usize, _: &server::Request| Reply { headers: vec![], ..Reply::whole(&vec![7; 3 << 20]) };
    for server in [Server::start(claims), Server::start(goes_on)] {
        let place = Place::new();
        let error = place.fetch(&manifest(&packed, &bytes), &server).unwrap_err();
        assert!(matches!(error, FetchError::TooLong { .. }), "{error}");
        assert!(place.list().is_empty(), "{:?}", place.list());
    }
}

#[test]
fn refusals_of_the_server_are_said() {
    let bytes = contents();
    let manifest = manifest(&gzip(&bytes, 6), &bytes);
    for (status, requests) in [(404, 1), (403, 1), (503, 5)] {
        let place = Place::new();
        let server = Server::start(move |_, _| Reply::status(status));
        let error = place.fetch(&manifest, &server).unwrap_err();
        assert!(matches!(error, FetchError::Status { status: said, .. } if said == status), "{error}");
        assert_eq!(server.ranges().len(), requests);
        assert!(place.list().is_empty());
    }
    let nobody = Server::start(|_, _| Reply::status(404)).address();
    for (address, attempted) in [(nobody.as_str(), true), ("ftp://host/", false), ("file:///etc/passwd", false)] {
        let place = Place::new();
        let manifest = Manifest { address: address.into(), ..manifest.clone() };
        let error = fetch(&manifest, &place.folder(), &mut |_| {}).unwrap_err();
        assert_eq!(matches!(error, FetchError::Connection { .. }), attempted, "{error}");
        assert_eq!(matches!(error, FetchError::Address { .. }), !attempted, "{error}");
    }
}

#[test]
fn a_file_that_drips_is_given_up() {
    let bytes = contents();
    let packed = gzip(&bytes, 6);
    let manifest = manifest(&packed, &bytes);
    let usual = Pace::default();
    for (pace, part) in [
        (Pace { bytes: 10_000, window: Duration::from_millis(300), ..usual }, "too slow after "),
        (Pace { total: Duration::from_millis(300), ..usual }, "not done after 0 s"),
    ] {
        let (place, file) = (Place::new(), packed.clone());
        let drip = Some(Duration::from_millis(5));
        let server = Server::start(move |_, request| Reply { pause: drip, ..Reply::part(&file, request) });
        let manifest = Manifest { address: server.address(), ..manifest.clone() };
        let started = Instant::now();
        let error = fetch_at(pace, &manifest, &place.folder(), &mut |_| {}).unwrap_err();
        assert!(matches!(error, FetchError::Slow { received: 1.., .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
        // The whole file would take minutes.
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        assert_eq!(place.list(), ["letters.gz.part"]);
    }
}

#[test]
fn redirects_are_followed_where_they_may_lead() {
    let bytes = contents();
    let packed = gzip(&bytes, 6);
    let manifest = manifest(&packed, &bytes);
    let leads = |to: String| Reply {
        headers: vec![format!("Location: {to}"), "Content-Length: 0".into()],
        ..Reply::status(302)
    };

    let (place, file) = (Place::new(), packed.clone());
    let server = Server::start(move |number, request| match number {
        0 => leads("/elsewhere/it".into()),
        1 => leads("there".into()),
        _ => {
            assert_eq!(request.path, "elsewhere/there");
            Reply::part(&file, request)
        }
    });
    assert_eq!(place.fetch(&manifest, &server).unwrap(), Arrival::Published);

    for to in ["file:///etc/passwd", "ftp://host/x", "javascript:x"] {
        let place = Place::new();
        let server = Server::start(move |_, _| leads(to.into()));
        let error = place.fetch(&manifest, &server).unwrap_err();
        assert!(matches!(&error, FetchError::Redirect { to: said, .. } if said == to), "{error}");
        assert!(error.to_string().contains(&format!("leads to {to}, which is not followed")), "{error}");
        assert!(place.list().is_empty());
    }
    let place = Place::new();
    let server = Server::start(move |number, _| leads(format!("/{number}")));
    let error = place.fetch(&manifest, &server).unwrap_err();
    assert!(matches!(error, FetchError::Redirects { .. }), "{error}");
    assert!(server.ranges().len() < 10);
}

#[test]
fn names_and_passwords_go_to_their_server_and_nowhere_else() {
    let bytes = contents();
    let packed = gzip(&bytes, 6);
    let manifest = manifest(&packed, &bytes);
    let with_secret = |server: &Server| server.address().replace("http://", "http://me:s%65cret@");

    let (place, file) = (Place::new(), packed.clone());
    let server = Server::start(move |_, request| match request.authorization.as_deref() {
        // The Base64 of `me:secret`.
        Some("Basic bWU6c2VjcmV0") => Reply::part(&file, request),
        _ => Reply::status(401),
    });
    let to_server = Manifest { address: with_secret(&server), ..manifest.clone() };
    fetch(&to_server, &place.folder(), &mut |_| {}).unwrap();

    // Another server is not told.
    let other = Server::start(|_, request| Reply::status(if request.authorization.is_none() { 404 } else { 200 }));
    let address = other.address();
    let location = format!("Location: {address}x");
    let leads = Server::start(move |_, _| Reply { headers: vec![location.clone()], ..Reply::status(302) });
    let refused = Server::start(|_, _| Reply::status(404));
    let cut = Server::start(|_, _| Reply::whole(&[7; 100]).cut(10));
    let nobody = Server::start(|_, _| Reply::status(404)).address().replace("http://", "http://me:s%65cret@");
    let addresses = [with_secret(&leads), with_secret(&refused), with_secret(&cut), nobody, "me:s%65cret@host".into()];
    for address in addresses {
        let place = Place::new();
        let manifest = Manifest { address: address.clone(), ..manifest.clone() };
        let error = fetch(&manifest, &place.folder(), &mut |_| {}).unwrap_err();
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("cret"), "{text}");
        }
    }
    assert_eq!(other.ranges().len(), 1);
}

#[test]
fn two_at_once_do_not_share_a_partial_file() {
    let contents = contents();
    let packed = gzip(&contents, 6);
    let manifest = manifest(&packed, &contents);
    let place = Place::new();
    place.put("letters.gz.part", &packed[..1_000]);
    let lock = fs::File::create(place.folder().join(".lock")).unwrap();
    lock.lock().unwrap();
    let server = Server::start(move |_, request| Reply::part(&packed, request));
    let error = place.fetch(&manifest, &server).unwrap_err();
    assert!(matches!(&error, FetchError::InUse { folder } if *folder == place.folder()), "{error}");
    assert_eq!(fs::metadata(place.folder().join("letters.gz.part")).unwrap().len(), 1_000);
    // The lock goes with who holds it.
    drop(lock);
    assert_eq!(place.fetch(&manifest, &server).unwrap(), Arrival::Published);
    assert_eq!(place.list(), ["letters.gz"]);
}

#[cfg(unix)]
#[test]
fn links_in_the_folder_are_not_followed() {
    use std::os::unix::fs::symlink;
    let (place, bytes) = (Place::new(), contents());
    let packed = gzip(&bytes, 6);
    let manifest = manifest(&packed, &bytes);
    let file = packed.clone();
    let server = Server::start(move |_, request| Reply::part(&file, request));
    let elsewhere = TempDir::new().unwrap();
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    place.put("old", b"");
    symlink(&victim, place.folder().join(".lock")).unwrap();
    let error = place.fetch(&manifest, &server).unwrap_err().to_string();
    assert!(error.contains(".lock: cannot be written: it is a symbolic link"), "{error}");
    fs::remove_file(place.folder().join(".lock")).unwrap();
    // A partial file is gone on with, but not where somebody else has it.
    symlink(&victim, place.folder().join("letters.gz.part")).unwrap();
    assert_eq!(place.fetch(&manifest, &server).unwrap(), Arrival::Published);
    assert_eq!(server.ranges(), [None]);
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert!(!place.folder().join("letters.gz").is_symlink());
}

#[test]
fn what_a_killed_process_was_unpacking_goes() {
    let (place, bytes) = (Place::new(), contents());
    let packed = gzip(&bytes, 6);
    let manifest = manifest(&packed, &bytes);
    let file = packed.clone();
    let server = Server::start(move |_, request| Reply::part(&file, request));
    fs::create_dir_all(place.folder().join(".partial-abc/top")).unwrap();
    place.put(".partial-abc/top/a.bin", b"half");
    place.put(".partial-def", b"half");
    place.fetch(&manifest, &server).unwrap();
    assert_eq!(place.list(), ["letters.gz"]);
}
