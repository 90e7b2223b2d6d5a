//! Reading with a bound: a file may be a device without an end, or a few bytes that stand for gigabytes of zeros.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Longest line of a text that is read line by line, in bytes.
pub(crate) const MAX_LINE: usize = 1 << 16;

/// The bytes of a file that has no more than `most` of them.
///
/// # Errors
/// A longer file, and any failure of the file system.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    // Of a device or a pipe nobody knows the length.
    if file.metadata()?.len() > most {
        return Err(too_long(most));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_long(most)) } else { Ok(bytes) }
}

/// Opens a file that ends: no device, and no pipe, which may keep whoever opens it waiting.
///
/// # Errors
/// What is no regular file, and any failure of the file system.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.read(true).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// The text of a file that has no more than `most` bytes.
///
/// # Errors
/// As those of [`read`], and bytes that are no UTF-8.
pub(crate) fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let text = String::from_utf8(read(path, most)?);
    text.map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        io::Error::new(ErrorKind::InvalidData, format!("byte {place}: this is no UTF-8 text"))
    })
}

/// Passes a text on that has no more than `most` bytes, and no line of more than [`MAX_LINE`]: a reader that holds one
/// line at a time stays small.
pub(crate) fn lines<R: Read>(input: R, most: u64) -> Lines<R> {
    Lines { input, most, read: 0, line: 0 }
}

/// See [`lines`].
pub(crate) struct Lines<R> {
    input: R,
    most: u64,
    read: u64,
    /// Bytes of the line at hand.
    line: usize,
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.read += read as u64;
        if self.read > self.most {
            return Err(too_long(self.most));
        }
        for part in buffer[..read].split_inclusive(|&byte| byte == b'\n') {
            self.line += part.len();
            if self.line > MAX_LINE {
                return Err(io::Error::new(
                    ErrorKind::FileTooLarge,
                    format!("byte {}: a line of more than {MAX_LINE} bytes", self.read),
                ));
            }
            if part.ends_with(b"\n") {
                self.line = 0;
            }
        }
        Ok(read)
    }
}

fn too_long(most: u64) -> io::Error {
    io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {most} bytes, so it is no such file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        std::fs::write(&path, b"12\xff").unwrap();
        let error = read_text(&path, 5).unwrap_err();
        assert!(error.to_string().contains("byte 2: "), "{error}");
        // It has no length and no end.
        #[cfg(unix)]
        assert_eq!(read(Path::new("/dev/zero"), 1 << 20).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn lines_have_a_bound_of_their_own() {
        let all = |text: &[u8], most| {
            let mut read = Vec::new();
            lines(text, most).read_to_end(&mut read).map(|_| read)
        };
        let line = [&vec![b'a'; MAX_LINE - 1][..], b"\n"].concat();
        let two = line.repeat(2);
        assert!(all(&two, two.len() as u64).unwrap() == two);
        for (text, most) in [(two.clone(), two.len() as u64 - 1), ([&b"b"[..], &line].concat(), u64::MAX)] {
            assert_eq!(all(&text, most).unwrap_err().kind(), ErrorKind::FileTooLarge);
        }
    }
}
