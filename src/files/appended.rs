//! A file that the program is told to add to, and that says to the next process how far this one came. A link is followed.

use std::fs::{File, TryLockError};
use std::io::{self, BufReader, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};

use super::{WriteError, open_regular};

/// A file that only this process adds to, while it lives.
#[derive(Debug)]
pub struct Appended {
    path: PathBuf,
    file: File,
}

impl Appended {
    /// Opens a file, or makes it.
    ///
    /// # Errors
    /// What is no regular file, one that another process adds to, and any failure of the file system. On a file system
    /// without locks nobody tells of others.
    pub fn open(path: &Path) -> Result<Self, WriteError> {
        let failed = |source| WriteError { path: path.to_owned(), source };
        // A pipe would be waited for.
        if path.exists() {
            open_regular(path).map_err(failed)?;
        }
        let file = File::options().read(true).append(true).create(true).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(failed(io::Error::other("another process adds to it; name another file")));
            }
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        Ok(Self { path: path.to_owned(), file })
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds, from the start.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn contents(&self) -> io::Result<BufReader<File>> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(BufReader::with_capacity(1 << 16, file))
    }

    /// Leaves the first so many bytes of it.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn cut(&self, len: u64) -> Result<(), WriteError> {
        self.file.set_len(len).map_err(|source| WriteError { path: self.path.clone(), source })
    }

    /// Adds bytes: they are the system's when it returns, so that they stay whatever ends this process.
    ///
    /// # Errors
    /// Any failure of the file system; a part may be there then.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.file.write_all(bytes).map_err(|source| WriteError { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_added_stays_and_one_process_adds() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("rows");
        let mut file = Appended::open(&path).unwrap();
        file.add(b"one\ntw").unwrap();
        let error = Appended::open(&path).unwrap_err().to_string();
        assert!(error.contains("another process"), "{error}");
        file.cut(4).unwrap();
        file.add(b"two\n").unwrap();
        drop(file);
        let mut file = Appended::open(&path).unwrap();
        let mut text = String::new();
        file.contents().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
        // Reading moves no writer.
        file.contents().unwrap().read_exact(&mut [0; 2]).unwrap();
        file.add(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
        Appended::open(folder.path()).unwrap_err();
        #[cfg(unix)]
        Appended::open(Path::new("/dev/null")).unwrap_err();
    }
}
