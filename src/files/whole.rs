//! Files written whole: a reader finds the old contents or the new, never a part.
//!
//! On Linux a file has no name until all of it is written, so a process that is killed leaves nothing. Elsewhere, and on
//! file systems that lack this, it has a name that begins with [`PARTIAL`].

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};
use thiserror::Error;

/// How the names of files begin that are still being written.
pub(crate) const PARTIAL: &str = ".partial-";

/// Why a file could not be written.
#[derive(Debug, Error)]
#[error("{}: cannot be written: {source}; check that its folder exists, may be written and has room", path.display())]
pub struct WriteError {
    /// The file to be written.
    pub path: PathBuf,
    /// The failure itself.
    pub source: io::Error,
}

/// Writes what `fill` puts out as the file `path`, in place of one that may be there.
///
/// The bytes go to a temporary file in the same folder, which is flushed to the disk and then renamed; on failure the
/// old file stays.
///
/// # Errors
/// Any failure of `fill` or of the file system.
pub fn write_whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), WriteError> {
    replace(path, None, true, fill)
}

/// As [`write_whole`], but the file that was there stays as `before`, in the same folder. A process that ends between
/// the two renames leaves `before` only.
///
/// # Errors
/// As those of [`write_whole`].
pub fn write_whole_keeping(
    path: &Path,
    before: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    replace(path, Some(before), true, fill)
}

/// [`write_whole`] without waiting for the disk, for the many files that the same command makes again: another program
/// sees the old contents or the new, but a power cut may leave either, or none.
///
/// # Errors
/// As those of [`write_whole`].
pub fn replace_whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), WriteError> {
    replace(path, None, false, fill)
}

/// A file that is written at any place, by several threads at once, and appears whole: gone when dropped before
/// [`Whole::finish`].
pub(crate) struct Whole {
    partial: Partial,
    path: PathBuf,
}

impl Whole {
    /// Begins the file `path`.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub(crate) fn begin(path: &Path) -> Result<Self, WriteError> {
        let partial = refuse_special(path).and_then(|()| Partial::new(folder_of(path)));
        let failed = |source| WriteError { path: path.to_owned(), source };
        Ok(Self { partial: partial.map_err(failed)?, path: path.to_owned() })
    }

    /// What is written so far.
    pub(crate) fn file(&self) -> &File {
        self.partial.file()
    }

    /// Puts it in the place of what may be there, once it is on the disk; returns it to be read.
    ///
    /// # Errors
    /// Any failure of the file system; the old file stays.
    pub(crate) fn finish(self) -> Result<File, WriteError> {
        let Self { partial, path } = self;
        let finish = || {
            partial.file().sync_all()?;
            let file = partial.persist(&path)?;
            sync_folder(folder_of(&path))?;
            Ok(file)
        };
        finish().map_err(|source| WriteError { path: path.clone(), source })
    }
}

/// Bytes that a process without privileges may still write to the file system of a folder, where the system tells.
#[allow(clippy::useless_conversion, reason = "other systems count in narrower numbers")]
pub(crate) fn free_space(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let there = nix::sys::statvfs::statvfs(folder).ok()?;
        Some(u64::from(there.blocks_available()).saturating_mul(u64::from(there.fragment_size())))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

/// A file without a name in `folder`, to be written and read; gone when dropped.
///
/// # Errors
/// Any failure of the file system.
pub(crate) fn scratch(folder: &Path) -> io::Result<File> {
    tempfile::tempfile_in(folder)
}

fn replace(
    path: &Path,
    before: Option<&Path>,
    durable: bool,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    replace_as(path, before, durable, None, fill)
}

/// The same, with these permissions in place of the usual ones.
pub(super) fn replace_as(
    path: &Path,
    before: Option<&Path>,
    durable: bool,
    permissions: Option<Permissions>,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    let folder = folder_of(path);
    let write = || {
        refuse_special(path)?;
        let partial = Partial::new(folder)?;
        if let Some(permissions) = permissions {
            partial.file().set_permissions(permissions)?;
        }
        let mut out = BufWriter::new(partial.file());
        fill(&mut out)?;
        out.flush()?;
        drop(out);
        if durable {
            partial.file().sync_all()?;
        }
        if let Some(before) = before {
            rename_if_there(path, before)?;
        }
        partial.persist(path)?;
        if durable { sync_folder(folder) } else { Ok(()) }
    };
    write().map_err(|source| WriteError { path: path.to_owned(), source })
}

/// Gives the file `from` the place `to` in the same folder, whatever is there.
///
/// # Errors
/// Any failure of the file system.
pub fn rename_whole(from: &Path, to: &Path) -> Result<(), WriteError> {
    let rename = fs::rename(from, to).and_then(|()| sync_folder(folder_of(to)));
    rename.map_err(|source| WriteError { path: to.to_owned(), source })
}

/// Makes a folder and those above it, so that they last.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = folder_of(path);
    make_folder(above)?;
    match fs::create_dir(path) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made?,
    }
    sync_folder(above)
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

