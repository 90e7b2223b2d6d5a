//! Makes the folder of a new run, with all that the run goes on from.

use std::path::{Path, PathBuf};

use super::Plan;
use crate::config::{Config, Given, Goal};
use crate::engine::KernelChoices;
use crate::model::ModelFile;
use crate::run::{MetricsLog, RunError, RunFile, RunFolder, write_kernels, write_whole};
use crate::train::{Stage, Traced, TrainError, check_weights};
use crate::weights::WeightsError;

/// Makes the folder of a run, with an empty log, the teacher that was given, a run folder or a model file, the weights
/// `init` that the first stage's network will be set to, the `kernels` it is to compute with, and, last, its
/// configuration: with it, all is there that the run goes on from. What is in the folder is dealt with as by
/// [`RunFolder::create`].
///
/// # Errors
/// Networks that cannot be trained, weights that cannot be read, are of other networks or say other settings, a
/// configuration that TOML cannot hold, and a folder that cannot be made; all of them leave no file behind.
pub fn begin(
    config: &Config,
    path: &Path,
    force: bool,
    teacher: Option<&Path>,
    init: Option<&Path>,
    kernels: &KernelChoices,
) -> Result<RunFolder, TrainError> {
    for stage in Plan::new(config).stages {
        // Refuses networks that cannot be trained before hours of stages before it.
        Traced::new(config, stage, 1)?;
    }
    let teacher = teacher.map(|path| read_checked(&teacher_file(path)?, config, Given::Teacher)).transpose()?;
    let learner = learner(config.run.stage, teacher.is_some());
    let init = init.map(|path| read_checked(path, config, learner)).transpose()?;
    let toml = config.to_toml()?;
    let folder = RunFolder::create(path, force)?;
    let write = |file: RunFile, bytes: &[u8]| write_whole(&folder.file(file), |out| out.write_all(bytes));
    if let Some(bytes) = teacher {
        write(Plan::new(config).file(Stage::Teacher), &bytes).map_err(RunError::from)?;
    }
    if let Some(bytes) = init {
        write(RunFile::Initial, &bytes).map_err(RunError::from)?;
    }
    write_kernels(&folder, kernels)?;
    MetricsLog::create(&folder.file(RunFile::Metrics))?;
    write(RunFile::Config, toml.as_bytes()).map_err(RunError::from)?;
    Ok(folder)
}

/// The network that a run of this goal trains first: what initial weights are for.
fn learner(goal: Goal, has_teacher: bool) -> Given {
    if goal == Goal::Student || has_teacher { Given::Student } else { Given::Teacher }
}

/// The models that a run of this goal is given, a teacher and initial weights, as far as their files describe networks.
///
/// # Errors
/// Files that cannot be read.
pub fn given_models(
    goal: Goal,
    teacher: Option<&Path>,
    init: Option<&Path>,
) -> Result<Vec<(ModelFile, Given)>, TrainError> {
    let learner = learner(goal, teacher.is_some());
    let teacher = teacher.map(teacher_file).transpose()?;
    let files = teacher.map(|path| (path, Given::Teacher)).into_iter().chain(init.map(|path| (path.into(), learner)));
    let models = files.map(|(path, given)| Ok(ModelFile::read_described(&path)?.map(|model| (model, given))));
    models.filter_map(Result::transpose).collect()
}

/// A teacher's model file, or the one in a run folder.
fn teacher_file(path: &Path) -> Result<PathBuf, TrainError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    RunFolder::open(path, &[])?;
    let [teacher, model] = [RunFile::Teacher, RunFile::Model].map(|file| path.join(file.name()));
    Ok(if teacher.exists() { teacher } else { model })
}

/// The bytes of a file with weights for one of a configuration's networks.
fn read_checked(path: &Path, config: &Config, given: Given) -> Result<Vec<u8>, TrainError> {
    check_weights(path, config, given)?;
    std::fs::read(path).map_err(|source| WeightsError::Read { path: path.to_owned(), source }.into())
}
