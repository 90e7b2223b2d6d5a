use std::path::Path;
use std::time::Duration;

use super::{Open, programs::scoring_program};
use crate::engine::{Executor, Phase, TriedThreads, open_fastest};
use crate::model::ModelFile;
use crate::train::{Model, SCORED_AT_ONCE, TrainError, scoring_latency};

/// Time that batches are scored for to find out how long one takes.
const TRIAL: Duration = Duration::from_millis(200);

/// A device to evaluate a model with.
pub struct OpenedModel {
    /// The device.
    pub executor: Box<dyn Executor>,
    /// The model on it.
    pub model: Model,
    /// Numbers of driver threads that were tried, each with the seconds that a batch took.
    pub tried: TriedThreads,
}

impl OpenedModel {
    /// Reads a model file, and opens a device with the number of driver threads that suits scoring so many images with it.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged or no model; failures of the device.
    pub fn open(path: &Path, images: usize, open: &Open) -> Result<Self, TrainError> {
        let file = ModelFile::read(path)?;
        let dispatches = scoring_program(&file, SCORED_AT_ONCE)?.labels().count();
        let phase = Phase { pieces: images.div_ceil(SCORED_AT_ONCE), dispatches };
        let prepare = |mut executor: Box<dyn Executor>| {
            let model = Model::place(file.clone(), executor.as_mut())?;
            Ok::<_, TrainError>(Self { executor, model, tried: TriedThreads::new() })
        };
        let time = |opened: &mut Self| scoring_latency(opened.executor.as_mut(), &opened.model, SCORED_AT_ONCE, TRIAL);
        let (opened, tried) = open_fastest(phase, open, prepare, time)?;
        Ok(Self { tried, ..opened })
    }
}
