//! Files written whole: a reader finds the old contents or the new, never a part.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};
use thiserror::Error;

/// How the names of files begin that are still being written.
pub(super) const PARTIAL: &str = ".partial-";

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

fn replace(
    path: &Path,
    before: Option<&Path>,
    durable: bool,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    let folder = folder_of(path);
    let write = || {
        let partial = partial_file(folder)?;
        let mut out = BufWriter::new(partial.as_file());
        fill(&mut out)?;
        out.flush()?;
        drop(out);
        if durable {
            partial.as_file().sync_all()?;
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
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
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
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A new temporary file in `folder`, readable by whom the umask allows, removed when dropped.
fn partial_file(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(PARTIAL);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// Makes the rename last through a power cut, where folders can be flushed.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
