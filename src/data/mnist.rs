//! MNIST and Fashion-MNIST: four IDX files.

use std::path::{Path, PathBuf};

use super::idx::read_idx_at_most;
use super::search::existing;
use super::{CLASSES, DataError, Idx, Images, LabelledImages, Part};

/// Unpacked names: images, then labels, of the training and then of the test part.
pub(super) const FILES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// Images of the larger part, and the most that one may have; pixels of each.
const MAX_IMAGES: u64 = 60_000;
const PIXELS: u64 = 28 * 28;

/// Bytes of a label file before the first label.
const LABEL_HEADER: u64 = 8;

/// Loads one part from the folder that holds the four files.
pub(super) fn load(folder: &Path, part: Part) -> Result<LabelledImages, DataError> {
    let [train_images, train_labels, test_images, test_labels] = FILES;
    let (images, labels) = match part {
        Part::Train => (train_images, train_labels),
        Part::Test => (test_images, test_labels),
    };
    let (images_path, labels_path) = (file(folder, images)?, file(folder, labels)?);

    let Idx { dims: [label_count], values: labels } = read_idx_at_most::<1>(&labels_path, MAX_IMAGES)?;
    if let Some((index, &label)) = labels.iter().enumerate().find(|&(_, &label)| label >= CLASSES) {
        return Err(DataError::Label { path: labels_path, index, offset: LABEL_HEADER + index as u64, label });
    }
    let Idx { dims: [image_count, height, width], values: pixels } =
        read_idx_at_most::<3>(&images_path, MAX_IMAGES * PIXELS)?;
    if image_count != label_count {
        return Err(DataError::LabelCount { labels: labels_path, images: images_path, label_count, image_count });
    }
    Ok(LabelledImages { images: Images::new(image_count, 1, height, width, pixels)?, labels })
}

/// The packed file, or the plain one where there is no packed one.
pub(super) fn file(folder: &Path, name: &str) -> Result<PathBuf, DataError> {
    existing(folder.join(format!("{name}.gz")), folder.join(name))
}
