//! `checkpoint.safetensors` and the one before it: everything that a run needs to go on.
//!
//! A checkpoint holds what training changes: parameters, Adam's moments, running averages, the number of steps taken,
//! and the losses that no line of the log has yet; with them a frozen teacher, which changes nowhere. The rest follows
//! from the configuration: the sample order by the seed, which the number of steps points into, as it does into the
//! table of learning rates and Adam's bias corrections; and the outputs of a frozen teacher. All random numbers
//! follow from the seed and the number of the step.

use std::io;
use std::path::Path;

use tracing::warn;

use super::error::TrainError;
use super::losses::Losses;
use super::stage::Stage;
use crate::engine::{Executor, GroupId, Readback, VarId, Variables};
use crate::format;
use crate::run::{RunError, RunFile, RunFolder, rename_whole};
use crate::weights::{Tensor, Weights, WeightsError};

/// The name of the format in the metadata.
const FORMAT: &str = "pkdgan-checkpoint";
/// Metadata keys: the stage, and the seconds trained in it so far.
const STAGE: &str = "stage";
const SECONDS: &str = "seconds_trained";
/// The tensor of the losses since the last line of the log, a row for each step.
const UNLOGGED: &str = "log/losses";

/// A state to go on from, off the device.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The stage it was taken in.
    pub stage: Stage,
    /// In this stage.
    pub(super) seconds_trained: f64,
    /// Without metadata, which is the format's version and the two above.
    weights: Weights,
}

impl Checkpoint {
    /// The last checkpoint of a run that can be gone on from, if there is any. Where that is the one before the last,
    /// it takes its place, and a warning says so.
    ///
    /// # Errors
    /// A folder that cannot be written to, and checkpoints of a newer program: the run is that program's.
    pub fn latest(folder: &RunFolder) -> Result<Option<Self>, TrainError> {
        let [last, before] = [RunFile::Checkpoint, RunFile::CheckpointBefore].map(|file| folder.file(file));
        let problem = match Self::read(&last) {
            Ok(checkpoint) => return Ok(Some(checkpoint)),
            Err(problem @ WeightsError::Newer(_)) => return Err(problem.into()),
            Err(problem) => problem,
        };
        match (Self::read(&before), is_absent(&problem)) {
            (Ok(checkpoint), absent) => {
                // Written, but not yet in its place: nothing was lost but steps.
                if !absent {
                    let stage = checkpoint.stage;
                    warn!("{problem}\n  going on from the checkpoint before it, {} of stage {stage}", before.display());
                }
                rename_whole(&before, &last).map_err(RunError::from)?;
                Ok(Some(checkpoint))
            }
            (Err(other @ WeightsError::Newer(_)), _) => Err(other.into()),
            (Err(other), true) if is_absent(&other) => Ok(None),
            (Err(other), _) => {
                warn!("{problem}\n  and {other}\n  beginning the stage anew from what earlier ones left");
                Ok(None)
            }
        }
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, is of a newer program or no checkpoint of a stage, or has numbers that are not finite.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let mut weights = Weights::read(path)?;
        let damaged = |message: String| WeightsError::Damaged { path: path.to_owned(), message };
        weights.check_format(FORMAT, format::CHECKPOINT)?;
        let metadata = std::mem::take(&mut weights.metadata);
        let named = metadata.get(STAGE).map(String::as_str);
        let stage = Stage::ALL.into_iter().find(|stage| Some(stage.name()) == named);
        let stage = stage.ok_or_else(|| damaged(format!("metadata `{STAGE}`: no stage of this version")))?;
        let seconds = metadata.get(SECONDS).and_then(|text| text.parse().ok());
        let seconds_trained = seconds.ok_or_else(|| damaged(format!("metadata `{SECONDS}`: no duration")))?;
        weights.expect_finite()?;
        Ok(Self { stage, seconds_trained, weights })
    }

