//! What can go wrong while images are scored.

use crate::engine::EngineError;
use crate::train::TrainError;
use crate::weights::WeightsError;

use super::path::ScoringPath;

/// What can go wrong while images are scored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScoringError {
    /// The model does not suit the path that was asked for.
    #[error("{path}: {problem}")]
    Unsuited {
        /// The path.
        path: ScoringPath,
        /// Why, and what to do.
        problem: String,
    },
    /// Pixels that are not a batch of this model's images.
    #[error("{len} pixels are not 1 to {capacity} images of {image:?}")]
    Pixels {
        /// Number of pixels.
        len: usize,
        /// Images that a batch holds at most.
        capacity: usize,
        /// Channels, height and width of an image.
        image: [usize; 3],
    },
    /// The model's tensors do not go with its architecture.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The model cannot be put on the device.
    #[error(transparent)]
    Model(Box<TrainError>),
    /// The device failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl ScoringError {
    /// Whether it is the device's failure, so that the CPU path could do what failed.
    pub(crate) fn is_of_device(&self) -> bool {
        matches!(self, Self::Engine(error) if error.is_of_device())
    }
}

impl From<TrainError> for ScoringError {
    fn from(error: TrainError) -> Self {
        Self::Model(Box::new(error))
    }
}
