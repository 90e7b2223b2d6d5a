//! How long a run will train, from some steps of each stage that are timed before it begins. Nothing depends on it.

use std::time::Duration;

use super::devices::{RunDevices, Steps};
use super::{Data, Watch};
use crate::config::Config;
use crate::train::Stage;

/// Time for the steps of a stage. A person waits for them, and wants no more than the size of the answer.
const TRIAL: Duration = Duration::from_millis(20);
/// Fewest steps that are worth to be estimated: fewer are done as soon as they are timed.
const FEWEST: usize = 100;

/// Seconds of a step of each stage, for whoever wants to know them. They come before the run's own trainers, so that no
/// two of them are held at once. A device that fails is not reported here: it will fail again where it matters.
pub(super) fn time(
    config: &Config,
    stages: &[Stage],
    data: &Data,
    devices: &RunDevices,
    watch: &mut dyn Watch,
) -> Vec<(Stage, f64)> {
    let steps = |stage: &Stage| stage.budget(config).steps;
    if !watch.wants_estimate() || stages.iter().map(steps).sum::<usize>() < FEWEST {
        return Vec::new();
    }
    watch.prepare("timing the stages");
    let timed = stages.iter().map(|&stage| {
        let seconds = devices.trainer(config, stage, data, watch).and_then(|mut ready| ready.trial(TRIAL));
        seconds
            .map(|seconds| (stage, seconds))
            .inspect_err(|error| tracing::debug!("stage {stage} is not timed: {error}"))
    });
    // Without one of them the sum would be wrong.
    timed.collect::<Result<_, _>>().unwrap_or_default()
}
