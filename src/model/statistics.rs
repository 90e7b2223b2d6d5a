//! The choice that decides how batch norms work, in training and in scoring.

use serde::{Deserialize, Serialize};

use super::network::NormMode;

/// Where batch norm takes its statistics from when scoring; what that takes is kept in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistics {
    /// The running averages of training, where it takes those of the batch.
    Running,
    /// Each image's own feature maps, in training too.
    PerImage,
}

impl Statistics {
    /// As in settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::PerImage => "per-image",
        }
    }

    /// How norms work in a network that is trained to score by these, on batches of so many images; running averages
    /// follow with this momentum.
    pub(crate) fn training(self, batch_size: usize, momentum: f32) -> NormMode {
        match self {
            Self::Running => NormMode::Tracked { momentum },
            Self::PerImage => NormMode::Batch { sets: batch_size },
        }
    }

    /// How norms work in a network that scores.
    pub(crate) fn scoring(self) -> NormMode {
        match self {
            Self::Running => NormMode::Running,
            Self::PerImage => NormMode::PerImage,
        }
    }
}