    /// Reads the groups back from the executor.
    pub(super) fn take(
        executor: &mut dyn Executor,
        variables: &Variables,
        groups: &[GroupId],
        stage: Stage,
        seconds_trained: f64,
    ) -> Result<Self, TrainError> {
        let named = named(variables, groups);
        let wanted: Vec<Readback> = named.iter().map(|(_, variable)| Readback::Variable(*variable)).collect();
        let values = executor.read(&wanted)?.wait()?;
        let mut weights = Weights::default();
        for ((name, variable), values) in named.into_iter().zip(values) {
            weights.insert(name, &variables.shape(variable), values);
        }
        Ok(Self { stage, seconds_trained, weights })
    }

    /// The first number that is infinite or NaN, with its tensor's name: those of the networks first, as they are
    /// built.
    pub(super) fn not_finite(&self, variables: &Variables, groups: &[GroupId]) -> Option<(String, f32)> {
        named(variables, groups).into_iter().find_map(|(name, _)| {
            let values = &self.weights.tensors.get(&name)?.values;
            values.iter().find(|value| !value.is_finite()).map(|&value| (name, value))
        })
    }

    /// Adds the losses of the steps that no line of the log has yet.
    pub(super) fn with_losses(mut self, losses: &[Losses]) -> Self {
        if let Some(first) = losses.first() {
            let values = losses.iter().flat_map(|losses| losses.0.iter().map(|&(_, value)| value)).collect();
            self.weights.insert(UNLOGGED, &[losses.len(), first.0.len()], values);
        }
        self
    }

    /// Takes out what [`Checkpoint::with_losses`] added, to be called by these names.
    pub(super) fn take_losses(&mut self, names: &[&'static str]) -> Result<Vec<Losses>, WeightsError> {
        match self.weights.tensors.remove(UNLOGGED) {
            None => Ok(Vec::new()),
            Some(Tensor { shape, values, .. }) if shape.len() == 2 && shape[1] == names.len() && shape[1] > 0 => {
                let row = |row: &[f32]| Losses(names.iter().copied().zip(row.iter().copied()).collect());
                Ok(values.chunks_exact(names.len()).map(row).collect())
            }
            Some(Tensor { shape, .. }) => Err(WeightsError::Shape {
                path: self.weights.origin.clone(),
                name: UNLOGGED.into(),
                wanted: vec![shape.first().copied().unwrap_or(0), names.len()],
                found: shape,
            }),
        }
    }

    /// Puts the state back on the executor, without the losses.
    pub(super) fn restore(
        mut self,
        executor: &mut dyn Executor,
        variables: &Variables,
        groups: &[GroupId],
    ) -> Result<(), TrainError> {
        self.weights.tensors.remove(UNLOGGED);
        let mut values = Vec::new();
        for (name, variable) in named(variables, groups) {
            values.push((variable, self.weights.take(&name, &variables.shape(variable))?));
        }
        self.weights.finish()?;
        for (variable, values) in values {
            executor.write(variable, &values)?;
        }
        Ok(())
    }

    /// Writes it as the run's last, which becomes the one before it.
    pub(super) fn write(mut self, folder: &RunFolder) -> Result<(), TrainError> {
        self.weights.set_format(FORMAT, format::CHECKPOINT);
        self.weights.metadata.insert(STAGE.into(), self.stage.name().into());
        self.weights.metadata.insert(SECONDS.into(), self.seconds_trained.to_string());
        Ok(self.weights.write_keeping(&folder.file(RunFile::Checkpoint), &folder.file(RunFile::CheckpointBefore))?)
    }
}

/// The variables of a checkpoint with the names they have in it.
fn named(variables: &Variables, groups: &[GroupId]) -> Vec<(String, VarId)> {
    groups
        .iter()
        .flat_map(|&group| variables.of(group).map(move |variable| (group, variable)))
        .map(|(group, variable)| (format!("{}/{}", variables.group_name(group), variables.name(variable)), variable))
        .collect()
}

fn is_absent(problem: &WeightsError) -> bool {
    matches!(problem, WeightsError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
}
