//! `devices.json`: what each stage of a run computes on.

use std::collections::BTreeMap;
use std::io;

use super::{RunError, RunFile, RunFolder, write_whole};
use crate::engine::DeviceKind;
use crate::files::read;

/// Longest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 16;

/// The kind of device of each stage, by the stage's name. A run that goes on keeps to it, for other devices round
/// otherwise.
pub type StageDevices = BTreeMap<String, DeviceKind>;

/// What the stages of a run compute on; nothing where its folder does not say.
///
/// # Errors
/// A file that cannot be read, or holds something else.
pub fn read_devices(folder: &RunFolder) -> Result<StageDevices, RunError> {
    let path = folder.file(RunFile::Devices);
    match read(&path, MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(StageDevices::new()),
        Err(source) => Err(RunError::Read { path, source }),
        Ok(text) => {
            serde_json::from_slice(&text).map_err(|error| RunError::Damaged { path, message: error.to_string() })
        }
    }
}

/// Writes what the stages of a run compute on.
///
/// # Errors
/// A file that cannot be written.
pub fn write_devices(folder: &RunFolder, devices: &StageDevices) -> Result<(), RunError> {
    let fill = |mut out: &mut dyn io::Write| {
        serde_json::to_writer_pretty(&mut out, devices)?;
        out.write_all(b"\n")
    };
    Ok(write_whole(&folder.file(RunFile::Devices), fill)?)
}
