//! What can be wrong with the files of a run, said in one line.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::WriteError;
use crate::format::NewerFormat;
use crate::message::shortened;

/// Why the folder of a run, or a file in it, could not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The folder for a new run has something in it.
    #[error("{}: the folder is not empty; choose another, empty it, or overwrite the run in it with --force", .0.display())]
    NotEmpty(PathBuf),
    /// Another process writes to the folder.
    #[error(
        "{}: {} is at work on this run; wait for it or stop it, or choose another folder",
        path.display(), process.map_or("another process".into(), |id| format!("process {id}"))
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process, where it can be told.
        process: Option<u32>,
    },
    /// What should be a folder is a file.
    #[error("{}: this is a file, not a folder; choose another name", .0.display())]
    NotAFolder(PathBuf),
    /// The folder of a run that should exist does not.
    #[error("{}: no such run folder; name one that a training run wrote", .0.display())]
    NoFolder(PathBuf),
    /// The folder lacks files that the task needs.
    #[error(
        "{}: the run lacks {}; name a folder whose run got that far, or train again",
        path.display(), missing.join(" and ")
    )]
    Incomplete {
        /// The folder.
        path: PathBuf,
        /// Names of the files it lacks.
        missing: Vec<&'static str>,
    },
    /// The folder cannot be made, listed, emptied or written to.
    #[error("{}: {source}; choose a folder that may be written", path.display())]
    Folder {
        /// The folder, or the file in it that failed.
        path: PathBuf,
        /// The failure itself.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}; check that it exists and may be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The failure itself.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {}; the file is damaged or foreign, let the run write it again", path.display(), shortened(message))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The place and the fault.
        message: String,
    },
    /// The log does not hold what it should, before the last line that a resumed run keeps.
    #[error("{}: line {number}: {}; remove the file, and the run goes on with a new log", path.display(), shortened(fault))]
    DamagedLog {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        number: usize,
        /// What is wrong with it.
        fault: String,
    },
    /// A newer version of the program wrote the folder.
    #[error(transparent)]
    Newer(#[from] NewerFormat),
    /// A figure that is to be reported is infinite or not a number.
    #[error("`{key}` is {value}; the run diverged, so train again with a lower training.learning_rate")]
    NotFinite {
        /// The key of the report.
        key: &'static str,
        /// The figure.
        value: f64,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}
