//! The folder of a run: made for training, opened for resuming and scoring.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use super::lock::{LOCK, Lock, is_taken};
use super::process::Process;
use super::{Processes, RunError};
use crate::config::{ConfigError, check_format};
use crate::files::{PARTIAL, make_folder, remove_partial};

/// A file that a run writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunFile {
    /// The complete configuration.
    Config,
    /// One line of losses per step logged.
    Metrics,
    /// The kernels of convolutions, where those are not the default.
    Kernels,
    /// What each stage computes on.
    Devices,
    /// How many processes worked on the run, and for how long.
    Processes,
    /// The weights that the first stage started from, where they were given.
    Initial,
    /// The run's result: the trained networks.
    Model,
    /// The teacher that the student learnt from.
    Teacher,
    /// The teacher after the first step of distillation, where both steps train it.
    TeacherStep1,
    /// The teacher after it was trained beside the student, as the last step left it.
    TeacherJoint,
    /// The student trained by itself, for comparison.
    StudentAlone,
    /// The student after the first step of distillation.
    StudentStep1,
    /// Everything needed to resume training.
    Checkpoint,
    /// The checkpoint before it.
    CheckpointBefore,
    /// The figures of the run.
    Report,
    /// The score of every test image.
    Scores,
    /// The teacher's score of each, where the run's result is another network.
    TeacherScores,
    /// The training pictures whose latent vectors the models keep, where they are own pictures.
    References,
    /// The page that shows the run to a person.
    Page,
    /// Why a run of a grid cannot go on.
    Failure,
}

/// What the beginning of a run writes before its configuration.
const BEFORE_CONFIG: [RunFile; 4] = [RunFile::Teacher, RunFile::Initial, RunFile::Metrics, RunFile::Kernels];

/// The folder of a run. One that was made or resumed is this process's until it is dropped.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: Option<Lock>,
    /// This process, once it works on the run.
    process: OnceLock<Process>,
}

impl RunFile {
    /// Every file that a run writes.
    pub const ALL: [Self; 20] = [
        Self::Config,
        Self::Metrics,
        Self::Kernels,
        Self::Devices,
        Self::Processes,
        Self::Initial,
        Self::Model,
        Self::Teacher,
        Self::TeacherStep1,
        Self::TeacherJoint,
        Self::StudentAlone,
        Self::StudentStep1,
        Self::Checkpoint,
        Self::CheckpointBefore,
        Self::Report,
        Self::Scores,
        Self::TeacherScores,
        Self::References,
        Self::Page,
        Self::Failure,
    ];

    /// The name of the file in the folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config.toml",
            Self::Metrics => "metrics.jsonl",
            Self::Kernels => "kernels.json",
            Self::Devices => "devices.json",
            Self::Processes => "processes.json",
            Self::Initial => "init.safetensors",
            Self::Model => "model.safetensors",
            Self::Teacher => "teacher.safetensors",
            Self::TeacherStep1 => "teacher-step1.safetensors",
            Self::TeacherJoint => "teacher-joint.safetensors",
            Self::StudentAlone => "student-alone.safetensors",
            Self::StudentStep1 => "student-step1.safetensors",
            Self::Checkpoint => "checkpoint.safetensors",
            Self::CheckpointBefore => "checkpoint.previous.safetensors",
            Self::Report => "report.json",
            Self::Scores => "scores.csv",
            Self::TeacherScores => "teacher_scores.csv",
            Self::References => "references.csv",
            Self::Page => "report.html",
            Self::Failure => "failure.txt",
        }
    }
}

impl RunFolder {
    /// Makes the folder of a new run, with those above it, and takes it. A folder that is there must be empty, or hold no
    /// more than what a beginning that was cut short leaves, unless `force` is given. Then the files of a former run in
    /// it are removed, and no others.
    ///
    /// # Errors
    /// A folder that is not empty, is a file, is another process's, or cannot be made or written to.
    pub fn create(path: &Path, force: bool) -> Result<Self, RunError> {
        if path.exists() && !path.is_dir() {
            return Err(RunError::NotAFolder(path.to_owned()));
        }
        make_folder(path).map_err(|source| RunError::Folder { path: path.to_owned(), source })?;
        // A folder that is no run's gets no lock; one that is may be in use, which is then what there is to say.
        let ours = path.join(LOCK).exists();
        if !force && !ours {
            refuse_occupied(path, ours)?;
        }
        let lock = Lock::take(path)?;
        if !force {
            refuse_occupied(path, ours)?;
        }
        clear(path)?;
        for (name, file) in list(path)? {
            if RunFile::ALL.iter().any(|known| name == known.name()) {
                remove(&file)?;
            }
        }
        Ok(Self { path: path.to_owned(), _lock: Some(lock), process: OnceLock::new() })
    }

