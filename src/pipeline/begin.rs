//! Makes the folder of a new run, with all that the run goes on from.

use std::path::{Path, PathBuf};

use super::Plan;
use crate::config::{Config, Given, Goal};
use crate::engine::KernelChoices;
use crate::model::ModelFile;
use crate::run::{MetricsLog, RunError, RunFile, RunFolder, write_kernels, write_whole};
use crate::train::{GivenFile, Stage, Traced, TrainError, check_steps};

/// The files with weights that a run is given, each read once.
#[derive(Debug, Clone, Default)]
pub struct GivenFiles {
    teacher: Option<GivenFile>,
    init: Option<GivenFile>,
}

impl GivenFiles {
    /// Reads a teacher, a model file or a run folder, and the weights that the first stage's network will be set to.
    ///
    /// # Errors
    /// Files that cannot be read or are damaged.
    pub fn read(teacher: Option<&Path>, init: Option<&Path>) -> Result<Self, TrainError> {
        let teacher = teacher.map(|path| GivenFile::read(&teacher_file(path)?)).transpose()?;
        Ok(Self { teacher, init: init.map(GivenFile::read).transpose()? })
    }

    /// The models among them, as far as the files describe networks, in a run of this goal.
    pub fn models(&self, goal: Goal) -> impl Iterator<Item = (&ModelFile, Given)> {
        let files = [(&self.teacher, Given::Teacher), (&self.init, self.learner(goal))];
        files.into_iter().filter_map(|(file, given)| Some((file.as_ref()?.model()?, given)))
    }

    /// The network that a run trains first: what initial weights are for.
    fn learner(&self, goal: Goal) -> Given {
        if goal == Goal::Student || self.teacher.is_some() { Given::Student } else { Given::Teacher }
    }
}

/// Makes the folder of a run, with an empty log, the files that were given, the `kernels` it is to compute with, and,
/// last, its configuration: with it, all is there that the run goes on from. What is in the folder is dealt with as by
/// [`RunFolder::create`].
///
/// # Errors
/// Networks that cannot be trained, weights that are of other networks or say other settings, a configuration that TOML
/// cannot hold, and a folder that cannot be made; all of them leave no file behind.
pub fn begin(
    config: &Config,
    path: &Path,
    force: bool,
    given: &GivenFiles,
    kernels: &KernelChoices,
) -> Result<RunFolder, TrainError> {
    for stage in Plan::new(config).stages {
        // Refuses what cannot be trained before hours of stages before it.
        check_steps(config, stage)?;
        Traced::new(config, stage, 1)?;
    }
    let teacher = given.teacher.as_ref().map(|file| file.checked_bytes(config, Given::Teacher)).transpose()?;
    let learner = given.learner(config.run.stage);
    let init = given.init.as_ref().map(|file| file.checked_bytes(config, learner)).transpose()?;
    let toml = config.to_toml()?;
    let folder = RunFolder::create(path, force)?;
    let write = |file: RunFile, bytes: &[u8]| write_whole(&folder.file(file), |out| out.write_all(bytes));
    if let Some(bytes) = teacher {
        write(Plan::new(config).file(Stage::Teacher), bytes).map_err(RunError::from)?;
    }
    if let Some(bytes) = init {
        write(RunFile::Initial, bytes).map_err(RunError::from)?;
    }
    write_kernels(&folder, kernels)?;
    MetricsLog::create(&folder.file(RunFile::Metrics))?;
    write(RunFile::Config, toml.as_bytes()).map_err(RunError::from)?;
    Ok(folder)
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
