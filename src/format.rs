//! Versions of the formats of files that stay: what a newer program wrote is refused in plain words, not misread.
//!
//! This module holds numbers and the error. How a file says its version is up to the module that reads the file. A run
//! folder that says none is of version 1, the format of pkdgan 0.1.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Model files; their metadata says `format` = `pkdgan-ede-gan-4`. Version 1 did not describe layers and score, version 2
/// had no ties among scores, version 3 knew only the latent distance and no scale of heat maps.
pub(crate) const MODEL: u64 = 4;
/// Checkpoints; their metadata says `format` = `pkdgan-checkpoint-1`.
pub(crate) const CHECKPOINT: u64 = 1;
/// Run folders; their `config.toml` says `format = 1`.
pub(crate) const RUN_FOLDER: u64 = 1;
/// The cache of measured kernels; `kernels.json` says `"format": 2`. Version 1 was a list without an object around it.
pub(crate) const KERNEL_CACHE: u64 = 2;
/// Decoded pictures in the cache; the header says it, with the build. What is of another version is made again. Raise it
/// with every change of what pictures decode to: builds from modified sources all have one name.
pub(crate) const DECODED: u64 = 1;

/// A file that a newer version of the program wrote.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{}: written by a newer pkdgan (format {found}, this one reads up to {known}); update pkdgan to use it",
    path.display()
)]
pub struct NewerFormat {
    /// The file.
    pub path: PathBuf,
    /// Its format's version.
    pub found: u64,
    /// The newest version that this program reads.
    pub known: u64,
}

/// Refuses a file at `path` whose format has version `found`, where this program reads versions up to `known`.
///
/// # Errors
/// A newer version.
pub(crate) fn check(path: &Path, found: u64, known: u64) -> Result<(), NewerFormat> {
    if found > known { Err(NewerFormat { path: path.to_owned(), found, known }) } else { Ok(()) }
}