/// The folder that a file or folder lies in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Refuses to put a file in the place of a device or a pipe.
fn refuse_special(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(there) if !there.is_file() && !there.is_dir() => {
            Err(io::Error::other("it is a device or a pipe, which no file replaces; name a file"))
        }
        _ => Ok(()),
    }
}

/// Removes what killed processes left in a folder that belongs to this one: files and folders that were being written.
///
/// # Errors
/// Any failure of the file system.
pub(crate) fn remove_partial(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(PARTIAL.as_bytes()) {
            // Of the entry itself: a link to a folder is no folder.
            let removed = if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())
            } else {
                fs::remove_file(entry.path())
            };
            match removed {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
    }
    Ok(())
}

/// A file being written, readable by whom the umask allows, gone when dropped.
enum Partial {
    #[cfg(target_os = "linux")]
    Unnamed(File),
    Named(NamedTempFile),
}

impl Partial {
    fn new(folder: &Path) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        if let Some(file) = unnamed::new(folder) {
            return Ok(Self::Unnamed(file));
        }
        Self::named(folder)
    }

    fn named(folder: &Path) -> io::Result<Self> {
        let mut builder = Builder::new();
        builder.prefix(PARTIAL);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        Ok(Self::Named(builder.tempfile_in(folder)?))
    }

    fn file(&self) -> &File {
        match self {
            #[cfg(target_os = "linux")]
            Self::Unnamed(file) => file,
            Self::Named(file) => file.as_file(),
        }
    }

    /// Gives it its name, whatever has that.
    fn persist(self, path: &Path) -> io::Result<File> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Unnamed(file) => unnamed::name(&file, path).map(|()| file),
            Self::Named(file) => Ok(file.persist(path)?),
        }
    }
}

/// Files without a name, as Linux has them.
#[cfg(target_os = "linux")]
mod unnamed {
    use std::fs::{self, File};
    use std::io;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU64, Ordering};

    use nix::fcntl::{AT_FDCWD, AtFlags};
    use nix::unistd::linkat;

    use super::{PARTIAL, folder_of};

    /// A new one in `folder`; none where the file system has none, or where it could get no name later.
    pub(super) fn new(folder: &Path) -> Option<File> {
        let file = File::options().read(true).write(true).custom_flags(libc::O_TMPFILE).open(folder).ok()?;
        open_file(&file).exists().then_some(file)
    }

    /// Gives one its name, whatever has that.
    pub(super) fn name(file: &File, path: &Path) -> io::Result<()> {
        match link(file, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            linked => return linked,
        }
        // Only a rename replaces what is there.
        let passing = passing_name(file, folder_of(path))?;
        let renamed = fs::rename(&passing, path);
        if renamed.is_err() {
            let _ = fs::remove_file(&passing);
        }
        renamed
    }

    fn passing_name(file: &File, folder: &Path) -> io::Result<PathBuf> {
        static NAMES: AtomicU64 = AtomicU64::new(0);
        loop {
            let name = format!("{PARTIAL}{}-{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed));
            let path = folder.join(name);
            match link(file, &path) {
                // The id may be that of a process on another machine.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                linked => return linked.map(|()| path),
            }
        }
    }

    /// Fails where there is something under the name, be it a link.
    fn link(file: &File, path: &Path) -> io::Result<()> {
        Ok(linkat(AT_FDCWD, &open_file(file), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)?)
    }

    fn open_file(file: &File) -> PathBuf {
        format!("/proc/self/fd/{}", file.as_raw_fd()).into()
    }
}

/// Makes the rename last through a power cut, where folders can be flushed.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_files_appear_whole_and_replace_what_is_there() {
        let folder = tempfile::TempDir::new().unwrap();
        let [path, other] = ["file", "other"].map(|name| folder.path().join(name));
        for new in [Partial::new, Partial::named] {
            let write = |text: &str| {
                let partial = new(folder.path()).unwrap();
                partial.file().write_all(text.as_bytes()).unwrap();
                partial.persist(&path).unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), text);
            };
            write("first");
            write("second");
            #[cfg(unix)]
            {
                fs::write(&other, "another's").unwrap();
                fs::remove_file(&path).unwrap();
                std::os::unix::fs::symlink(&other, &path).unwrap();
                write("third");
                assert!(!path.is_symlink());
                assert_eq!(fs::read(&other).unwrap(), b"another's");
            }
            drop(new(folder.path()).unwrap());
            fs::remove_file(&path).unwrap();
            let left = fs::read_dir(folder.path()).unwrap().filter(|entry| entry.as_ref().unwrap().path() != other);
            assert_eq!(left.count(), 0);
        }
    }
}
