//! `kernels.json`: the kernels that a run computes convolutions with, where those are not the default.

use std::io;

use super::{RunError, RunFile, RunFolder, write_whole};
use crate::engine::KernelChoices;
use crate::files::read;

/// Longest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The kernels that a run began with: defaults only where its folder has no file of them. A run that goes on computes
/// with the same ones, whatever was measured since: other kernels round otherwise.
///
/// # Errors
/// A file that cannot be read, or does not hold choices of kernels.
pub fn read_kernels(folder: &RunFolder) -> Result<KernelChoices, RunError> {
    let path = folder.file(RunFile::Kernels);
    match read(&path, MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(KernelChoices::default()),
        Err(source) => Err(RunError::Read { path, source }),
        Ok(text) => {
            serde_json::from_slice(&text).map_err(|error| RunError::Damaged { path, message: error.to_string() })
        }
    }
}

/// Writes the kernels that a run begins with, if there are others than defaults.
///
/// # Errors
/// A file that cannot be written.
pub fn write_kernels(folder: &RunFolder, kernels: &KernelChoices) -> Result<(), RunError> {
    if kernels.is_empty() {
        return Ok(());
    }
    let fill = |mut out: &mut dyn io::Write| {
        serde_json::to_writer_pretty(&mut out, kernels)?;
        out.write_all(b"\n")
    };
    Ok(write_whole(&folder.file(RunFile::Kernels), fill)?)
}
