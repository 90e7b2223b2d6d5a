//! The files below a folder.

use std::collections::HashSet;
use std::fs::Metadata;
use std::iter::from_fn;
use std::path::{Path, PathBuf, is_separator};

use walkdir::{DirEntry, WalkDir};

use super::{Patterns, PictureError, PictureProblem};

/// How folders are looked through.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Whether folders are entered where another file system is mounted.
    pub cross_file_systems: bool,
    /// Which files are wanted.
    pub patterns: Patterns,
    /// Folders that are not entered, by their canonical paths: their pictures are something else.
    pub without: Vec<PathBuf>,
}

/// What systems and programs put into folders of pictures, beside what begins with a dot.
const LITTER: [&str; 5] = ["Thumbs.db", "ehthumbs.db", "desktop.ini", "@eaDir", "__MACOSX"];

/// [`Search::files_below`] without patterns.
pub fn files_below(
    folder: &Path,
    cross_file_systems: bool,
) -> impl Iterator<Item = Result<PathBuf, PictureError>> + use<> {
    Search { cross_file_systems, ..Search::default() }.files_below(folder)
}

impl Search {
    /// The files below a folder and the folders in it, sorted by name, as they are found. Those whose name begins with a
    /// dot are left out, and what systems put there. Links are followed. A folder that several paths lead to is looked
    /// into once. Given a file, that file alone.
    ///
    /// An entry that cannot be listed is an error in its place, and so is one that patterns leave out. So is a folder
    /// that another file system is mounted on, unless it is to be entered: below `/` are those of the kernel, whose files
    /// do not end. A link may lead anywhere.
    pub fn files_below(&self, folder: &Path) -> impl Iterator<Item = Result<PathBuf, PictureError>> + use<> {
        found(folder, self.clone())
    }

    /// Whether [`Search::files_below`] of a folder would find a file by this path below it, as far as names tell, and file
    /// systems. For files of which something else says that they are there.
    pub fn finds(&self, folder: &Path, inner: &Path) -> bool {
        let mut path = folder.to_owned();
        let mut above = None;
        for name in inner.components() {
            if !self.cross_file_systems && above.is_none() {
                above = path.metadata().ok().map(|there| system(&there));
            }
            path.push(name);
            if is_hidden(&path) {
                return false;
            }
            let here = path.symlink_metadata().ok().filter(Metadata::is_dir).map(|there| system(&there));
            if !self.cross_file_systems && here.is_some() && here != above {
                return false;
            }
            above = here;
        }
        let folders = inner.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        self.patterns.wants(inner) && !folders.into_iter().any(|folder| self.patterns.excludes(folder))
    }
}

/// Whether a name begins with a dot, or is one of litter. To take the names out of thousands of paths by their parts would be
/// slow.
fn is_hidden(path: &Path) -> bool {
    let path = path.as_os_str().as_encoded_bytes();
    let name = path.rsplit(|&byte| is_separator(byte.into())).next().unwrap_or_default();
    name.starts_with(b".") || LITTER.iter().any(|litter| name.eq_ignore_ascii_case(litter.as_bytes()))
}

fn found(folder: &Path, search: Search) -> impl Iterator<Item = Result<PathBuf, PictureError>> + use<> {
    let Search { cross_file_systems, patterns, without } = search;
    let hidden = |entry: &DirEntry| entry.depth() > 0 && is_hidden(entry.path());
    let top = folder.to_owned();
    // Entries of one folder, whose paths differ in the names alone; to take these out for each comparison would be slow.
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
            let inner = || entry.path().strip_prefix(&top).unwrap_or(entry.path());
            if !entry.file_type().is_dir() {
                if !entry.file_type().is_file() || hidden(&entry) {
                    continue;
                }
                if entry.depth() > 0 && !patterns.is_empty() && !patterns.wants(inner()) {
                    return failed(entry.into_path(), PictureProblem::Excluded);
                }
                return Some(Ok(entry.into_path()));
            }
            if hidden(&entry) {
                entries.skip_current_dir();
                continue;
            }
            if entry.depth() > 0 && !patterns.is_empty() && patterns.excludes(inner()) {
                entries.skip_current_dir();
                return failed(entry.into_path(), PictureProblem::Excluded);
            }
            if !without.is_empty() && entry.path().canonicalize().is_ok_and(|path| without.contains(&path)) {
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
