//! Whether the files of a data set are those published: their lengths, and their checksums where we hold them.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::idx::unpacked;
use super::{CLASSES, Check, Content, DataError, Manifest, cifar};

/// What came of checking one file.
#[derive(Debug)]
pub struct Verified {
    /// The file's name, unpacked.
    pub name: String,
    /// What tells whether it is right.
    pub check: Check,
    /// Where it lies, or what is wrong.
    pub outcome: Result<PathBuf, DataError>,
}

/// Checks every file of `manifest` in the folder of the data set.
pub fn verify(manifest: &Manifest, folder: &Path) -> Vec<Verified> {
    let files = manifest.files.iter().flat_map(|packed| packed.contents.iter().map(move |content| (packed, content)));
    let verified = files.map(|(packed, content)| Verified {
        name: content.name.clone(),
        check: content.check.clone(),
        outcome: packed.find(folder, content).and_then(|path| check_file(&path, content).map(|()| path)),
    });
    verified.collect()
}

/// Checks the contents of the file at `path`, plain or gzip-packed, and stops reading where they are longer than they
/// should be.
pub(super) fn check_file(path: &Path, content: &Content) -> Result<(), DataError> {
    let failed = |offset| move |source| DataError::Read { path: path.to_owned(), offset, source };
    let mut input = unpacked(path).map_err(failed(0))?;
    let mut sum = Sha256::new();
    let (mut buffer, mut offset) = (vec![0; 1 << 16], 0);
    loop {
        let read = match input.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(failed(offset)(error)),
            Err(_) => return Err(DataError::Truncated { path: path.to_owned(), offset, expected: content.size }),
            Ok(read) => &buffer[..read],
        };
        if read.is_empty() {
            break;
        }
        if offset + read.len() as u64 > content.size {
            return Err(DataError::Trailing { path: path.to_owned(), offset: content.size });
        }
        match content.check {
            Check::Sha256(_) => sum.update(read),
            Check::CifarLabels => check_labels(path, offset, read)?,
        }
        offset += read.len() as u64;
    }
    if offset < content.size {
        return Err(DataError::Truncated { path: path.to_owned(), offset, expected: content.size });
    }
    match &content.check {
        Check::Sha256(expected) => match hex(&sum.finalize()) {
            found if found == *expected => Ok(()),
            found => Err(DataError::Checksum { path: path.to_owned(), found, expected: expected.clone() }),
        },
        Check::CifarLabels => Ok(()),
    }
}

/// Checks the labels among the bytes of a CIFAR-10 file that begin at `start`.
fn check_labels(path: &Path, start: u64, bytes: &[u8]) -> Result<(), DataError> {
    let record = cifar::RECORD as u64;
    let first = start.next_multiple_of(record) - start;
    for place in (first..bytes.len() as u64).step_by(cifar::RECORD) {
        let (label, offset) = (bytes[place as usize], start + place);
        if label >= CLASSES {
            let index = (offset / record) as usize;
            return Err(DataError::Label { path: path.to_owned(), index, offset, label });
        }
    }
    Ok(())
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
