//! `checkpoint.safetensors`: everything that a run needs to go on.

use std::path::Path;

use super::error::TrainError;
use crate::engine::{Executor, GroupId, Readback, VarId, Variables};
use crate::weights::Weights;

/// Metadata key of the seconds trained so far.
const SECONDS: &str = "seconds_trained";

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
    seconds_trained: f64,
) -> Result<Weights, TrainError> {
    let named = named(variables, groups);
    let wanted: Vec<Readback> = named.iter().map(|(_, variable)| Readback::Variable(*variable)).collect();
    let values = executor.read(&wanted)?.wait()?;
    let mut weights = Weights::default();
    for ((name, variable), values) in named.into_iter().zip(values) {
        weights.insert(name, &variables.shape(variable), values);
    }
    weights.metadata.insert(SECONDS.into(), seconds_trained.to_string());
    Ok(weights)
}

/// Puts a checkpoint back on the executor; returns the seconds trained before it.
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
