//! A file's header cannot make the reader ask for memory: an allocator that keeps the largest request watches.

mod server;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use md5::{Digest, Md5};
use pkdgan::data::fetch::{EntryFault, FetchError, fetch};
use pkdgan::data::{Check, Content, DataError, Manifest, Packed, Packing, read_idx, read_picture};
use pkdgan::model::ModelFile;
use pkdgan::train::Checkpoint;
use pkdgan::weights::Weights;
use server::{Reply, Server};

struct Watched;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

#[test]
fn small_files_that_claim_much_get_little() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("small");

    let claims = |dims: [u32; 3]| {
        let mut bytes = vec![0, 0, 8, 3];
        bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
        bytes.extend([5; 100]);
        bytes
    };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&claims([1 << 31, 1, 1])).unwrap();
    for bytes in [claims([1 << 31, 1, 1]), encoder.finish().unwrap()] {
        std::fs::write(&path, bytes).unwrap();
        let error = read_idx::<3>(&path).unwrap_err();
        assert!(matches!(error, DataError::Truncated { offset: 116, expected: 0x8000_0010, .. }), "{error}");
    }
    std::fs::write(&path, claims([1 << 16, 1 << 16, 1])).unwrap();
    assert!(matches!(read_idx::<3>(&path), Err(DataError::TooLarge { .. })));

    let header = br#"{"a":{"dtype":"F32","shape":[1073741824],"data_offsets":[0,4294967296]}}"#;
    for length in [header.len() as u64, 99_999_999, u64::MAX] {
        std::fs::write(&path, [&length.to_le_bytes()[..], header].concat()).unwrap();
        Weights::read(&path).unwrap_err();
        ModelFile::read(&path).unwrap_err();
        Checkpoint::read(&path).unwrap_err();
    }

    for (name, picture) in [("png", png(19_000, 15_000)), ("bmp", bmp(19_000, 15_000)), ("jpg", jpeg(19_000, 15_000))] {
        std::fs::write(&path, picture).unwrap();
        let error = read_picture(&path).unwrap_err().to_string();
        assert!(error.contains("19000 x 15000 pixels"), "{name}: {error}");
    }

    an_archive_is_refused(1 << 40);

    let largest = LARGEST.load(Ordering::Relaxed);
    assert!((100..1 << 20).contains(&largest), "{largest} bytes were asked for at once");
}

/// Fetches an archive of one entry that claims so many bytes.
fn an_archive_is_refused(size: u64) {
    let mut header = tar::Header::new_gnu();
    header.set_path("top/a.bin").unwrap();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_cksum();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(header.as_bytes()).unwrap();
    let archive = encoder.finish().unwrap();
    assert!(archive.len() < 200);
    let packed = Packed {
        name: "set.tar.gz".into(),
        packing: Packing::TarGzip("top".into()),
        md5: Md5::digest(&archive).iter().map(|byte| format!("{byte:02x}")).collect(),
        contents: vec![Content { name: "a.bin".into(), size: 3073, check: Check::CifarLabels }],
    };
    let server = Server::start(move |_, request| Reply::part(&archive, request));
    let manifest = Manifest { address: server.address(), files: vec![packed] };
    let folder = tempfile::TempDir::new().unwrap();
    let error = fetch(&manifest, folder.path(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, FetchError::Entry { fault: EntryFault::Size(said), .. } if said == size), "{error}");
}

/// The header of a grey picture, and hardly more.
fn png(width: u32, height: u32) -> Vec<u8> {
    let chunk = |kind: &[u8], data: &[u8]| {
        let mut sum = Crc::new();
        sum.update(kind);
        sum.update(data);
        [&(data.len() as u32).to_be_bytes(), kind, data, &sum.sum().to_be_bytes()].concat()
    };
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &chunk(b"IDAT", &[0x78, 0x9c])].concat()
}

/// Likewise in 24 bits a pixel.
fn bmp(width: u32, height: u32) -> Vec<u8> {
    let mut info = [&40u32.to_le_bytes()[..], &width.to_le_bytes(), &height.to_le_bytes(), &[1, 0, 24, 0]].concat();
    info.resize(40, 0);
    [&b"BM"[..], &54u32.to_le_bytes(), &[0; 4], &54u32.to_le_bytes(), &info, &[0; 30]].concat()
}

/// Likewise, a frame of one component.
fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let frame = [&[0xff, 0xc0, 0, 11, 8][..], &height.to_be_bytes(), &width.to_be_bytes(), &[1, 1, 0x11, 0]].concat();
    let table = [&[0xff, 0xdb, 0, 67, 0][..], &[1; 64]].concat();
    [&[0xff, 0xd8][..], &table, &frame, &[0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0xff, 0xd9]].concat()
}
