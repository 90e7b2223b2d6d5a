//! `checkpoint.safetensors`: everything that a run needs to go on.

use std::path::Path;

use super::error::TrainError;
use super::stage::Stage;
use crate::engine::{Executor, GroupId, Readback, VarId, Variables};
use crate::weights::Weights;

/// Metadata keys: the stage, and the seconds trained in it so far.
const STAGE: &str = "stage";
const SECONDS: &str = "seconds_trained";

/// What a checkpoint says beside the state itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Checkpoint {
    pub stage: Stage,
    /// In this stage.
    pub seconds_trained: f64,
}

/// The stage that the checkpoint in a file was taken in.
pub fn checkpoint_stage(path: &Path) -> Result<Stage, TrainError> {
    let weights = Weights::read(path)?;
    let named = weights.metadata.get(STAGE).map(String::as_str);
    let stage = Stage::ALL.into_iter().find(|stage| Some(stage.name()) == named);
    stage.ok_or_else(|| {
        let problem = format!("{}: no checkpoint of a stage of this version; train again", path.display());
        TrainError::Settings(problem)
    })
}

/// The variables of a checkpoint with the names they have in it.
fn named(variables: &Variables, groups: &[GroupId]) -> Vec<(String, VarId)> {
    groups
        .iter()
        .flat_map(|&group| variables.of(group).map(move |variable| (group, variable)))
        .map(|(group, variable)| (format!("{}/{}", variables.group_name(group), variables.name(variable)), variable))
        .collect()
}

/// Reads the groups back from the executor, to be written to a file.
pub(super) fn take(
    executor: &mut dyn Executor,
    variables: &Variables,
    groups: &[GroupId],
    saved: Checkpoint,
) -> Result<Weights, TrainError> {
    let named = named(variables, groups);
    let wanted: Vec<Readback> = named.iter().map(|(_, variable)| Readback::Variable(*variable)).collect();
    let values = executor.read(&wanted)?.wait()?;
    let mut weights = Weights::default();
    for ((name, variable), values) in named.into_iter().zip(values) {
        weights.insert(name, &variables.shape(variable), values);
    }
    weights.metadata.insert(STAGE.into(), saved.stage.name().into());
    weights.metadata.insert(SECONDS.into(), saved.seconds_trained.to_string());
    Ok(weights)
}

/// Puts a checkpoint back on the executor; returns the seconds trained in its stage before it.
pub(super) fn restore(
    path: &Path,
    executor: &mut dyn Executor,
    variables: &Variables,
    groups: &[GroupId],
) -> Result<f64, TrainError> {
    let mut weights = Weights::read(path)?;
    let seconds = weights.metadata.get(SECONDS).and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let mut values = Vec::new();
    for (name, variable) in named(variables, groups) {
        values.push((variable, weights.take(&name, &variables.shape(variable))?));
    }
    weights.finish()?;
    for (variable, values) in values {
        executor.write(variable, &values)?;
    }
    Ok(seconds)
}
