//! Where data sets are looked for: a data folder holds one folder per data set, named after it.

use std::path::{Path, PathBuf};

use super::{DataError, Dataset};

/// The environment variable that may name a data folder.
pub const DATA_VARIABLE: &str = "PKDGAN_DATA";

/// The environment variable that may name a folder to be used in place of the one in the user's cache folder.
pub const CACHE_VARIABLE: &str = "PKDGAN_CACHE";

/// The folder of this program in the user's cache folder, or that of the variable [`CACHE_VARIABLE`], where there is one;
/// need not exist.
pub fn cache_folder() -> Option<PathBuf> {
    let named = std::env::var_os(CACHE_VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    named.or_else(|| dirs::cache_dir().map(|cache| cache.join("pkdgan")))
}

/// The data folders looked in, first to last: that of the variable [`DATA_VARIABLE`], `data` in the working folder, that
/// in the user's cache folder, the system's.
pub fn data_folders() -> Vec<PathBuf> {
    let named = std::env::var_os(DATA_VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let (working, system) = (PathBuf::from("data"), PathBuf::from("/usr/share/datasets"));
    named.into_iter().chain([working]).chain(cache_folder()).chain([system]).collect()
}

impl Dataset {
    /// The data folder below which every file of this data set lies: `chosen` alone, or where that is empty the first
    /// of [`data_folders`].
    ///
    /// # Errors
    /// [`DataError::NotFound`] lists the places looked at.
    pub fn find(self, chosen: &Path) -> Result<PathBuf, DataError> {
        let searched = chosen.as_os_str().is_empty();
        let folders = if searched { data_folders() } else { vec![chosen.to_owned()] };
        let mut missing = Vec::new();
        for folder in folders {
            match self.missing(&folder) {
                None => return Ok(folder),
                Some(path) => missing.push(path),
            }
        }
        let chosen = (!searched).then(|| chosen.to_owned());
        Err(DataError::NotFound { dataset: self, missing, chosen })
    }

    /// The first file that is not below `data`.
    fn missing(self, data: &Path) -> Option<PathBuf> {
        self.files().iter().find_map(|name| match self.file(data, name) {
            Err(DataError::Missing { path }) => Some(path),
            _ => None,
        })
    }
}

/// The first of two paths where something is.
pub(super) fn existing(first: PathBuf, second: PathBuf) -> Result<PathBuf, DataError> {
    match [&first, &second].map(|path| path.exists()) {
        [true, _] => Ok(first),
        [false, true] => Ok(second),
        [false, false] => Err(DataError::Missing { path: first }),
    }
}
