//! What can go wrong while a model is exported.

use thiserror::Error;

use crate::run::WriteError;
use crate::score_kind::ScoreKind;
use crate::weights::WeightsError;

/// Why a model could not be exported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A tensor that scoring needs is missing or of another shape, or its values do not go into the file.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A tensor with a value that is infinite or not a number.
    #[error("tensor `{tensor}` holds {value}; the network diverged or its file is damaged, train again")]
    NotFinite {
        /// The tensor, as files name it.
        tensor: String,
        /// The value.
        value: f32,
    },
    /// Statistics of each image by itself where an image has one value: such a model cannot score.
    #[error("`{layer}` norms a single value by its own statistics, which leaves nothing of it; train with others")]
    SingleValue {
        /// The layer.
        layer: String,
    },
    /// Images of every kind have a score that is infinite or not a number.
    #[error(
        "its scores are {score}, whatever the image; the network diverged, or it does not fit the format: train again"
    )]
    NoScore {
        /// The score of a black image.
        score: f32,
    },
    /// A score that the format does not compute.
    #[error("it scores by `{0}`, and ONNX graphs compute the latent distance; add `--score latent` to export that")]
    Score(ScoreKind),
    /// A file larger than a protocol buffer may be.
    #[error(
        "an ONNX file of {0} bytes; one that holds its weights itself ends at 2147483647, export a smaller network"
    )]
    TooLarge(usize),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Refuses values that are infinite or no numbers.
pub(super) fn finite(tensor: &str, values: &[f32]) -> Result<(), ExportError> {
    match values.iter().find(|value| !value.is_finite()) {
        Some(&value) => Err(ExportError::NotFinite { tensor: tensor.to_owned(), value }),
        None => Ok(()),
    }
}
