//! What a process does for the run that it works on, beside the work: it keeps count of the time in `processes.json`, and
//! holds the configuration, without which no other process could go on.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{RunError, RunFile, RunFolder, write_whole};
use crate::config::MAX_CONFIG_BYTES;
use crate::files::read;

/// Longest `processes.json` that is read, in bytes.
const MAX_BYTES: u64 = 1 << 12;

/// The processes that worked on a run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Processes {
    /// How many there were.
    pub processes: u64,
    /// How long all of them took, in seconds; one that was killed counts up to its last checkpoint.
    pub seconds: f64,
}

/// The process that works on a run.
#[derive(Debug)]
pub(super) struct Process {
    started: Instant,
    /// Those before it.
    before: Processes,
    path: PathBuf,
    config: PathBuf,
    config_bytes: Vec<u8>,
}

impl Process {
    /// The next process of a run; it began at `started`.
    pub(super) fn begin(folder: &RunFolder, started: Instant) -> Result<Self, RunError> {
        let (path, config) = (folder.file(RunFile::Processes), folder.file(RunFile::Config));
        let failed = |source| RunError::Read { path: config.clone(), source };
        let config_bytes = read(&config, MAX_CONFIG_BYTES).map_err(failed)?;
        let before = read(&path, MAX_BYTES).and_then(|text| Ok(serde_json::from_slice(&text)?));
        let before = before.unwrap_or_else(|error| {
            // A run of an earlier version has none.
            if error.kind() != io::ErrorKind::NotFound {
                warn!("{}: {error}; earlier processes are not counted", path.display());
            }
            Processes::default()
        });
        let process = Self { started, before, path, config, config_bytes };
        process.keep()?;
        Ok(process)
    }

    /// The processes with this one, up to now.
    pub(super) fn processes(&self) -> Processes {
        let Processes { processes, seconds } = self.before;
        Processes { processes: processes + 1, seconds: seconds + self.started.elapsed().as_secs_f64() }
    }

    /// Writes the time down, and the configuration where somebody removed it.
    pub(super) fn keep(&self) -> Result<(), RunError> {
        if !self.config.exists() {
            warn!("{}: removed while the run goes on; it is written again", self.config.display());
            write_whole(&self.config, |out| out.write_all(&self.config_bytes))?;
        }
        let fill = |mut out: &mut dyn Write| {
            serde_json::to_writer(&mut out, &self.processes())?;
            out.write_all(b"\n")
        };
        // No reason to stop: where the disk is full, the files that matter fail by themselves.
        if let Err(error) = write_whole(&self.path, fill) {
            warn!("{error}; until then the time of this process is not kept");
        }
        Ok(())
    }
}
