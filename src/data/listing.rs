//! The files of a folder of pictures, with a key that changes when one of them does. No picture is opened.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::{DataError, PictureError, Search};

/// How old the latest change of a file must be, so that a later one has another time: some file systems count in steps
/// of two seconds.
const SETTLED: Duration = Duration::from_secs(3);

/// The files below a folder, sorted by name.
pub(super) struct Listing {
    pub folder: PathBuf,
    pub files: Vec<PathBuf>,
    /// What could not be listed.
    pub problems: Vec<PictureError>,
    /// Stands for names, sizes and times of all files.
    pub key: [u8; 32],
    /// Whether the next change of any file is bound to change the key.
    pub settled: bool,
}

impl Listing {
    /// Lists every wanted file below a folder.
    ///
    /// # Errors
    /// No such folder.
    pub(super) fn of(folder: &Path, search: &Search) -> Result<Self, DataError> {
        if !folder.is_dir() {
            return Err(DataError::NoFolder { path: folder.to_owned() });
        }
        let began = SystemTime::now();
        let mut listing =
            Self { folder: folder.to_owned(), files: Vec::new(), problems: Vec::new(), key: [0; 32], settled: true };
        let mut key = Sha256::new();
        for file in search.files_below(folder) {
            match file {
                Ok(path) => {
                    let name = path.strip_prefix(folder).unwrap_or(&path).as_os_str().as_encoded_bytes();
                    key.update((name.len() as u64).to_le_bytes());
                    key.update(name);
                    // What cannot be looked at is found when it is read.
                    if let Ok(there) = fs::metadata(&path) {
                        let state = state(&there);
                        key.update(state.map(i64::to_le_bytes).as_flattened());
                        let changed = UNIX_EPOCH + Duration::from_secs(state[1].max(0).unsigned_abs());
                        listing.settled &= changed + SETTLED < began;
                    }
                    listing.files.push(path);
                }
                Err(error) => listing.problems.push(error),
            }
        }
        listing.key = key.finalize().into();
        Ok(listing)
    }
}

/// What changes with a file: its size, when it was changed in seconds and the rest in nanoseconds, and more where the
/// system tells. Anybody can set the time of the last writing, but not that of the last change.
#[cfg(unix)]
fn state(there: &Metadata) -> [i64; 7] {
    use std::os::unix::fs::MetadataExt;
    let (size, inode) = (there.size().cast_signed(), there.ino().cast_signed());
    let device = there.dev().cast_signed();
    [size, there.ctime(), there.ctime_nsec(), there.mtime(), there.mtime_nsec(), inode, device]
}

/// What changes with a file: its size, when it was changed in seconds and the rest in nanoseconds.
#[cfg(not(unix))]
fn state(there: &Metadata) -> [i64; 3] {
    let since = there.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    [there.len().cast_signed(), since.as_secs().cast_signed(), since.subsec_nanos().into()]
}
