//! The lock of a folder: one process at a time writes there.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use tracing::warn;

use super::RunError;
use crate::files::{open_lock, wait_for_lock};

/// The file that is locked. It stays when the lock goes: a process that opened it before it was removed would lock a
/// file that nobody else sees.
pub(super) const LOCK: &str = ".lock";

/// Longest process id that is read, in bytes.
const MAX_BYTES: u64 = 32;

/// A folder taken by this process. The operating system holds the lock and lets it go with the process, however
/// that ends, so there is none that a dead process left.
#[derive(Debug)]
pub struct Lock {
    _held: File,
}

impl Lock {
    /// Waits until no other process has a folder, and takes it. On a file system without locks it does not wait.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn wait(folder: &Path) -> Result<Self, RunError> {
        let locked = wait_for_lock(&folder.join(LOCK));
        Ok(Self { _held: locked.map_err(|source| RunError::Folder { path: folder.to_owned(), source })? })
    }

    /// Takes a folder.
    ///
    /// # Errors
    /// [`RunError::InUse`] names the process that has taken it; else the folder cannot be written to.
    pub(super) fn take(folder: &Path) -> Result<Self, RunError> {
        let failed = |source| RunError::Folder { path: folder.to_owned(), source };
        let path = folder.join(LOCK);
        let mut file = open_lock(&path).map_err(|source| match path.symlink_metadata() {
            // What is there is at fault, not its folder.
            Ok(there) if !there.is_file() => RunError::Folder { path: path.clone(), source },
            _ => failed(source),
        })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(RunError::InUse { path: folder.to_owned(), process: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                warn!("{}: its file system has no locks; let no other process work on this run", folder.display());
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // Only for the message to others: a disk without room for it is no reason to stop.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _held: file })
    }
}

/// Whether another process has taken a folder.
pub(super) fn is_taken(folder: &Path) -> bool {
    let opened = File::options().read(true).open(folder.join(LOCK));
    opened.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The process named in a locked file, where it can be read: it writes its id right after it locks.
fn holder(file: &mut File) -> Option<u32> {
    for _ in 0..20 {
        let mut text = String::new();
        file.rewind().ok()?;
        Read::by_ref(file).take(MAX_BYTES).read_to_string(&mut text).ok()?;
        if let Ok(process) = text.trim_end().parse() {
            return Some(process);
        }
        sleep(Duration::from_millis(5));
    }
    None
}
