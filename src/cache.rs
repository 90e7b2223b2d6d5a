//! What is kept in the user's cache folder between runs: how long kernels took on the adapters of this machine
//! (`kernels.json`), and what drivers made of kernels (`pipelines-*.bin`).

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tracing::{debug, warn};

use crate::engine::{Measurements, PipelineStore};
use crate::run::{WriteError, replace_whole};

/// Longest files that are read, in bytes.
const MAX_BYTES: u64 = 16 << 20;
const MAX_PIPELINE_BYTES: u64 = 256 << 20;
/// Bytes of the checksum before a driver's.
const CHECKSUM: usize = 32;

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

    /// What is in the file; nothing where there is none, or, with a warning, where it is not what was written.
    pub fn read(&self) -> Measurements {
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
        Ok(serde_json::from_slice(&read(&self.path, MAX_BYTES)?)?)
    }

    /// Writes the file whole, and the folder where it lies if need be.
    ///
    /// # Errors
    /// A folder or file that cannot be written.
    pub fn write(&self, measurements: &Measurements) -> Result<(), WriteError> {
        write(&self.path, |mut out| {
            serde_json::to_writer_pretty(&mut out, measurements)?;
            out.write_all(b"\n")
        })
    }
}

/// Files of drivers' bytes in a folder, each behind its checksum: drivers trust what they are given.
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

/// A file of no more than `longest` bytes.
fn read(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(longest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest {
        return Err(io::Error::other(format!("it is longer than {longest} bytes")));
    }
    Ok(bytes)
}

/// Writes a file whole, and the folder where it lies if need be.
fn write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), WriteError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| WriteError { path: folder.to_owned(), source })?;
    }
    replace_whole(path, fill)
}
