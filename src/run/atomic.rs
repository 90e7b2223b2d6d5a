//! Files written whole: a reader finds the old contents or the new, never a part.

use std::fs::File;
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
    write(path, fill, true)
}

/// [`write_whole`] without waiting for the disk, for the many files that the same command makes again: another program
/// sees the old contents or the new, but a power cut may leave either, or none.
///
/// # Errors
/// As of [`write_whole`].
pub fn replace_whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), WriteError> {
    write(path, fill, false)
}

fn write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>, durable: bool) -> Result<(), WriteError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let write = || {
        let partial = partial_file(folder)?;
        let mut out = BufWriter::new(partial.as_file());
        fill(&mut out)?;
        out.flush()?;
        drop(out);
        if durable {
            partial.as_file().sync_all()?;
        }
        partial.persist(path)?;
        if durable { sync_folder(folder) } else { Ok(()) }
    };
    write().map_err(|source| WriteError { path: path.to_owned(), source })
}

/// A new temporary file in `folder`, readable by whom the umask allows, removed when dropped.
pub(super) fn partial_file(folder: &Path) -> io::Result<NamedTempFile> {
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
