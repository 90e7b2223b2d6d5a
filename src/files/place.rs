//! Reading and writing at places of an open file, by several threads at once.

use std::fs::File;
use std::io;

/// Fills `bytes` with what stands at `offset`.
///
/// # Errors
/// A file that ends before, and any failure of the file system.
pub(crate) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset);
    #[cfg(windows)]
    return {
        let mut done = 0;
        while done < bytes.len() {
            match std::os::windows::fs::FileExt::seek_read(file, &mut bytes[done..], offset + done as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => done += read,
            }
        }
        Ok(())
    };
}

/// Puts `bytes` to `offset`.
///
/// # Errors
/// Any failure of the file system.
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, bytes, offset);
    #[cfg(windows)]
    return {
        let mut done = 0;
        while done < bytes.len() {
            done += std::os::windows::fs::FileExt::seek_write(file, &bytes[done..], offset + done as u64)?;
        }
        Ok(())
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_somewhere_is_found_there() {
        let file = tempfile::tempfile().unwrap();
        write_at(&file, b"later", 100).unwrap();
        write_at(&file, b"early", 3).unwrap();
        let mut bytes = [1; 5];
        for (offset, there) in [(100, b"later"), (3, b"early"), (50, &[0; 5])] {
            read_at(&file, &mut bytes, offset).unwrap();
            assert_eq!(&bytes, there);
        }
        assert_eq!(read_at(&file, &mut bytes, 101).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
