//! The folder that is watched: which of its files are wanted, and how rows name them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::bail;
use pkdgan::data::{PictureError, PictureProblem};
use pkdgan::unstable::data::{Search, files_below};

/// The folder.
pub(super) struct Folder {
    /// As it was named.
    path: PathBuf,
    /// As the system names it.
    canonical: PathBuf,
    search: Search,
    /// The file of rows, which may lie in it.
    rows: Option<PathBuf>,
}

impl Folder {
    /// A folder whose files are wanted, but for that of the rows.
    pub(super) fn new(path: &Path, search: Search, rows: Option<&Path>) -> anyhow::Result<Self> {
        let canonical = match fs::canonicalize(path) {
            Ok(canonical) if canonical.is_dir() => canonical,
            Ok(_) => bail!("{}: this is no folder; name the one that pictures arrive in", path.display()),
            Err(error) => {
                bail!("{}: cannot be watched: {error}; name the folder that pictures arrive in", path.display())
            }
        };
        let rows = rows.and_then(|rows| fs::canonicalize(rows).ok());
        Ok(Self { path: path.to_owned(), canonical, search, rows })
    }

    /// As the system names it.
    pub(super) fn canonical(&self) -> &Path {
        &self.canonical
    }

    /// It is still there.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        match fs::metadata(&self.path) {
            Ok(there) if there.is_dir() => Ok(()),
            Ok(_) => bail!("{}: the folder is gone, and a file is in its place", self.path.display()),
            Err(error) if error.kind() == ErrorKind::NotFound => bail!(
                "{}: the folder is gone; make it again and start again: pictures that have rows are not scored twice",
                self.path.display()
            ),
            Err(error) => bail!("{}: the folder cannot be looked at any more: {error}", self.path.display()),
        }
    }

    /// Whether rows with this name are of this folder.
    pub(super) fn holds(&self, name: &str) -> bool {
        Path::new(name).starts_with(&self.path)
    }

    /// How rows name a file that the system names so, if it is wanted.
    pub(super) fn named(&self, path: &Path) -> Option<PathBuf> {
        let inner = path.strip_prefix(&self.canonical).ok()?;
        // The folder itself.
        if inner.as_os_str().is_empty() {
            return None;
        }
        (!self.is_rows(inner) && self.search.finds(&self.path, inner)).then(|| self.path.join(inner))
    }

    /// The files that are wanted, and what cannot be listed: all, or those below a folder in it that the system names so.
    pub(super) fn files(&self, below: Option<&Path>) -> Box<dyn Iterator<Item = Result<PathBuf, PictureError>> + '_> {
        let passing = |found: &Result<PathBuf, PictureError>| match found {
            Ok(path) => !path.strip_prefix(&self.path).is_ok_and(|inner| self.is_rows(inner)),
            Err(PictureError { problem: PictureProblem::Excluded, .. }) => false,
            // It was there a moment ago.
            Err(PictureError { problem: PictureProblem::Read(error), .. }) => error.kind() != ErrorKind::NotFound,
            Err(_) => true,
        };
        let Some(below) = below.and_then(|below| below.strip_prefix(&self.canonical).ok()) else {
            return Box::new(self.search.files_below(&self.path).filter(passing));
        };
        // Patterns are for paths from the folder that is watched.
        let wanted = |found: &Result<PathBuf, PictureError>| match found {
            Ok(path) => path.strip_prefix(&self.path).is_ok_and(|inner| self.search.finds(&self.path, inner)),
            Err(_) => true,
        };
        let found = files_below(&self.path.join(below), self.search.cross_file_systems);
        Box::new(found.filter(wanted).filter(passing))
    }

    fn is_rows(&self, inner: &Path) -> bool {
        self.rows.as_ref().is_some_and(|rows| *rows == self.canonical.join(inner))
    }
}
