//! The course of training: one JSON object a line, each with its `stage` and `step`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{RunError, WriteError, write_whole};

/// `metrics.jsonl`, open for more lines.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

/// What resuming reads.
#[derive(Deserialize)]
struct Line {
    stage: String,
    step: u64,
    #[serde(default)]
    seconds: Option<f64>,
}

impl MetricsLog {
    /// Begins an empty log, in place of one that may be there.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn create(path: &Path) -> Result<Self, RunError> {
        write_whole(path, |_| Ok(()))?;
        Self::append_to(path)
    }

    /// Goes on with the log of a run whose stage `stage` is resumed after `step`: its lines of later steps are removed,
    /// and so is a last line that was cut short. A log that is missing begins anew.
    ///
    /// # Errors
    /// A file that cannot be read or written, and a whole line without `stage` or `step`.
    pub fn resume(path: &Path, stage: &str, step: u64) -> Result<Self, RunError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                warn!("{}: no log to go on with, beginning a new one", path.display());
                String::new()
            }
            Err(source) => return Err(RunError::Read { path: path.to_owned(), source }),
        };
        let mut kept = String::new();
        for (number, line) in text.split_inclusive('\n').filter(|line| line.ends_with('\n')).enumerate() {
            let parsed: Line = serde_json::from_str(line).map_err(|error| {
                let message = format!("line {}: {error}", number + 1);
                RunError::Damaged { path: path.to_owned(), message }
            })?;
            if parsed.stage != stage || parsed.step <= step {
                kept.push_str(line);
            }
        }
        if kept != text {
            write_whole(path, |out| out.write_all(kept.as_bytes()))?;
        }
        Self::append_to(path)
    }

    /// Adds `entry` as one line and hands it to the operating system at once. It must serialize to an object with `stage`
    /// and an integer `step`; numbers that are infinite or NaN become `null`.
    ///
    /// # Errors
    /// An entry that is no JSON object, and a file that cannot be written.
    pub fn append(&mut self, entry: &impl Serialize) -> Result<(), RunError> {
        let written = serde_json::to_vec(entry).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)
        });
        written.map_err(|source| WriteError { path: self.path.clone(), source }.into())
    }

    /// Waits until all lines are on the disk.
    ///
    /// # Errors
    /// A failure of the disk.
    pub fn sync(&self) -> Result<(), RunError> {
        self.file.sync_data().map_err(|source| WriteError { path: self.path.clone(), source }.into())
    }

    /// Seconds that a stage was trained for, by its last line in the log at `path`; `None` without such a line.
    pub fn seconds(path: &Path, stage: &str) -> Option<f64> {
        let text = fs::read_to_string(path).ok()?;
        let lines = text.lines().rev().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        lines.into_iter().find(|line| line.stage == stage)?.seconds
    }

    fn append_to(path: &Path) -> Result<Self, RunError> {
        let opened = File::options().append(true).create(true).open(path);
        let file = opened.map_err(|source| WriteError { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file })
    }
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Logged {
    /// The stage's name.
    pub stage: String,
    /// Steps of it that were done.
    pub step: u64,
    /// Losses and other figures by name; `None` for those that are infinite or NaN.
    #[serde(flatten)]
    pub figures: BTreeMap<String, Option<f64>>,
}

/// Reads the log at `path`, in the order it was written.
///
/// # Errors
/// A file that cannot be read, and a line that is none of a log's; it is named.
pub fn read_metrics(path: &Path) -> Result<Vec<Logged>, RunError> {
    let text = fs::read_to_string(path).map_err(|source| RunError::Read { path: path.to_owned(), source })?;
    let lines = text.lines().enumerate().map(|(number, line)| {
        serde_json::from_str(line).map_err(|error| {
            let message = format!("line {}: {error}", number + 1);
            RunError::Damaged { path: path.to_owned(), message }
        })
    });
    lines.collect()
}
