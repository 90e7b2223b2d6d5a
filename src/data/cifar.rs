//! CIFAR-10 in its binary version: six files of records, each a label byte and the red, green and blue plane of an image.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::search::existing;
use super::{CLASSES, DataError, Images, LabelledImages, Part};

/// Names of the files: the training part in five, then the test part.
pub(super) const FILES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

/// The folder that the published archive unpacks to.
pub(super) const FOLDER: &str = "cifar-10-batches-bin";

/// Bytes of a record: the label, then the pixels.
pub(super) const RECORD: usize = 1 + CHANNELS * SIDE * SIDE;

/// Records of a published file, and the most that one may hold.
pub(super) const RECORDS: usize = 10_000;

const CHANNELS: usize = 3;
const SIDE: usize = 32;

/// Loads one part from the folder of the data set, which holds the files or the folder of the archive.
pub(super) fn load(folder: &Path, part: Part) -> Result<LabelledImages, DataError> {
    let (train, test) = FILES.split_at(5);
    let names = match part {
        Part::Train => train,
        Part::Test => test,
    };
    let (mut labels, mut pixels) = (Vec::new(), Vec::new());
    for name in names {
        read(&file(folder, name)?, &mut labels, &mut pixels)?;
    }
    Ok(LabelledImages { images: Images::new(labels.len(), CHANNELS, SIDE, SIDE, pixels)?, labels })
}

/// The file in the folder of the archive, or directly in the data set's.
pub(super) fn file(folder: &Path, name: &str) -> Result<PathBuf, DataError> {
    existing(folder.join(FOLDER).join(name), folder.join(name))
}

/// Appends the records of a file.
fn read(path: &Path, labels: &mut Vec<u8>, pixels: &mut Vec<u8>) -> Result<(), DataError> {
    let failed = |offset| move |source| DataError::Read { path: path.to_owned(), offset, source };
    let mut input = BufReader::new(File::open(path).map_err(failed(0))?);
    let mut record = Vec::with_capacity(RECORD);
    for index in 0_usize.. {
        let offset = (index * RECORD) as u64;
        record.clear();
        input.by_ref().take(RECORD as u64).read_to_end(&mut record).map_err(failed(offset))?;
        if record.is_empty() && index > 0 {
            break;
        }
        let (Some((&label, planes)), RECORD) = (record.split_first(), record.len()) else {
            let [offset, expected] = [record.len(), RECORD].map(|more| offset + more as u64);
            return Err(DataError::Truncated { path: path.to_owned(), offset, expected });
        };
        if index == RECORDS {
            return Err(DataError::Trailing { path: path.to_owned(), offset });
        }
        if label >= CLASSES {
            return Err(DataError::Label { path: path.to_owned(), index, offset, label });
        }
        labels.push(label);
        pixels.extend_from_slice(planes);
    }
    Ok(())
}
