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

/// A safetensors file. The length of the header stands first in it, where mutations seldom find it again, so it is set
/// here: the input is the header, a zero byte, then the tensors' bytes. An input that begins with a zero byte is the file
/// itself.
pub fn safetensors(bytes: &[u8]) -> Vec<u8> {
    if let Some((0, file)) = bytes.split_first() {
        return file.to_vec();
    }
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (header, tensors) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    [&(header.len() as u64).to_le_bytes()[..], header, tensors].concat()
}
