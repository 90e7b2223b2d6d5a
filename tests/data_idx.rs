//! IDX files: what is read, and that nothing damaged is believed.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use pkdgan::data::{DataError, Dataset, Images, Part};
use pkdgan::unstable::data::{Idx, read_idx};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A file of two 2x3 images.
fn small() -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3];
    bytes.extend(1..=12);
    bytes
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read<const RANK: usize>(bytes: &[u8]) -> Result<Idx<RANK>, DataError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file-idx");
    std::fs::write(&path, bytes).unwrap();
    let result = read_idx(&path);
    if let Err(error) = &result {
        let line = error.to_string();
        assert!(line.contains("file-idx") && !line.contains('\n'), "{line}");
    }
    result
}

fn with_dims(dims: [u32; 3], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3];
    bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    bytes.extend(values);
    bytes
}

#[test]
fn plain_and_packed_files_are_told_by_their_contents() {
    let expected = Idx { dims: [2, 2, 3], values: (1..=12).collect() };
    assert_eq!(read::<3>(&small()).unwrap(), expected);
    assert_eq!(read::<3>(&packed(&small())).unwrap(), expected);
    assert_eq!(read::<1>(&[0, 0, 8, 1, 0, 0, 0, 2, 7, 9]).unwrap(), Idx { dims: [2], values: vec![7, 9] });
}

#[test]
fn faults_of_the_header_are_named() {
    let change = |place: usize, value| {
        let mut bytes = small();
        bytes[place] = value;
        read::<3>(&bytes).unwrap_err()
    };
    assert!(matches!(change(0, 1), DataError::Magic { found: 0x0100, .. }));
    assert!(matches!(change(2, 0x0d), DataError::ElementType { found: 0x0d, .. }));
    assert!(matches!(change(3, 1), DataError::Rank { found: 1, wanted: 3, .. }));
    assert!(matches!(change(11, 0), DataError::EmptyDimension { offset: 8, axis: 1, .. }));
    assert!(matches!(change(4, 0xff), DataError::TooLarge { .. }));
    let overflow = read::<3>(&with_dims([u32::MAX; 3], &[]));
    assert!(matches!(overflow, Err(DataError::TooLarge { .. })));
}

#[test]
fn every_truncation_and_any_addition_is_refused() {
    for bytes in [small(), packed(&small())] {
        for length in 0..bytes.len() {
            let error = read::<3>(&bytes[..length]).unwrap_err();
            assert!(matches!(error, DataError::Truncated { .. }), "{length} of {}: {error}", bytes.len());
        }
        let mut longer = bytes.clone();
        longer.push(0);
        read::<3>(&longer).unwrap_err();
    }
    let mut longer = small();
    longer.push(0);
    for bytes in [packed(&longer), longer] {
        assert!(matches!(read::<3>(&bytes), Err(DataError::Trailing { offset: 28, .. })));
    }
}

