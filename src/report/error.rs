//! What can go wrong while a page is made, said in one line.

use thiserror::Error;

use crate::config::ConfigError;
use crate::data::DataError;
use crate::metrics::MetricError;
use crate::run::{RunError, WriteError};
use crate::train::TrainError;

/// Why there is no page.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A chart cannot be drawn.
    #[error("chart `{name}`: {message}; the run's report.json and metrics.jsonl hold its figures")]
    Chart {
        /// What it shows.
        name: String,
        /// The fault.
        message: String,
    },
    /// A picture cannot be packed.
    #[error("a picture for the page cannot be packed: {0}")]
    Picture(#[from] image::ImageError),
    /// The page cannot be put together.
    #[error("the page cannot be put together: {0}")]
    Page(#[from] askama::Error),
    /// The scores are of other images than the data set holds.
    #[error("{run}: {message}; score the run again with `pkdgan eval --scores`, or train it again")]
    Scores {
        /// The run folder.
        run: String,
        /// The fault.
        message: String,
    },
    /// The configuration cannot be shown.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data set failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file of the run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A network failed.
    #[error(transparent)]
    Train(Box<TrainError>),
    /// The scores cannot be evaluated.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The page cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<TrainError> for ReportError {
    /// A fault of files, data or settings is the same one whoever met it.
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Run(error) => Self::Run(error),
            TrainError::Data(error) => Self::Data(error),
            TrainError::Config(error) => Self::Config(error),
            TrainError::Metric(error) => Self::Metric(error),
            error => Self::Train(Box::new(error)),
        }
    }
}
