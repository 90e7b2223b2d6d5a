//! What the fuzz targets share. The library reads files, so an input becomes one, in memory.

use std::path::PathBuf;

use tempfile::TempDir;

/// A folder that is gone when dropped; on a file system in memory where there is one.
pub fn folder() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("pkdgan-fuzz-").tempdir_in(place).expect("room for the input")
}

/// A folder, and a file of this name in it with the input.
pub fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = folder();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("room for the input");
    (folder, path)
}
