//! The files below a folder.

use std::collections::HashSet;
use std::fs::Metadata;
use std::iter::from_fn;
use std::path::{Path, PathBuf, is_separator};

use walkdir::{DirEntry, WalkDir};

use super::{PictureError, PictureProblem};

/// The files below a folder and the folders in it, sorted by name, as they are found; those whose name begins with a
/// dot are left out. Links are followed. A folder that several paths lead to is looked into once. Given a file, that
/// file alone.
///
/// An entry that cannot be listed is an error in its place. So is a folder that another file system is mounted on,
/// unless `cross_file_systems`: below `/` are those of the kernel, whose files do not end. A link may lead anywhere.
pub fn files_below(
    folder: &Path,
    cross_file_systems: bool,
) -> impl Iterator<Item = Result<PathBuf, PictureError>> + use<> {
    // To take the names out of thousands of paths, here and for each comparison, would be slow.
    let hidden = |entry: &DirEntry| {
        let path = entry.path().as_os_str().as_encoded_bytes();
        let name = path.rsplit(|&byte| is_separator(byte.into())).next();
        entry.depth() > 0 && name.is_some_and(|name| name.starts_with(b"."))
    };
    let top = folder.to_owned();
    // Entries of one folder, whose paths differ in the names alone.
    let by_name = |a: &DirEntry, b: &DirEntry| a.path().as_os_str().cmp(b.path().as_os_str());
    let mut entries = WalkDir::new(folder).follow_links(true).sort_by(by_name).into_iter();
    let mut seen = HashSet::new();
    // The file system of each folder from the top to the one at hand.
    let mut systems = Vec::new();
    from_fn(move || {
        loop {
            let failed = |path: PathBuf, problem| Some(Err(PictureError { path, problem }));
            let entry = match entries.next()? {
                Ok(entry) => entry,
                // A link to a folder above it, where all is found anyhow.
                Err(error) if error.loop_ancestor().is_some() => continue,
                Err(error) => {
                    return failed(error.path().unwrap_or(&top).to_owned(), PictureProblem::Read(error.into()));
                }
            };
            if !entry.file_type().is_dir() {
                if entry.file_type().is_file() && !hidden(&entry) {
                    return Some(Ok(entry.into_path()));
                }
                continue;
            }
            if hidden(&entry) {
                entries.skip_current_dir();
                continue;
            }
            let there = match entry.metadata() {
                Ok(there) => there,
                Err(error) => {
                    entries.skip_current_dir();
                    return failed(entry.into_path(), PictureProblem::Read(error.into()));
                }
            };
            let system = system(&there);
            systems.truncate(entry.depth());
            let mounted = systems.last().is_some_and(|above| *above != system) && !entry.path_is_symlink();
            systems.push(system);
            if mounted && !cross_file_systems {
                entries.skip_current_dir();
                return failed(entry.into_path(), PictureProblem::Mounted);
            }
            if !seen.insert(identity(&entry, &there)) {
                entries.skip_current_dir();
            }
        }
    })
}

/// What tells a folder from all others.
#[cfg(unix)]
fn identity(_entry: &DirEntry, there: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (there.dev(), there.ino())
}

/// What tells a folder from all others.
#[cfg(not(unix))]
fn identity(entry: &DirEntry, _there: &Metadata) -> PathBuf {
    entry.path().canonicalize().unwrap_or_else(|_| entry.path().to_owned())
}

/// The file system that a folder is on, where the system tells.
#[cfg(unix)]
fn system(there: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::dev(there)
}

/// The file system that a folder is on, where the system tells.
#[cfg(not(unix))]
fn system(_there: &Metadata) -> u64 {
    0
}