#[test]
fn every_bit_flip_of_a_packed_file_is_refused_or_harmless() {
    let bytes = packed(&small());
    for bit in 0..8 * bytes.len() {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(idx) = read::<3>(&flipped) {
            assert_eq!(idx.values, (1..=12).collect::<Vec<_>>(), "bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn flipped_bits_and_cuts_never_panic(
        flips in prop::collection::vec((0_usize..28, 0_u8..8), 1..6),
        cut in 0_usize..=28,
    ) {
        let mut bytes = small();
        for (place, bit) in flips {
            bytes[place] ^= 1 << bit;
        }
        if let Ok(Idx { dims, values }) = read::<3>(&bytes[..cut]) {
            prop_assert_eq!(dims.iter().product::<usize>(), values.len());
        }
    }

    #[test]
    fn what_is_written_is_read(dims in [1_u32..6, 1..6, 1..6], seed: u8) {
        let count: u32 = dims.iter().product();
        let values: Vec<u8> = (0..count).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect();
        let idx = read::<3>(&with_dims(dims, &values)).unwrap();
        prop_assert_eq!(idx.dims, dims.map(|dim| dim as usize));
        prop_assert_eq!(idx.values, values);
    }
}

#[test]
fn pixels_become_signed_and_centred() {
    let pixels = vec![0, 255, 51, 204, 255, 0, 0, 0, 0, 0, 0, 255];
    let images = Images::new(2, 1, 2, 3, pixels).unwrap();
    let input = images.to_signed_padded(&[1, 0], 4).unwrap();
    let row = [-1.0; 4];
    let expected: Vec<f32> = [row, [-1.0; 4], [-1.0, -1.0, 1.0, -1.0], row]
        .into_iter()
        .chain([row, [-1.0, 1.0, -0.6, -1.0], [0.6, 1.0, -1.0, -1.0], row])
        .flatten()
        .collect();
    assert_eq!(input.len(), expected.len());
    for (place, (value, wanted)) in input.iter().zip(&expected).enumerate() {
        approx::assert_abs_diff_eq!(*value, *wanted, epsilon = 1e-6);
        assert!((-1.0..=1.0).contains(value), "{place}");
    }
    assert!(matches!(images.to_signed_padded(&[0], 2), Err(DataError::Side { height: 2, width: 3, side: 2 })));
    assert!(matches!(images.to_signed_padded(&[2], 4), Err(DataError::Index { index: 2, count: 2 })));
    assert!(matches!(images.image(usize::MAX), Err(DataError::Index { .. })));
    let flat = Images::new(1, 1, 0, 5, vec![]).unwrap();
    assert!(flat.image(0).unwrap().is_empty() && matches!(flat.image(1), Err(DataError::Index { .. })));
    assert_eq!(flat.to_signed_padded(&[0], 5).unwrap(), [-1.0; 25]);
    assert!(matches!(Images::new(2, 1, 2, 3, vec![0; 11]), Err(DataError::PixelCount { found: 11, expected: 12 })));
}

#[test]
fn channels_keep_apart() {
    let images = Images::new(1, 3, 1, 1, vec![0, 255, 255]).unwrap();
    assert_eq!(
        images.to_signed_padded(&[0], 2).unwrap(),
        [[-1.0, -1.0, -1.0, -1.0], [1.0, -1.0, -1.0, -1.0], [1.0, -1.0, -1.0, -1.0]].concat()
    );
}

/// Writes a data set of `images` 2x2 images with the given labels as its test part, and loads it.
fn load_small(images: u32, labels: &[u8]) -> (TempDir, Result<usize, DataError>) {
    let folder = TempDir::new().unwrap();
    let set = Dataset::FashionMnist.folder(folder.path());
    std::fs::create_dir(&set).unwrap();
    let image_file = with_dims([images, 2, 2], &vec![9; 4 * images as usize]);
    std::fs::write(set.join("t10k-images-idx3-ubyte"), image_file).unwrap();
    let mut label_file = vec![0, 0, 8, 1];
    label_file.extend((labels.len() as u32).to_be_bytes());
    label_file.extend(labels);
    std::fs::write(set.join("t10k-labels-idx1-ubyte.gz"), packed(&label_file)).unwrap();
    let loaded = Dataset::FashionMnist.load(folder.path(), Part::Test).map(|set| set.images.count());
    (folder, loaded)
}

#[test]
fn images_and_labels_must_belong_together() {
    assert_eq!(load_small(3, &[0, 9, 4]).1.unwrap(), 3);
    let message = load_small(3, &[0, 9]).1.unwrap_err().to_string();
    assert!(message.contains("t10k-images-idx3-ubyte") && message.contains("t10k-labels-idx1-ubyte.gz"), "{message}");
    assert!(matches!(load_small(3, &[0, 9, 10]).1, Err(DataError::Label { index: 2, label: 10, .. })));
    let (folder, _) = load_small(1, &[0]);
    let message = Dataset::FashionMnist.load(folder.path(), Part::Train).unwrap_err().to_string();
    assert!(
        message.contains("fashion-mnist/train-images-idx3-ubyte.gz") && message.contains("--data-dir"),
        "{message}"
    );
}

#[test]
fn data_sets_go_by_name() {
    for set in Dataset::ALL {
        assert_eq!(set.to_string().parse::<Dataset>().unwrap(), set);
    }
    assert!("MNIST".parse::<Dataset>().unwrap_err().to_string().contains("fashion-mnist"));
}

fn mnist() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

#[test]
fn the_mnist_files_are_those_listed() {
    let folder = mnist().join("mnist");
    let sums = std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), 4);
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let found: String = Sha256::digest(std::fs::read(folder.join(name)).unwrap())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(found, sum, "{name}");
    }
}

#[test]
fn mnist_is_read_as_published() {
    // Counts and pixel sums: computed with NumPy 2 from the unpacked files.
    let train = Dataset::Mnist.load(&mnist(), Part::Train).unwrap();
    assert_eq!((train.images.count(), train.images.height(), train.images.width()), (60_000, 28, 28));
    assert_eq!(train.labels[..5], [5, 0, 4, 1, 9]);
    let sum = |pixels: &[u8]| pixels.iter().map(|&value| u64::from(value)).sum::<u64>();
    assert_eq!(sum(&train.images.image(0).unwrap()), 27_525);
    let all: u64 = (0..60_000).map(|index| sum(&train.images.image(index).unwrap())).sum();
    assert_eq!(all, 1_567_298_545);

    let test = Dataset::Mnist.load(&mnist(), Part::Test).unwrap();
    assert_eq!((test.images.count(), test.labels.len()), (10_000, 10_000));
    let input = test.images.to_signed_padded(&[0, 9_999], 32).unwrap();
    assert_eq!(input.len(), 2 * 32 * 32);
    assert!(input[..2 * 32].iter().all(|&value| value == -1.0));
    assert_eq!(input.iter().copied().fold(f32::MIN, f32::max), 1.0);
}
