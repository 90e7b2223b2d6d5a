use std::path::Path;

use super::Plan;
use crate::config::{Config, Goal};
use crate::run::{MetricsLog, RunError, RunFile, RunFolder, write_whole};
use crate::train::{Stage, TrainError, check_weights};

/// Makes the folder of a run, with its configuration, an empty log and the teacher that was given: a run folder, or a
/// model file. `init` are the weights that the first stage's network will be set to. What is in the folder is dealt
/// with as by [`RunFolder::create`].
///
/// # Errors
/// Weights that cannot be read or are of other networks, a configuration that TOML cannot hold, and a folder that cannot
/// be made; all of them leave no file behind.
pub fn begin(
    config: &Config,
    path: &Path,
    force: bool,
    teacher: Option<&Path>,
    init: Option<&Path>,
) -> Result<RunFolder, TrainError> {
    let teacher = teacher.map(|path| read_teacher(path, config)).transpose()?;
    if let Some(path) = init {
        let student = config.run.stage == Goal::Student || teacher.is_some();
        check_weights(path, &if student { config.student() } else { config.teacher() })?;
    }
    let toml = config.to_toml()?;
    let folder = RunFolder::create(path, force)?;
    let write = |file: RunFile, bytes: &[u8]| write_whole(&folder.file(file), |out| out.write_all(bytes));
    if let Some(bytes) = teacher {
        write(Plan::new(config).file(Stage::Teacher), &bytes).map_err(RunError::from)?;
    }
    write(RunFile::Config, toml.as_bytes()).map_err(RunError::from)?;
    MetricsLog::create(&folder.file(RunFile::Metrics))?;
    Ok(folder)
}

/// The bytes of a teacher's model file, or of the one in a run folder.
fn read_teacher(path: &Path, config: &Config) -> Result<Vec<u8>, TrainError> {
    let in_folder = [RunFile::Teacher, RunFile::Model].map(|file| path.join(file.name()));
    let file = if path.is_dir() { in_folder.iter().find(|file| file.exists()).unwrap_or(&in_folder[1]) } else { path };
    check_weights(file, &config.teacher())?;
    std::fs::read(file).map_err(|source| TrainError::Teacher { path: file.to_owned(), source })
}
