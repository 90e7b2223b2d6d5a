//! Makes the folder of a new run, with all that the run goes on from.

use std::path::Path;

use super::Plan;
use crate::config::{Config, Goal};
use crate::engine::KernelChoices;
use crate::run::{MetricsLog, RunError, RunFile, RunFolder, write_kernels, write_whole};
use crate::train::{Stage, Traced, TrainError, check_steps, checked_bytes};

/// Makes the folder of a run, with an empty log, the teacher that was given, a run folder or a model file, the weights
/// `init` that the first stage's network will be set to, the `kernels` it is to compute with, and, last, its configuration: with it, all is there that the
/// run goes on from. What is in the folder is dealt with as by [`RunFolder::create`].
///
/// # Errors
/// Networks that cannot be trained, weights that cannot be read or are of other networks, a configuration that TOML
/// cannot hold, and a folder that cannot be made; all of them leave no file behind.
pub fn begin(
    config: &Config,
    path: &Path,
    force: bool,
    teacher: Option<&Path>,
    init: Option<&Path>,
    kernels: &KernelChoices,
) -> Result<RunFolder, TrainError> {
    for stage in Plan::new(config).stages {
        // Refuses what cannot be trained before hours of stages before it.
        check_steps(config, stage)?;
        Traced::new(config, stage, 1)?;
    }
    let teacher = teacher.map(|path| read_teacher(path, config)).transpose()?;
    let student = config.run.stage == Goal::Student || teacher.is_some();
    let learner = if student { config.student() } else { config.teacher() };
    let init = init.map(|path| checked_bytes(path, &learner)).transpose()?;
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

/// The bytes of a teacher's model file, or of the one in a run folder.
fn read_teacher(path: &Path, config: &Config) -> Result<Vec<u8>, TrainError> {
    if path.is_dir() {
        RunFolder::open(path, &[])?;
    }
    let in_folder = [RunFile::Teacher, RunFile::Model].map(|file| path.join(file.name()));
    let file = if path.is_dir() { in_folder.iter().find(|file| file.exists()).unwrap_or(&in_folder[1]) } else { path };
    checked_bytes(file, &config.teacher())
}
