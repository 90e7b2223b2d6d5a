//! What is kept in the user's cache folder between runs: how long kernels took on the adapters of this machine
//! (`kernels.json`), and what drivers made of kernels (`pipelines-*.bin`).

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::{debug, warn};

use crate::engine::{Measurements, PipelineStore};
use crate::files::read;
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
