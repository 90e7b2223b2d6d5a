//! What is kept in the user's cache folder between runs: how long kernels took on the adapters of this machine
//! (`kernels.json`), and what drivers made of kernels (`pipelines-*.bin`).

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::{debug, warn};

use crate::engine::{Measurements, PipelineStore};
use crate::files::{read, wait_for_lock};
use crate::format::{self, NewerFormat};
use crate::run::{WriteError, replace_whole};

/// Longest files that are read, in bytes.
const MAX_BYTES: u64 = 16 << 20;
const MAX_PIPELINE_BYTES: u64 = 256 << 20;
/// Bytes of the checksum before a driver's.
const CHECKSUM: usize = 32;

/// What the file of measurements holds.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    format: u64,
    devices: T,
}

/// The part of it that every version has.
#[derive(Deserialize)]
struct Head {
    format: u64,
}

/// Why measurements could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A newer program wrote the file.
    #[error(transparent)]
    Newer(#[from] NewerFormat),
    /// The file or its lock cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The file that measurements of kernels are kept in.
#[derive(Clone, Debug)]
pub struct KernelCache {
    path: PathBuf,
}

impl KernelCache {
    /// The file in a folder, which need not exist.
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join("kernels.json") }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in the file; nothing where there is none, or, with a warning, where it is not what was written, or is what a
    /// newer program wrote.
    pub fn read(&self) -> Measurements {
        if let Err(newer) = self.refuse_newer() {
            warn!("{newer}; until then it is taken for empty");
            return Measurements::default();
        }
        match self.try_read() {
            Ok(measurements) => measurements,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Measurements::default(),
            Err(error) => {
                let path = self.path.display();
                warn!("{path}: {error}; it is taken for empty, and `pkdgan tune` writes it anew");
                Measurements::default()
            }
        }
    }

    fn try_read(&self) -> io::Result<Measurements> {
        let text = read(&self.path, MAX_BYTES)?;
        // Version 1 was the list alone.
        if serde_json::from_slice::<Head>(&text).is_err() {
            return Ok(serde_json::from_slice(&text)?);
        }
        Ok(serde_json::from_slice::<Kept<_>>(&text)?.devices)
    }

    /// Refuses the file of a newer program: who writes over it loses what that program measured.
    ///
    /// # Errors
    /// A file of a newer format.
    pub fn refuse_newer(&self) -> Result<(), NewerFormat> {
        // Other faults are found when it is read.
        let head = read(&self.path, MAX_BYTES).ok().and_then(|text| serde_json::from_slice::<Head>(&text).ok());
        head.map_or(Ok(()), |head| format::check(&self.path, head.format, format::KERNEL_CACHE))
    }

    /// Changes what is in the file, and says what it holds then. Nobody else changes it at the same time, so what other
    /// processes measure is kept.
    ///
    /// # Errors
    /// A file of a newer format, and a folder or file that cannot be written.
    pub fn update(&self, change: impl FnOnce(&mut Measurements)) -> Result<Measurements, CacheError> {
        let _held = self.lock()?;
        self.refuse_newer()?;
        let mut measurements = self.read();
        change(&mut measurements);
        self.write(&measurements)?;
        Ok(measurements)
    }

    /// Waits until no other process changes the file. The lock is a file of its own, since the measurements' is replaced
    /// each time. It goes with the process, however that ends.
    fn lock(&self) -> Result<File, WriteError> {
        let path = self.path.with_extension("lock");
        let failed = |source| WriteError { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        // Without locks two at once may still lose what one of them measured.
        wait_for_lock(&path).map_err(failed)
    }

    /// Writes the file whole, and the folder where it lies if need be. [`KernelCache::refuse_newer`] comes first.
    ///
    /// # Errors
    /// A folder or file that cannot be written.
    pub fn write(&self, measurements: &Measurements) -> Result<(), WriteError> {
        write(&self.path, |mut out| {
            let kept = Kept { format: format::KERNEL_CACHE, devices: measurements };
            serde_json::to_writer_pretty(&mut out, &kept)?;
            out.write_all(b"\n")
        })
    }
}

/// Files of drivers' bytes in a folder, each behind its checksum: drivers trust what they are given.
///
/// Their names stand for version 1 of their format. A later version takes other names, so that neither program reads or
/// overwrites the other's.
#[derive(Clone, Debug)]
pub struct PipelineFiles {
    folder: PathBuf,
}

impl PipelineFiles {
    /// Files in a folder, which need not exist.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("pipelines-{key}.bin"))
    }
}

impl PipelineStore for PipelineFiles {
    fn read(&self, key: &str) -> Option<Vec<u8>> {
        let mut bytes = read(&self.path(key), MAX_PIPELINE_BYTES).ok()?;
        if bytes.len() < CHECKSUM {
            return None;
        }
        let data = bytes.split_off(CHECKSUM);
        (Sha256::digest(&data)[..] == bytes[..]).then_some(data)
    }

    fn write(&self, key: &str, data: &[u8]) {
        let path = self.path(key);
        let written = write(&path, |out| {
            out.write_all(&Sha256::digest(data))?;
            out.write_all(data)
        });
        // They are compiled again next time, and nobody need do anything about it.
        if let Err(error) = written {
            debug!("{error}");
        }
    }
}

/// Writes a file whole, and the folder where it lies if need be.
fn write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), WriteError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| WriteError { path: folder.to_owned(), source })?;
    }
    replace_whole(path, fill)
}
