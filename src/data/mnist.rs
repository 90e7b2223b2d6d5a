//! MNIST and Fashion-MNIST: four IDX files in a folder named after the data set.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{DataError, Idx, Images, LabelledImages, read_idx};

/// Classes of each data set; labels are 0 up to this, exclusive.
pub const CLASSES: u8 = 10;

/// A data set that can be loaded by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dataset {
    /// Handwritten digits (LeCun, Cortes, Burges).
    Mnist,
    /// Articles of clothing (Zalando Research).
    FashionMnist,
    /// Cifar.
    Cifar10,
}

/// One of the two parts that a data set is published in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The 60,000 images to train on.
    Train,
    /// The 10,000 images to test on.
    Test,
}

/// A name that is no data set's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown data set `{0}`; choose mnist or fashion-mnist")]
pub struct UnknownDataset(pub String);

impl Dataset {
    /// Every data set.
    pub const ALL: [Self; 2] = [Self::Mnist, Self::FashionMnist];

    /// The name on the command line, in configurations and of the data folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Cifar10 => "cifar-10",
        }
    }

    /// Values per pixel.
    pub fn channels(self) -> usize {
        if self == Self::Cifar10 { 3 } else { 1 }
    }

    /// Where the files lie below the data folder `data`.
    pub fn folder(self, data: &Path) -> PathBuf {
        data.join(self.name())
    }

    /// Loads the images (`count` x 1 x 28 x 28 in the published files) and labels of one part from the folder of this
    /// data set below `data`. Each file may be packed (`.gz`, preferred) or plain.
    ///
    /// # Errors
    /// Files that are missing, damaged or do not belong together, and labels outside 0..[`CLASSES`].
    pub fn load(self, data: &Path, part: Part) -> Result<LabelledImages, DataError> {
        let folder = self.folder(data);
        let images_path = find(&folder, &format!("{}-images-idx3-ubyte", part.prefix()))?;
        let labels_path = find(&folder, &format!("{}-labels-idx1-ubyte", part.prefix()))?;

        let Idx { dims: [label_count], values: labels } = read_idx::<1>(&labels_path)?;
        if let Some((index, &label)) = labels.iter().enumerate().find(|&(_, &label)| label >= CLASSES) {
            return Err(DataError::Label { path: labels_path, index, label });
        }
        let Idx { dims: [image_count, height, width], values: pixels } = read_idx::<3>(&images_path)?;
        if image_count != label_count {
            return Err(DataError::LabelCount { labels: labels_path, images: images_path, label_count, image_count });
        }
        Ok(LabelledImages { images: Images::new(image_count, 1, height, width, pixels)?, labels })
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dataset {
    type Err = UnknownDataset;

    fn from_str(name: &str) -> Result<Self, UnknownDataset> {
        Self::ALL.into_iter().find(|set| set.name() == name).ok_or_else(|| UnknownDataset(name.to_owned()))
    }
}

impl Part {
    /// How the names of this part's files begin.
    fn prefix(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "t10k",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Train => "training",
            Self::Test => "test",
        })
    }
}

/// The packed file, or the plain one where there is no packed one.
fn find(folder: &Path, name: &str) -> Result<PathBuf, DataError> {
    let packed = folder.join(format!("{name}.gz"));
    let plain = folder.join(name);
    if packed.exists() {
        Ok(packed)
    } else if plain.exists() {
        Ok(plain)
    } else {
        Err(DataError::Missing { path: packed })
    }
}
