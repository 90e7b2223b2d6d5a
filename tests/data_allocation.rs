//! A file's header cannot make the reader ask for memory: an allocator that keeps the largest request watches.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use pkdgan::data::{DataError, read_idx};
use pkdgan::weights::Weights;

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
    }

    let largest = LARGEST.load(Ordering::Relaxed);
    assert!((100..1 << 20).contains(&largest), "{largest} bytes were asked for at once");
}
