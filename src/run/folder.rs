//! The folder of a run: made for training, opened for resuming and scoring.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::RunError;
use super::atomic::{PARTIAL, partial_file};

/// A file that a run writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunFile {
    /// The complete configuration.
    Config,
    /// One line of losses per step logged.
    Metrics,
    /// The run's result: the trained networks.
    Model,
    /// The teacher that the student learnt from.
    Teacher,
    /// The teacher after it was trained beside the student.
    TeacherJoint,
    /// The student trained by itself, for comparison.
    StudentAlone,
    /// The student after the first step of distillation.
    StudentStep1,
    /// Everything needed to resume training.
    Checkpoint,
    /// The figures of the run.
    Report,
    /// The score of every test image.
    Scores,
    /// The page that shows the run to a person.
    Page,
}

/// The folder of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFile {
    /// Every file that a run writes.
    pub const ALL: [Self; 11] = [
        Self::Config,
        Self::Metrics,
        Self::Model,
        Self::Teacher,
        Self::TeacherJoint,
        Self::StudentAlone,
        Self::StudentStep1,
        Self::Checkpoint,
        Self::Report,
        Self::Scores,
        Self::Page,
    ];

    /// The name of the file in the folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config.toml",
            Self::Metrics => "metrics.jsonl",
            Self::Model => "model.safetensors",
            Self::Teacher => "teacher.safetensors",
            Self::TeacherJoint => "teacher-joint.safetensors",
            Self::StudentAlone => "student-alone.safetensors",
            Self::StudentStep1 => "student-step1.safetensors",
            Self::Checkpoint => "checkpoint.safetensors",
            Self::Report => "report.json",
            Self::Scores => "scores.csv",
            Self::Page => "report.html",
        }
    }
}

impl RunFolder {
    /// Makes the folder of a new run, with those above it. A folder that is there must be empty, unless `force` is
    /// given: then the files of a former run in it are removed, and no others.
    ///
    /// # Errors
    /// A folder that is not empty, is a file, or cannot be made or written to.
    pub fn create(path: &Path, force: bool) -> Result<Self, RunError> {
        if path.exists() && !path.is_dir() {
            return Err(RunError::NotAFolder(path.to_owned()));
        }
        let failed = |source| RunError::Folder { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed)?;
        let present: Vec<_> = fs::read_dir(path).and_then(Iterator::collect).map_err(failed)?;
        if !present.is_empty() && !force {
            return Err(RunError::NotEmpty(path.to_owned()));
        }
        partial_file(path).and_then(tempfile::NamedTempFile::close).map_err(failed)?;
        for entry in present {
            let name = entry.file_name();
            let known = RunFile::ALL.iter().any(|file| name == file.name());
            if known || name.to_string_lossy().starts_with(PARTIAL) {
                remove(&entry.path())?;
            }
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Opens the folder of a former run, which must have the files `needed`.
    ///
    /// # Errors
    /// A folder that does not exist, or lacks files, all of which are named.
    pub fn open(path: &Path, needed: &[RunFile]) -> Result<Self, RunError> {
        if !path.exists() {
            return Err(RunError::NoFolder(path.to_owned()));
        }
        if !path.is_dir() {
            return Err(RunError::NotAFolder(path.to_owned()));
        }
        let missing: Vec<_> = needed.iter().map(|file| file.name()).filter(|name| !path.join(name).is_file()).collect();
        if missing.is_empty() {
            Ok(Self { path: path.to_owned() })
        } else {
            Err(RunError::Incomplete { path: path.to_owned(), missing })
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where `file` lies, whether it exists or not.
    pub fn file(&self, file: RunFile) -> PathBuf {
        self.path.join(file.name())
    }
}

fn remove(path: &Path) -> Result<(), RunError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(RunError::Folder { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
