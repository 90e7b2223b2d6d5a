//! A file's header cannot make the reader ask for memory, and a large picture gets no more than it honestly needs: an
//! allocator that keeps the largest request, and the most that was held at once, watches.

mod server;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::io::{Cursor, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use image::{DynamicImage, ExtendedColorType, GrayImage, ImageEncoder, ImageFormat, RgbImage, RgbaImage};
use md5::{Digest, Md5};
use pkdgan::data::{DataError, Fit, Preprocessing, Range};
use pkdgan::model::ModelFile;
use pkdgan::unstable::data::fetch::{EntryFault, FetchError, fetch};
use pkdgan::unstable::data::{
    Check, Content, ImageFile, Manifest, MemoryBudget, Packed, Packing, PreprocessingInternals, read_idx, read_picture,
    read_pixels,
};
use pkdgan::unstable::train::Checkpoint;
use pkdgan::unstable::weights::Weights;
use rayon::prelude::*;
use server::{Reply, Server};

struct Watched;

static LARGEST: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);
static MAX_HELD: AtomicUsize = AtomicUsize::new(0);
/// One test at a time has the figures.
static WATCHING: Mutex<()> = Mutex::new(());

/// How many read at once.
const THREADS: usize = 4;

fn given(size: usize) {
    LARGEST.fetch_max(size, Ordering::Relaxed);
    MAX_HELD.fetch_max(HELD.fetch_add(size, Ordering::Relaxed) + size, Ordering::Relaxed);
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        given(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        given(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        given(size);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

#[test]
fn small_files_that_claim_much_get_little() {
    let _alone = WATCHING.lock().unwrap();
    LARGEST.store(0, Ordering::Relaxed);
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

    // A lossy WebP takes some bits for each block of pixels.
    let frame =
        [&[0x10, 0, 0, 0x9d, 1, 0x2a][..], &10_249_u16.to_le_bytes(), &10_408_u16.to_le_bytes(), &[7; 80]].concat();
    let chunk = [&b"WEBPVP8 "[..], &(frame.len() as u32).to_le_bytes(), &frame].concat();
    std::fs::write(&path, [&b"RIFF"[..], &(chunk.len() as u32).to_le_bytes(), &chunk].concat()).unwrap();
    let error = read_picture(&path).unwrap_err().to_string();
    assert!(error.contains("cut short"), "{error}");

    // A second frame, behind the pixels.
    for picture in [DynamicImage::new_luma8(8, 8), DynamicImage::new_rgb8(8, 8)] {
        let mut twice = Vec::new();
        picture.write_to(&mut Cursor::new(&mut twice), ImageFormat::Jpeg).unwrap();
        twice.truncate(twice.len() - 2);
        twice.extend([0xff, 0xc2, 0, 11, 8, 0xff, 0xf0, 0xff, 0xf0, 1, 1, 0x11, 0, 0xff, 0xd9]);
        std::fs::write(&path, twice).unwrap();
        let error = read_picture(&path).unwrap_err().to_string();
        assert!(error.contains("damaged: "), "{error}");
    }

    an_archive_is_refused(1 << 40);

    let largest = LARGEST.load(Ordering::Relaxed);
    assert!((100..1 << 20).contains(&largest), "{largest} bytes were asked for at once");
}

/// How many images a file of many gives, errors among them, of the first so many.
fn given_by(path: &Path, most: usize) -> usize {
    let mut count = 0;
    if let Ok(Some(images)) = ImageFile::open(path) {
        let _ = images.each(&mut |_, _| {
            count += 1;
            if count < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
    }
    count
}

/// Reads copies of a file at `path`, each with one byte changed: those at `first` and every so many behind it.
fn change_each_byte(bytes: &[u8], path: &Path, first: usize) {
    std::fs::write(path, bytes).unwrap();
    let mut file = File::options().write(true).open(path).unwrap();
    let mut put = |place: usize, value: u8| {
        file.seek(SeekFrom::Start(place as u64)).unwrap();
        file.write_all(&[value]).unwrap();
    };
    for place in (first..bytes.len()).step_by(THREADS) {
        for value in [0x7f, 0xff] {
            put(place, value);
            given_by(path, 100);
        }
        put(place, bytes[place]);
    }
}

/// A header of a `.npy` file.
fn npy(shape: &str) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}");
    [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat()
}

#[test]
fn files_of_many_images_get_what_they_hold() {
    let _alone = WATCHING.lock().unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("small");
    // A Zstandard frame may ask for a window of 8 MiB, whatever it holds.
    let most = |name: &str| if name.contains("zstd") { 9 << 20 } else { 2 << 20 };
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/image_files");
    let mut files = 0;
    for entry in std::fs::read_dir(fixtures).unwrap() {
        let fixture = entry.unwrap().path();
        let name = fixture.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&fixture).unwrap();
        files += 1;
        LARGEST.store(0, Ordering::Relaxed);
        std::thread::scope(|scope| {
            for first in 0..THREADS {
                let (bytes, path) = (&bytes, folder.path().join(first.to_string()));
                scope.spawn(move || change_each_byte(bytes, &path, first));
            }
        });
        let largest = LARGEST.load(Ordering::Relaxed);
        assert!(largest < most(&name), "{name}: {largest} bytes were asked for at once");
    }
    assert!(files > 30, "{files}");

    LARGEST.store(0, Ordering::Relaxed);
    let metadata = |len: u32| [&b"PAR1"[..], &[0x15; 100], &len.to_le_bytes(), b"PAR1"].concat();
    let long = [&b"\x93NUMPY\x02\0"[..], &u32::MAX.to_le_bytes(), b"{"].concat();
    for bytes in [npy("(1, 8192, 8192)"), npy("(4294967296, 4294967296, 2)"), long, metadata(u32::MAX), metadata(100)] {
        std::fs::write(&path, bytes).unwrap();
        given_by(&path, 100);
    }
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest < 1 << 20, "{largest} bytes were asked for at once");

    // 16 MB of images, one at a time.
    let count = 20_000;
    let array = [npy(&format!("({count}, 28, 28)")), vec![7; count * 784]].concat();
    std::fs::write(&path, &array).unwrap();
    let packed = folder.path().join("packed");
    let mut archive = zip::ZipWriter::new(File::create(&packed).unwrap());
    archive.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(&array).unwrap();
    archive.finish().unwrap();
    drop(array);
    for path in [&path, &packed] {
        let before = HELD.load(Ordering::Relaxed);
        MAX_HELD.store(before, Ordering::Relaxed);
        assert_eq!(given_by(path, usize::MAX), count);
        let held = MAX_HELD.load(Ordering::Relaxed) - before;
        assert!(held < 1 << 20, "{held} bytes were held");
    }
}

#[test]
fn pictures_that_are_decoded_at_once_share_a_bound() {
    let _alone = WATCHING.lock().unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("passes.jpg");
    let (width, height) = (2_400, 1_600);
    std::fs::write(&path, progressive_jpeg(width, height)).unwrap();
    let preprocessing =
        Preprocessing { channels: 1, height: 28, width: 28, side: 32, fit: Fit::Pad, range: Range::Full };
    let watch = |budget: &MemoryBudget, threads: usize| {
        MAX_HELD.store(HELD.load(Ordering::Relaxed), Ordering::Relaxed);
        let before = HELD.load(Ordering::Relaxed);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| read_pixels(&path, &preprocessing, budget).unwrap());
            }
        });
        MAX_HELD.load(Ordering::Relaxed) - before
    };
    // Every coefficient is kept, which the bound has to know.
    let pixels = usize::from(width) * usize::from(height);
    let one = watch(&MemoryBudget::new(u64::MAX), 1);
    assert!((9 * pixels..10 * pixels).contains(&one), "{one} bytes for {pixels} pixels");
    // Two at once are within it, and no third.
    let bound = 25 * pixels;
    let all = watch(&MemoryBudget::new(bound as u64), THREADS);
    assert!((one..bound).contains(&all), "{all} bytes of {bound}");
    // One that would never be within it fails by itself.
    let error = read_pixels(&path, &preprocessing, &MemoryBudget::new(8 * pixels as u64)).unwrap_err().to_string();
    assert!(error.contains("takes 33 MiB to decode; at most 29 MiB may be taken at once"), "{error}");
}

