//! CIFAR-10's binary files: what is read, and that nothing damaged is believed.

use std::fs;
use std::path::PathBuf;

use pkdgan::data::{DataError, Dataset, LabelledImages, Part};
use proptest::prelude::*;
use tempfile::TempDir;

const RECORD: usize = 3073;
const UNPACKED: &str = "cifar-10/cifar-10-batches-bin";
const DIRECT: &str = "cifar-10";

/// Records with these labels; the planes of each are filled with 1, 2 and 3 more than the label.
fn records(labels: &[u8]) -> Vec<u8> {
    let planes = |label: u8| (1..=3).flat_map(move |plane| vec![label.wrapping_add(plane); 1024]);
    labels.iter().flat_map(|&label| std::iter::once(label).chain(planes(label))).collect()
}

/// A data folder with the set's files in `folder` below it; each of the training part has one record.
fn write(folder: &str, test: &[u8]) -> TempDir {
    let data = TempDir::new().unwrap();
    let path = data.path().join(folder);
    fs::create_dir_all(&path).unwrap();
    for number in 1..=5 {
        fs::write(path.join(format!("data_batch_{number}.bin")), records(&[number])).unwrap();
    }
    fs::write(path.join("test_batch.bin"), test).unwrap();
    data
}

fn test_part(bytes: &[u8]) -> Result<LabelledImages, DataError> {
    let data = write(UNPACKED, bytes);
    let outcome = Dataset::Cifar10.load(data.path(), Part::Test);
    if let Err(error) = &outcome {
        let line = error.to_string();
        assert!(line.contains("test_batch.bin") && !line.contains('\n'), "{line}");
    }
    outcome
}

#[test]
fn both_parts_are_read_in_order() {
    for folder in [UNPACKED, DIRECT] {
        let data = write(folder, &records(&[9, 0, 7]));
        assert_eq!(Dataset::Cifar10.find(data.path()).unwrap(), data.path());
        let train = Dataset::Cifar10.load(data.path(), Part::Train).unwrap();
        assert_eq!(train.labels, [1, 2, 3, 4, 5]);
        let test = Dataset::Cifar10.load(data.path(), Part::Test).unwrap();
        assert_eq!(test.labels, [9, 0, 7]);
        let images = &test.images;
        assert_eq!((images.count(), images.channels(), images.height(), images.width()), (3, 3, 32, 32));
        assert_eq!(images.image(2).unwrap(), [vec![8; 1024], vec![9; 1024], vec![10; 1024]].concat());
        assert_eq!(images.to_signed_padded(&[1], 32).unwrap().len(), 3 * 32 * 32);
    }
}

#[test]
fn files_that_are_cut_short_name_the_byte() {
    assert!(matches!(test_part(&[]), Err(DataError::Truncated { offset: 0, expected: 3073, .. })));
    let whole = records(&[4, 5]);
    for length in [1_usize, 3072, 3074, 6145] {
        let expected = length.next_multiple_of(RECORD) as u64;
        let error = test_part(&whole[..length]).unwrap_err();
        let named = matches!(
            error,
            DataError::Truncated { offset, expected: wanted, .. } if offset == length as u64 && wanted == expected
        );
        assert!(named, "{length}: {error}");
    }
}

#[test]
fn labels_out_of_range_name_the_byte() {
    let error = test_part(&records(&[1, 2, 10])).unwrap_err();
    assert!(matches!(error, DataError::Label { index: 2, offset: 6146, label: 10, .. }), "{error}");
    assert!(error.to_string().contains("byte 6146"), "{error}");
}

#[test]
fn more_records_than_published_are_refused() {
    let most = vec![0; 10_000 * RECORD];
    assert_eq!(test_part(&most).unwrap().images.count(), 10_000);
    let error = test_part(&[most, records(&[1])].concat()).unwrap_err();
    assert!(matches!(error, DataError::Trailing { offset: 30_730_000, .. }), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let data = write(UNPACKED, &records(&[1]));
    fs::remove_file(data.path().join(UNPACKED).join("data_batch_4.bin")).unwrap();
    let error = Dataset::Cifar10.load(data.path(), Part::Train).unwrap_err();
    let expected = PathBuf::from(UNPACKED).join("data_batch_4.bin");
    assert!(matches!(&error, DataError::Missing { path } if path.ends_with(&expected)), "{error}");
    let error = Dataset::Cifar10.find(data.path()).unwrap_err();
    assert!(matches!(&error, DataError::NotFound { missing, .. } if missing[0].ends_with(&expected)), "{error}");
    assert!(error.to_string().contains("pkdgan data fetch cifar-10 --data-dir"), "{error}");
}

#[test]
fn a_folder_in_a_file_s_place_is_an_error() {
    let data = write(UNPACKED, &records(&[1]));
    let file = data.path().join(UNPACKED).join("test_batch.bin");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let error = Dataset::Cifar10.load(data.path(), Part::Test).unwrap_err();
    assert!(matches!(error, DataError::Read { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_are_refused_or_whole_records(labels in prop::collection::vec(0_u8..12, 1..4), cut in 0_usize..4000) {
        let bytes = records(&labels);
        let bytes = &bytes[..bytes.len().saturating_sub(cut)];
        match test_part(bytes) {
            Ok(set) => prop_assert_eq!(set.labels.len() * RECORD, bytes.len()),
            Err(_) => prop_assert!(bytes.is_empty() || !bytes.len().is_multiple_of(RECORD) || labels.iter().any(|&l| l > 9)),
        }
    }
}
