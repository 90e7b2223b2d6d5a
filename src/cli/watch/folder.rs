//! The folder that is watched: which of its files are wanted, and how rows name them.

use std::cell::RefCell;
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
    /// The folder that was last asked about, and where it really is.
    last: RefCell<(PathBuf, PathBuf)>,
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
        Ok(Self { path: path.to_owned(), canonical, search, rows, last: RefCell::default() })
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
        // The folder itself is no file.
        let path = (!inner.as_os_str().is_empty()).then(|| self.real(self.path.join(inner)))?;
        self.wants(&path).then_some(path)
    }

    /// The files that are wanted, and what cannot be listed: all, or those below a folder in it that the system names so.
    pub(super) fn files(&self, below: Option<&Path>) -> Box<dyn Iterator<Item = Result<PathBuf, PictureError>> + '_> {
        let found: Box<dyn Iterator<Item = _>> = match below.and_then(|below| below.strip_prefix(&self.canonical).ok())
        {
            None => Box::new(self.search.files_below(&self.path)),
            // Patterns are for paths from the folder that is watched.
            Some(inner) => Box::new(files_below(&self.path.join(inner), self.search.cross_file_systems)),
        };
        let all = below.is_none();
        let passing = move |found: &Result<PathBuf, PictureError>| match found {
            // All of them are looked for as they are wanted.
            Ok(path) if all => !self.is_rows(path),
            Ok(path) => self.wants(path),
            Err(PictureError { problem: PictureProblem::Excluded, .. }) => false,
            // It was there a moment ago.
            Err(PictureError { problem: PictureProblem::Read(error), .. }) => error.kind() != ErrorKind::NotFound,
            Err(_) => true,
        };
        Box::new(found.map(|found| found.map(|path| self.real(path))).filter(passing))
    }

    /// The same file by the way without links, if there is one within the folder: events and looks may come to it by several
    /// ways, and it is one picture.
    fn real(&self, path: PathBuf) -> PathBuf {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return path };
        let mut last = self.last.borrow_mut();
        if last.0 != parent {
            let canonical = fs::canonicalize(parent).ok();
            let inner = canonical.as_ref().and_then(|canonical| canonical.strip_prefix(&self.canonical).ok());
            let real = inner.map_or_else(|| parent.to_owned(), |inner| self.path.join(inner));
            *last = (parent.to_owned(), real);
        }
        last.1.join(name)
    }

    fn wants(&self, path: &Path) -> bool {
        !self.is_rows(path) && path.strip_prefix(&self.path).is_ok_and(|inner| self.search.finds(&self.path, inner))
    }

    fn is_rows(&self, path: &Path) -> bool {
        let is = |rows: &PathBuf| path.strip_prefix(&self.path).is_ok_and(|inner| *rows == self.canonical.join(inner));
        self.rows.as_ref().is_some_and(is)
    }
}

#[cfg(test)]
mod tests {
    use pkdgan::unstable::data::Patterns;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_file_has_one_name_whatever_tells_of_it() {
        let outer = tempfile::TempDir::new().unwrap();
        let path = outer.path().join("in");
        for folder in ["in/z/deep", "in/.hidden", "in/old", "beside"] {
            fs::create_dir_all(outer.path().join(folder)).unwrap();
        }
        for file in
            ["in/a.png", "in/z/b.png", "in/z/deep/c.png", "in/.hidden/d.png", "in/old/e.png", "in/rows", "beside/f.png"]
        {
            fs::write(outer.path().join(file), "").unwrap();
        }
        // One is found before what it leads to, one leads out, one up.
        for (to, link) in [("z", "in/link"), ("../beside", "in/out"), (".", "in/up"), ("in", "named")] {
            std::os::unix::fs::symlink(to, outer.path().join(link)).unwrap();
        }
        for named in ["in", "named"].map(|name| outer.path().join(name)) {
            let patterns = Patterns::new(&[], &["old/".into()]).unwrap();
            let search = Search { patterns, ..Search::default() };
            let folder = Folder::new(&named, search, Some(&path.join("rows"))).unwrap();
            let inner = |found: PathBuf| found.strip_prefix(&named).unwrap().to_str().unwrap().to_owned();
            let found = |below: Option<&Path>| -> Vec<String> {
                let mut found: Vec<_> = folder.files(below).map(|found| inner(found.unwrap())).collect();
                found.sort();
                found
            };
            assert_eq!(found(None), ["a.png", "out/f.png", "z/b.png", "z/deep/c.png"]);
            let system = |name: &str| folder.canonical().join(name);
            assert_eq!(found(Some(&system("z"))), ["z/b.png", "z/deep/c.png"]);
            assert_eq!(found(Some(&system("old"))), [""; 0]);
            assert_eq!(found(Some(&system(".hidden"))), [""; 0]);
            let told = |name: &str| folder.named(&system(name)).map(inner);
            for (name, expected) in
                [("a.png", "a.png"), ("z/b.png", "z/b.png"), ("link/b.png", "z/b.png"), ("out/f.png", "out/f.png")]
            {
                assert_eq!(told(name).as_deref(), Some(expected));
            }
            for name in ["", "rows", "old/e.png", ".hidden/d.png", "z/.e.png", "Thumbs.db"] {
                assert_eq!(told(name), None, "{name}");
            }
            assert_eq!(folder.named(&outer.path().join("beside/f.png")), None);
            assert!(folder.holds(named.join("x").to_str().unwrap()) && !folder.holds("/else/x"));
            folder.check().unwrap();
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_mounted_is_told_of_only_if_it_is_wanted() {
        let named = |cross_file_systems| {
            let folder = Folder::new(Path::new("/"), Search { cross_file_systems, ..Search::default() }, None).unwrap();
            folder.named(Path::new("/proc/version"))
        };
        assert_eq!((named(false), named(true)), (None, Some("/proc/version".into())));
    }
}