/// A grey picture in colours that comes in passes, of which it has the first.
fn progressive_jpeg(width: u16, height: u16) -> Vec<u8> {
    let components = [1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
    let frame = [&[0xff, 0xc2, 0, 17, 8][..], &height.to_be_bytes(), &width.to_be_bytes(), &[3], &components].concat();
    let quantisation = [&[0xff, 0xdb, 0, 67, 0][..], &[1; 64]].concat();
    // A single code, of one bit: no difference.
    let codes = [&[0xff, 0xc4, 0, 20, 0, 1][..], &[0; 16]].concat();
    let scan = [0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 0, 0];
    let blocks = 3 * usize::from(width.div_ceil(8)) * usize::from(height.div_ceil(8));
    [&[0xff, 0xd8][..], &quantisation, &frame, &codes, &scan, &vec![0; blocks.div_ceil(8) + 1], &[0xff, 0xd9]].concat()
}

#[test]
fn a_picture_keeps_to_the_memory_that_it_is_decoded_into() {
    let _alone = WATCHING.lock().unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("large");
    let (width, height) = (2_000, 1_500);
    let pixels = (width * height) as usize;
    let kinds: [(&str, DynamicImage, ImageFormat, usize); 7] = [
        ("grey", GrayImage::new(width, height).into(), ImageFormat::Png, 1),
        ("grey, transparent", DynamicImage::new_luma_a8(width, height), ImageFormat::Png, 2),
        ("grey in 16 bits", DynamicImage::new_luma16(width, height), ImageFormat::Png, 2),
        ("colour", RgbImage::new(width, height).into(), ImageFormat::Png, 3),
        ("colour, transparent", RgbaImage::new(width, height).into(), ImageFormat::Png, 4),
        ("colour in 16 bits", DynamicImage::new_rgb16(width, height), ImageFormat::Png, 6),
        ("BMP", RgbImage::new(width, height).into(), ImageFormat::Bmp, 3),
    ];
    for (name, picture, format, size) in kinds {
        picture.save_with_format(&path, format).unwrap();
        drop(picture);
        for (channels, fit) in [(1, Fit::Pad), (3, Fit::Crop), (3, Fit::Stretch)] {
            let preprocessing = Preprocessing { channels, height: 28, width: 20, side: 32, fit, range: Range::Full };
            let before = HELD.load(Ordering::Relaxed);
            MAX_HELD.store(before, Ordering::Relaxed);
            preprocessing.pixels(read_picture(&path).unwrap()).unwrap();
            let taken = MAX_HELD.load(Ordering::Relaxed) - before;
            assert!((size * pixels..size * pixels + (1 << 20)).contains(&taken), "{name}, {channels}: {taken} bytes");
        }
    }
    // Turned by a quarter, it needs a second place.
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
    encoder.set_exif_metadata(exif).unwrap();
    encoder.write_image(&vec![0; 3 * pixels], width, height, ExtendedColorType::Rgb8).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let before = HELD.load(Ordering::Relaxed);
    MAX_HELD.store(before, Ordering::Relaxed);
    let upright = read_picture(&path).unwrap();
    let taken = MAX_HELD.load(Ordering::Relaxed) - before;
    assert_eq!((upright.width(), upright.height()), (height, width));
    assert!((6 * pixels..6 * pixels + (1 << 20)).contains(&taken), "turned: {taken} bytes");
}

#[test]
fn what_each_format_takes_is_within_what_is_lent() {
    let _alone = WATCHING.lock().unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let (width, height) = (1_200, 1_000);
    let speckled = |x: u32, y: u32| (x * 7 + y * 13 + x * y % 31) as u8;
    let grey = GrayImage::from_fn(width, height, |x, y| image::Luma([speckled(x, y)]));
    let colour = RgbImage::from_fn(width, height, |x, y| image::Rgb([speckled(x, y), x as u8, y as u8]));
    let clear = RgbaImage::from_fn(width, height, |x, y| image::Rgba([speckled(x, y), 9, 8, x as u8]));
    let deep = DynamicImage::from(colour.clone()).into_rgb16();
    let kinds: Vec<(&str, DynamicImage, Vec<ImageFormat>)> = vec![
        ("grey", grey.into(), vec![ImageFormat::Tiff, ImageFormat::Pnm, ImageFormat::Png]),
        (
            "colour",
            colour.into(),
            vec![ImageFormat::Tiff, ImageFormat::Pnm, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Jpeg],
        ),
        ("transparent", clear.into(), vec![ImageFormat::Tiff, ImageFormat::WebP, ImageFormat::Gif]),
        ("in 16 bits", deep.into(), vec![ImageFormat::Tiff, ImageFormat::Png]),
    ];
    let preprocessing =
        Preprocessing { channels: 1, height: 28, width: 28, side: 32, fit: Fit::Pad, range: Range::Full };
    let files: Vec<_> = kinds
        .iter()
        .flat_map(|(name, picture, formats)| formats.iter().map(move |format| (*name, picture, *format)))
        .enumerate()
        .par_bridge()
        .map(|(index, (name, picture, format))| {
            let path = folder.path().join(index.to_string());
            picture.save_with_format(&path, format).unwrap();
            (format!("{name}, {format:?}"), path)
        })
        .collect();
    // One by one, so that nothing else counts.
    let taken: Vec<u64> = files
        .iter()
        .map(|(_, path)| {
            let before = HELD.load(Ordering::Relaxed);
            MAX_HELD.store(before, Ordering::Relaxed);
            read_pixels(path, &preprocessing, &MemoryBudget::new(u64::MAX)).unwrap();
            (MAX_HELD.load(Ordering::Relaxed) - before) as u64
        })
        .collect();
    files.par_iter().zip(&taken).for_each(|((name, path), &taken)| {
        // The least budget that it is read with is what is lent.
        let (mut too_little, mut enough) = (0, 1 << 30);
        while enough - too_little > 1 << 14 {
            let middle = (too_little + enough) / 2;
            match read_pixels(path, &preprocessing, &MemoryBudget::new(middle)) {
                Ok(_) => enough = middle,
                Err(_) => too_little = middle,
            }
        }
        assert!(taken <= enough + (1 << 20), "{name}: {taken} bytes taken, {enough} lent");
        assert!(enough < 30 * u64::from(width * height), "{name}: {enough} bytes lent");
    });
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
