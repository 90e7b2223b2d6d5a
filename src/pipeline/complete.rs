//! Takes a run from wherever its folder is to its report: training, evaluation, files.

use std::time::Instant;

use super::{Data, Devices, Plan, Progress, Watch, evaluate, finish, train};
use crate::config::Config;
use crate::report::ReportError;
use crate::run::{Report, RunFolder};
use crate::train::{CheckpointEvery, Stage};

/// How far a run got.
#[derive(Clone, Debug, PartialEq)]
pub enum Completion {
    /// It is done, with these figures.
    Done(Box<Report>),
    /// Asked to stop, in this stage after so many of its steps.
    Stopped(Stage, usize, usize),
}

/// Trains what is not trained yet, evaluates all networks but those named in `leave_out`, and writes the report of a run
/// that began at `started`.
///
/// # Errors
/// What goes wrong with data, training, files and device; what was done stays.
pub fn complete(
    config: &Config,
    folder: &RunFolder,
    data: &Data,
    devices: &dyn Devices,
    leave_out: &[&str],
    started: Instant,
    watch: &mut dyn Watch,
) -> Result<Completion, ReportError> {
    folder.begin_process(started)?;
    match train(config, folder, data, devices, CheckpointEvery::default(), None, watch)? {
        Progress::Stopped(stage, step, steps) => Ok(Completion::Stopped(stage, step, steps)),
        Progress::Trained if watch.stops() => {
            let stage = Plan::new(config).result;
            let steps = stage.budget(config).steps;
            Ok(Completion::Stopped(stage, steps, steps))
        }
        Progress::Trained => {
            let evaluated = evaluate(config, folder, data, devices, leave_out, watch)?;
            let report = finish(config, folder, data, devices, evaluated)?;
            Ok(Completion::Done(Box::new(report)))
        }
    }
}
