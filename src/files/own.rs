//! Files of the program's own, in folders that others may write to. Somebody may have put a symbolic link in their
//! place, so no link is followed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// Makes an empty file. A file or a link that has the name goes; what the link leads to stays as it is.
///
/// # Errors
/// Any failure of the file system.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    match File::create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => return created,
    }
    fs::remove_file(path)?;
    File::create_new(path)
}

/// Opens a regular file as `options` say, but no symbolic link.
///
/// # Errors
/// A link, a device or a pipe, and any failure of the file system.
pub(crate) fn open_own(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let link = || io::Error::other("it is a symbolic link, which is not followed here; remove it");
    // Not to wait for the other end of a pipe.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    #[cfg(not(unix))]
    if path.is_symlink() {
        return Err(link());
    }
    let file = options.open(path).map_err(|error| if path.is_symlink() { link() } else { error })?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file; remove it"));
    }
    Ok(file)
}

/// Opens a file that is there to be locked, and makes it if need be. What it holds stays.
///
/// # Errors
/// As those of [`open_own`].
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    open_own(path, File::options().read(true).write(true).create(true).truncate(false))
}

/// Waits until no other process has locked a file, and locks it, until it is dropped. On a file system without locks it
/// does not wait.
///
/// # Errors
/// As those of [`open_own`].
pub(crate) fn wait_for_lock(path: &Path) -> io::Result<File> {
    let file = open_lock(path)?;
    match file.lock() {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(file),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_is_followed() {
        let folder = tempfile::TempDir::new().unwrap();
        let [victim, link] = ["victim", "link"].map(|name| folder.path().join(name));
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, &link).unwrap();
        for error in [open_lock(&link), open_own(&link, File::options().append(true))].map(Result::unwrap_err) {
            assert!(error.to_string().contains("symbolic link"), "{error}");
        }
        drop(create(&link).unwrap());
        assert!(!link.is_symlink());
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        // A link that leads nowhere makes nothing there.
        fs::remove_file(&link).unwrap();
        symlink(folder.path().join("new"), &link).unwrap();
        open_lock(&link).unwrap_err();
        drop(create(&link).unwrap());
        assert!(!folder.path().join("new").exists());
    }

    #[test]
    fn what_is_no_regular_file_is_refused() {
        let error = open_lock(Path::new("/dev/null")).unwrap_err();
        assert!(error.to_string().contains("no regular file"), "{error}");
    }
}
