//! Where the images of a run come from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Dataset, UnknownDataset};

/// What a run is trained on: a data set that is published under a name, or a folder of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    /// A published data set.
    Published(Dataset),
    /// Pictures of one's own, all of them normal.
    Images,
}

/// What stands for pictures of one's own in the place of a data set's name.
const IMAGES: &str = "images";

impl Source {
    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Published(dataset) => dataset.name(),
            Self::Images => IMAGES,
        }
    }
}

impl From<Dataset> for Source {
    fn from(dataset: Dataset) -> Self {
        Self::Published(dataset)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Source {
    type Err = UnknownDataset;

    fn from_str(name: &str) -> Result<Self, UnknownDataset> {
        if name == IMAGES { Ok(Self::Images) } else { name.parse().map(Self::Published) }
    }
}

impl TryFrom<String> for Source {
    type Error = UnknownDataset;

    fn try_from(name: String) -> Result<Self, UnknownDataset> {
        name.parse()
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.name().into()
    }
}
