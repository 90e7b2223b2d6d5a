//! The course of training: one JSON object a line, each with its `stage` and `step`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{RunError, WriteError, write_whole};
use crate::files::{MAX_LINE, lines, open_own, open_regular};

/// Longest log that is read as a whole, in bytes: the lines of some ten million steps. Resuming holds one line at a time,
/// so it takes any.
const MAX_BYTES: u64 = 1 << 28;

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

    /// Goes on with the log of a run whose stage `stage` is resumed after `step`. Its lines of later steps are removed, and
    /// so is whatever is damaged behind the last line that stays: the log was on the disk up to there when the checkpoint
    /// was written. A log that is missing begins anew.
    ///
    /// # Errors
    /// A file that cannot be read or written, and damage before a line that stays.
    pub fn resume(path: &Path, stage: &str, step: u64) -> Result<Self, RunError> {
        let failed = |source| RunError::Read { path: path.to_owned(), source };
        let file = match open_regular(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                warn!("{}: no log to go on with, beginning a new one", path.display());
                return Self::create(path);
            }
            Err(source) => return Err(failed(source)),
        };
        let stays = |line: &Line| line.stage != stage || line.step <= step;
        // The first line that is none, and why, among those behind the last that stays.
        let mut damaged = None;
        let mut all = true;
        for line in RawLines::new(&file) {
            let line = line.map_err(failed)?;
            match line.parse() {
                Ok(parsed) if stays(&parsed) => {
                    if let Some((number, fault)) = damaged {
                        return Err(RunError::DamagedLog { path: path.to_owned(), number, fault });
                    }
                    continue;
                }
                Ok(_) => {}
                // The line that a process was writing when it ended.
                Err(None) => {}
                Err(Some(fault)) => damaged = damaged.or(Some((line.number, fault))),
            }
            all = false;
        }
        if let Some((number, fault)) = damaged {
            warn!("{}: line {number}: {fault}; it is behind the checkpoint, so it goes", path.display());
        }
        // A link is replaced: what it leads to is somebody else's.
        if !all || path.is_symlink() {
            (&file).rewind().map_err(failed)?;
            write_whole(path, |out| {
                for line in RawLines::new(&file) {
                    let line = line?;
                    if line.parse().is_ok_and(|parsed| stays(&parsed)) {
                        out.write_all(&line.bytes)?;
                    }
                }
                Ok(())
            })?;
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

    /// Waits until all lines are on the disk. A log that somebody removed is written again.
    ///
    /// # Errors
    /// A failure of the disk.
    pub fn sync(&mut self) -> Result<(), RunError> {
        if !self.path.exists() {
            warn!("{}: removed while the run goes on; it is written again", self.path.display());
            let mut file = &self.file;
            write_whole(&self.path, |out| {
                file.rewind()?;
                io::copy(&mut file, out).map(drop)
            })?;
            *self = Self::append_to(&self.path)?;
        }
        self.file.sync_data().map_err(|source| WriteError { path: self.path.clone(), source }.into())
    }

    /// Seconds that a stage was trained for, by its last line in the log at `path`; `None` without such a line.
    pub fn seconds(path: &Path, stage: &str) -> Option<f64> {
        let read = open_regular(path).and_then(|file| {
            let mut seconds = None;
            for line in RawLines::new(&file) {
                if let Ok(line) = line?.parse()
                    && line.stage == stage
                {
                    seconds = line.seconds;
                }
            }
            Ok(seconds)
        });
        read.unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                warn!("{}: {error}; it is not known how long stage {stage} was trained for", path.display());
            }
            None
        })
    }

    fn append_to(path: &Path) -> Result<Self, RunError> {
        let opened = open_own(path, File::options().read(true).append(true).create(true));
        let file = opened.map_err(|source| WriteError { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file })
    }
}

/// The lines of a file one after the other, whatever it holds.
struct RawLines<'a> {
    input: BufReader<&'a File>,
    number: usize,
}

/// A line as it stands in the file, with its end; of one that is too long the beginning.
struct RawLine {
    /// Counted from 1.
    number: usize,
    bytes: Vec<u8>,
}

impl<'a> RawLines<'a> {
    fn new(file: &'a File) -> Self {
        Self { input: BufReader::new(file), number: 0 }
    }

    fn read(&mut self) -> io::Result<Option<RawLine>> {
        let mut bytes = Vec::new();
        let read = self.input.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut bytes)?;
        if read > MAX_LINE {
            self.input.skip_until(b'\n')?;
        }
        self.number += 1;
        Ok((read > 0).then_some(RawLine { number: self.number, bytes }))
    }
}

impl Iterator for RawLines<'_> {
    type Item = io::Result<RawLine>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

impl RawLine {
    /// What resuming reads in it, or why it is no line of a log; a line that is cut short has no reason.
    fn parse(&self) -> Result<Line, Option<String>> {
        if self.bytes.len() > MAX_LINE {
            return Err(Some(format!("it has more than {MAX_LINE} bytes")));
        }
        if !self.bytes.ends_with(b"\n") {
            return Err(None);
        }
        serde_json::from_slice(&self.bytes).map_err(|error| Some(error.to_string()))
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
    let failed = |source| RunError::Read { path: path.to_owned(), source };
    let text = BufReader::new(lines(open_regular(path).map_err(failed)?, MAX_BYTES));
    let logged = text.split(b'\n').enumerate().map(|(number, line)| {
        serde_json::from_slice(&line.map_err(failed)?).map_err(|error| {
            let message = format!("line {}: {error}", number + 1);
            RunError::Damaged { path: path.to_owned(), message }
        })
    });
    logged.collect()
}