    /// Takes the folder of a former run, to go on with it. What a process that was killed was writing is removed.
    ///
    /// # Errors
    /// A folder that does not exist, is of a newer program, lacks its configuration, is another process's, or cannot be
    /// written to.
    pub fn resume(path: &Path) -> Result<Self, RunError> {
        let folder = Self::open(path, &[RunFile::Config])?;
        let lock = Lock::take(path)?;
        clear(path)?;
        Ok(Self { _lock: Some(lock), ..folder })
    }

    /// Opens the folder of a former run to read in it. It must have the files `needed`.
    ///
    /// # Errors
    /// A folder that does not exist, is of a newer program, or lacks files, all of which are named.
    pub fn open(path: &Path, needed: &[RunFile]) -> Result<Self, RunError> {
        if !path.exists() {
            return Err(RunError::NoFolder(path.to_owned()));
        }
        if !path.is_dir() {
            return Err(RunError::NotAFolder(path.to_owned()));
        }
        // First, since a newer program may name its files otherwise. Whoever reads the configuration reports other faults.
        if let Err(ConfigError::Newer(newer)) = check_format(&path.join(RunFile::Config.name())) {
            return Err(newer.into());
        }
        let missing: Vec<_> = needed.iter().map(|file| file.name()).filter(|name| !path.join(name).is_file()).collect();
        if missing.is_empty() {
            Ok(Self { path: path.to_owned(), _lock: None, process: OnceLock::new() })
        } else {
            Err(RunError::Incomplete { path: path.to_owned(), missing })
        }
    }

    /// Whether a process has taken the folder at a path.
    pub fn is_taken(path: &Path) -> bool {
        is_taken(path)
    }

    /// Counts this process, which began at `started`, among those that work on the run, and holds the configuration from
    /// here on.
    ///
    /// # Errors
    /// A configuration that cannot be read, and a folder that cannot be written to.
    pub fn begin_process(&self, started: Instant) -> Result<(), RunError> {
        if self.process.get().is_none() {
            let process = Process::begin(self, started)?;
            self.process.get_or_init(|| process);
        }
        Ok(())
    }

    /// Keeps up what other processes go on from, beside checkpoints: the time of this one, and the configuration, which
    /// somebody may have removed. Nothing is kept before [`RunFolder::begin_process`].
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn keep(&self) -> Result<(), RunError> {
        self.process.get().map_or(Ok(()), Process::keep)
    }

    /// The processes that worked on the run up to now, where this one does.
    pub fn processes(&self) -> Option<Processes> {
        self.process.get().map(Process::processes)
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

/// The model file that a path means: itself, or the result of the run whose folder it is.
///
/// # Errors
/// A folder without a model.
pub fn model_file(path: &Path) -> Result<PathBuf, RunError> {
    if path.is_dir() { Ok(RunFolder::open(path, &[RunFile::Model])?.file(RunFile::Model)) } else { Ok(path.to_owned()) }
}

/// Refuses a folder that is not empty; in one that was a run's before, as its lock says, what the beginning of a run
/// leaves is nothing.
fn refuse_occupied(path: &Path, ours: bool) -> Result<(), RunError> {
    let passing = |name: &str| {
        name == LOCK || (ours && (is_partial(name) || BEFORE_CONFIG.iter().any(|file| name == file.name())))
    };
    let empty = list(path)?.iter().all(|(name, _)| passing(name));
    if empty { Ok(()) } else { Err(RunError::NotEmpty(path.to_owned())) }
}

/// What is in a folder, by name.
fn list(path: &Path) -> Result<Vec<(String, PathBuf)>, RunError> {
    let named = |entry: fs::DirEntry| (entry.file_name().to_string_lossy().into_owned(), entry.path());
    let listed = fs::read_dir(path).and_then(|entries| entries.map(|entry| entry.map(named)).collect());
    listed.map_err(|source| RunError::Folder { path: path.to_owned(), source })
}

/// Removes what a process that was killed was writing.
fn clear(path: &Path) -> Result<(), RunError> {
    remove_partial(path).map_err(|source| RunError::Folder { path: path.to_owned(), source })
}

fn is_partial(name: &str) -> bool {
    name.starts_with(PARTIAL)
}

fn remove(path: &Path) -> Result<(), RunError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(RunError::Folder { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
