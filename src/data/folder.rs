//! The files below a folder.

use std::path::{Path, PathBuf, is_separator};

use walkdir::{DirEntry, WalkDir};

use super::{PictureError, PictureProblem};

/// The files below a folder and the folders in it, sorted by name, as they are found; those whose name begins with a
/// dot are left out. Links are followed. Given a file, that file alone.
///
/// An entry that cannot be listed is an error in its place.
pub fn files_below(folder: &Path) -> impl Iterator<Item = Result<PathBuf, PictureError>> + use<> {
    // To take the names out of thousands of paths, here and for each comparison, would be slow.
    let hidden = |entry: &DirEntry| {
        let path = entry.path().as_os_str().as_encoded_bytes();
        let name = path.rsplit(|&byte| is_separator(byte.into())).next();
        entry.depth() > 0 && name.is_some_and(|name| name.starts_with(b"."))
    };
    let top = folder.to_owned();
    // Entries of one folder, whose paths differ in the names alone.
    let by_name = |a: &DirEntry, b: &DirEntry| a.path().as_os_str().cmp(b.path().as_os_str());
    let entries = WalkDir::new(folder).follow_links(true).sort_by(by_name).into_iter();
    entries.filter_entry(move |entry| !hidden(entry)).filter_map(move |entry| match entry {
        Ok(entry) => entry.file_type().is_file().then(|| Ok(entry.into_path())),
        Err(error) => {
            let path = error.path().unwrap_or(&top).to_owned();
            Some(Err(PictureError { path, problem: PictureProblem::Read(error.into()) }))
        }
    })
}
