//! The data sets by name: what each holds, where it comes from, and how it is loaded.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{DataError, LabelledImages, cifar, mnist};

/// Classes of each data set; labels are 0 up to this, exclusive.
pub const CLASSES: u8 = 10;

/// A data set that can be loaded by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Dataset {
    /// Handwritten digits (LeCun, Cortes, Burges).
    Mnist,
    /// Articles of clothing (Zalando Research).
    FashionMnist,
    /// Animals and vehicles in colour (Krizhevsky).
    #[serde(rename = "cifar-10")]
    Cifar10,
}

/// One of the two parts that a data set is published in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The images to train on.
    Train,
    /// The images to test on.
    Test,
}

/// A name that is no data set's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown data set `{}`; choose {}", .0, Dataset::ALL.map(Dataset::name).join(" or "))]
pub struct UnknownDataset(pub String);

impl Dataset {
    /// Every data set.
    pub const ALL: [Self; 3] = [Self::Mnist, Self::FashionMnist, Self::Cifar10];

    /// The name on the command line, in configurations and of the data folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Cifar10 => "cifar-10",
        }
    }

    /// Values per pixel: 1 for grey images, 3 for colours.
    pub fn channels(self) -> usize {
        match self {
            Self::Mnist | Self::FashionMnist => 1,
            Self::Cifar10 => 3,
        }
    }

    /// Height and width of the published images, in pixels.
    pub fn side(self) -> usize {
        match self {
            Self::Mnist | Self::FashionMnist => 28,
            Self::Cifar10 => 32,
        }
    }

    /// How many images the published part holds.
    pub fn published(self, part: Part) -> usize {
        match (self, part) {
            (Self::Cifar10, Part::Train) => 50_000,
            (_, Part::Train) => 60_000,
            (_, Part::Test) => 10_000,
        }
    }

    /// What the classes are called, by label.
    pub fn classes(self) -> [&'static str; CLASSES as usize] {
        match self {
            Self::Mnist => ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
            Self::FashionMnist => [
                "T-shirt/top",
                "trouser",
                "pullover",
                "dress",
                "coat",
                "sandal",
                "shirt",
                "sneaker",
                "bag",
                "ankle boot",
            ],
            Self::Cifar10 => ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
        }
    }

    /// The page of its authors.
    pub fn source(self) -> &'static str {
        match self {
            Self::Mnist => "http://yann.lecun.com/exdb/mnist/ (no longer serves the files)",
            Self::FashionMnist => "https://github.com/zalandoresearch/fashion-mnist",
            Self::Cifar10 => "https://www.cs.toronto.edu/~kriz/cifar.html",
        }
    }

    /// The licence its authors gave it.
    pub fn licence(self) -> &'static str {
        match self {
            Self::Mnist => "CC BY-SA 3.0",
            Self::FashionMnist => "MIT",
            Self::Cifar10 => "none stated; its authors ask to cite Krizhevsky, 2009",
        }
    }

    /// The files it consists of, unpacked.
    pub fn files(self) -> &'static [&'static str] {
        match self {
            Self::Mnist | Self::FashionMnist => &mnist::FILES,
            Self::Cifar10 => &cifar::FILES,
        }
    }

    /// Where the files lie below the data folder `data`.
    pub fn folder(self, data: &Path) -> PathBuf {
        data.join(self.name())
    }

    /// The path below `data` of the file that is called `name` unpacked.
    ///
    /// # Errors
    /// [`DataError::Missing`] where it is not there, packed or unpacked.
    pub fn file(self, data: &Path, name: &str) -> Result<PathBuf, DataError> {
        match self {
            Self::Mnist | Self::FashionMnist => mnist::file(&self.folder(data), name),
            Self::Cifar10 => cifar::file(&self.folder(data), name),
        }
    }

    /// Loads the images (`count` x channels x height x width) and labels of one part from the folder of this data set
    /// below `data`. IDX files may be packed (`.gz`, preferred) or plain.
    ///
    /// # Errors
    /// Files that are missing, damaged or do not belong together, and labels outside 0..[`CLASSES`].
    pub fn load(self, data: &Path, part: Part) -> Result<LabelledImages, DataError> {
        match self {
            Self::Mnist | Self::FashionMnist => mnist::load(&self.folder(data), part),
            Self::Cifar10 => cifar::load(&self.folder(data), part),
        }
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

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Train => "training",
            Self::Test => "test",
        })
    }
}
