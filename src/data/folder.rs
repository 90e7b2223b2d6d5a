//! The files below a folder.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::{PictureError, PictureProblem};

/// The files below a folder and the folders in it, sorted by name, as they are found; those whose name begins with a
/// dot are left out. Links are followed. Given a file, that file alone.
///
/// An entry that cannot be listed is an error in its place.
pub fn files_below(folder: &Path) -> impl Iterator<Item = Result<PathBuf, PictureError>> + use<> {
    let hidden = |entry: &DirEntry| entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".");
    let top = folder.to_owned();
    // Entries of one folder, whose paths differ in the names alone: to take these out for each comparison is slow.
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
