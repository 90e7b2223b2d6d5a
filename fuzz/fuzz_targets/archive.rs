//! Archives that `pkdgan data fetch` unpacks: nothing comes out but the files expected, whole.
//!
//! The first byte says how the rest becomes an archive, because mutations seldom find checksums again: 0 for a
//! gzip-packed archive as it is, 1 for a tar archive to be packed here, 2 for one whose headers also get checksums.
#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use pkdgan::unstable::data::fetch::unpack;
use pkdgan::unstable::data::{Check, Content, Packed, Packing};

/// Bytes of a record of CIFAR-10.
const RECORD: u64 = 3073;

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    let archive = match kind {
        0 => rest.to_vec(),
        1 => packed(rest),
        _ => packed(&with_checksums(rest.to_vec())),
    };
    let content = |name: &str| Content { name: name.into(), size: RECORD, check: Check::CifarLabels };
    let contents = vec![content("a.bin"), content("b.bin")];
    let published =
        Packed { name: "set.tar.gz".into(), packing: Packing::TarGzip("top".into()), md5: String::new(), contents };

    let around = pkdgan_fuzz::folder();
    let folder = around.path().join("set");
    std::fs::create_dir(&folder).expect("room for the archive");
    let part = folder.join("set.tar.gz.part");
    std::fs::write(&part, archive).expect("room for the archive");
    let unpacked = unpack(&part, "top", &published, &folder);

    let names = |folder| {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(around.path().to_owned()), ["set"]);
    match unpacked {
        Ok(()) => {
            assert_eq!(names(folder.clone()), ["top"]);
            let top = folder.join("top");
            assert_eq!(names(top.clone()), ["a.bin", "b.bin"]);
            for content in &published.contents {
                let file = top.join(&content.name).symlink_metadata().expect("a file");
                assert!(file.is_file() && file.len() == RECORD);
            }
        }
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{error}");
            assert_eq!(names(folder), ["set.tar.gz.part"]);
        }
    }
});

fn packed(tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(tar).expect("memory");
    encoder.finish().expect("memory")
}

/// Sets the checksum of each header, as far as their sizes lead from one to the next.
fn with_checksums(mut tar: Vec<u8>) -> Vec<u8> {
    let mut start = 0;
    while let Some(block) = tar.get_mut(start..start + 512) {
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
        let size = header.entry_size().unwrap_or(0).min(1 << 20) as usize;
        start += 512 + size.next_multiple_of(512);
    }
    tar
}
