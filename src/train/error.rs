//! What can go wrong while a network is trained or scored.

use std::path::PathBuf;

use super::stage::Stage;
use crate::calibration::CalibrationError;
use crate::config::ConfigError;
use crate::data::DataError;
use crate::engine::EngineError;
use crate::metrics::MetricError;
use crate::run::RunError;
use crate::weights::WeightsError;

/// What can go wrong while a network is trained or scores.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A loss or a weight left the numbers.
    #[error(
        "{what} became {value} at step {step}; the last good state is in {checkpoint}\n  \
         try a lower learning rate: `{suggestion}`"
    )]
    NotFinite {
        /// The loss, or the tensor.
        what: String,
        /// Its value, infinite or not a number.
        value: f32,
        /// Step, counted from 1.
        step: usize,
        /// The checkpoint before it.
        checkpoint: PathBuf,
        /// The argument that halves the learning rate.
        suggestion: String,
    },
    /// What a finished stage left is damaged.
    #[error(
        "{source}\n  it is what stage {stage} left: remove it, and `pkdgan train --resume {}` trains that stage again",
        folder.display()
    )]
    Finished {
        /// The stage.
        stage: Stage,
        /// The run folder.
        folder: PathBuf,
        /// What is wrong with which file.
        source: WeightsError,
    },
    /// A frozen teacher's outputs cannot be put aside.
    #[error(
        "{}: the teacher's outputs cannot be put aside here: {source}; make room, or compute them in each step with \
         `--set distillation.precompute_teacher_outputs=false`",
        folder.display()
    )]
    Outputs {
        /// The folder of the file.
        folder: PathBuf,
        /// The failure itself.
        source: std::io::Error,
    },
    /// The settings cannot be trained.
    #[error("{0}")]
    Settings(String),
    /// The configuration cannot be kept.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The data set failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file of the run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A weight file failed.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The scores of held-out images cannot calibrate.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// The scores cannot be evaluated.
    #[error(transparent)]
    Metric(#[from] MetricError),
}
