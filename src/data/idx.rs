//! The IDX format of MNIST and its kin: a magic number, big-endian dimensions, then the values, row by row.
//!
//! Nothing that a header claims is believed before it is checked: memory grows with the bytes that are really there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use byteorder::{BigEndian, ReadBytesExt};
use flate2::bufread::MultiGzDecoder;

use super::DataError;

/// Most values that one file may hold (2 GiB of bytes).
pub const MAX_VALUES: u64 = 1 << 31;
/// Most values of one image, where images are read one by one.
pub(super) const MAX_IMAGE: u64 = 1 << 26;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const UNSIGNED_BYTE: u8 = 0x08;

/// The contents of an IDX file of unsigned bytes with `RANK` dimensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx<const RANK: usize> {
    /// Length of each dimension, outermost first; none is zero.
    pub dims: [usize; RANK],
    /// The values, the last dimension running fastest; as many as the product of `dims`.
    pub values: Vec<u8>,
}

/// Reads an IDX file of unsigned bytes, plain or gzip-packed (told by the contents, whatever the name).
///
/// # Errors
/// Anything unreadable, of another type or rank, with a dimension of zero, of more than [`MAX_VALUES`] values, cut
/// short or too long is a [`DataError`].
pub fn read_idx<const RANK: usize>(path: &Path) -> Result<Idx<RANK>, DataError> {
    read_idx_at_most(path, MAX_VALUES)
}

/// As [`read_idx`], but of no more than `most` values.
///
/// # Errors
/// As those of [`read_idx`].
pub(super) fn read_idx_at_most<const RANK: usize>(path: &Path, most: u64) -> Result<Idx<RANK>, DataError> {
    let input = unpacked(path).map_err(|source| DataError::Read { path: path.to_owned(), offset: 0, source })?;
    parse(path, input, most)
}

/// The contents of a file, plain or gzip-packed.
pub(super) fn unpacked(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    unpack(BufReader::new(File::open(path)?))
}

fn unpack(mut file: BufReader<File>) -> io::Result<Box<dyn Read + Send>> {
    if file.fill_buf()?.starts_with(&GZIP_MAGIC) {
        Ok(Box::new(BufReader::new(MultiGzDecoder::new(file))))
    } else {
        Ok(Box::new(file))
    }
}

/// Bytes of the header of a file with so many dimensions.
const fn header_len(rank: usize) -> u64 {
    4 + 4 * rank as u64
}

/// Reads magic number and dimensions.
fn dimensions<const RANK: usize>(path: &Path, input: &mut impl Read) -> Result<[u32; RANK], DataError> {
    let header = header_len(RANK);
    let at = |offset| {
        move |source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => DataError::Truncated { path: path.to_owned(), offset, expected: header },
            _ => DataError::Read { path: path.to_owned(), offset, source },
        }
    };

    let magic = input.read_u16::<BigEndian>().map_err(at(0))?;
    if magic != 0 {
        return Err(DataError::Magic { path: path.to_owned(), found: magic });
    }
    let element = input.read_u8().map_err(at(2))?;
    if element != UNSIGNED_BYTE {
        return Err(DataError::ElementType { path: path.to_owned(), found: element });
    }
    let rank = input.read_u8().map_err(at(3))?;
    if usize::from(rank) != RANK {
        return Err(DataError::Rank { path: path.to_owned(), found: rank, wanted: RANK });
    }

    let mut declared = [0_u32; RANK];
    for (axis, dim) in declared.iter_mut().enumerate() {
        let offset = 4 + 4 * axis as u64;
        *dim = input.read_u32::<BigEndian>().map_err(at(offset))?;
        if *dim == 0 {
            return Err(DataError::EmptyDimension { path: path.to_owned(), offset, axis });
        }
    }
    Ok(declared)
}

/// The product of dimensions, where it is at most `most`.
fn count_of(path: &Path, dims: &[u32], most: u64) -> Result<u64, DataError> {
    dims.iter()
        .try_fold(1_u64, |product, &dim| product.checked_mul(dim.into()))
        .filter(|&count| count <= most)
        .ok_or_else(|| DataError::TooLarge { path: path.to_owned(), dims: dims.to_vec(), most })
}

fn parse<const RANK: usize>(path: &Path, mut input: impl Read, most: u64) -> Result<Idx<RANK>, DataError> {
    let declared = dimensions::<RANK>(path, &mut input)?;
    let count = count_of(path, &declared, most)?;
    let values = read_values(path, &mut input, header_len(RANK), count)?;
    Ok(Idx { dims: declared.map(|dim| dim as usize), values })
}

/// Reads `count` values that must begin at `header` and be the last of the input.
fn read_values(path: &Path, input: &mut impl Read, header: u64, count: u64) -> Result<Vec<u8>, DataError> {
    let expected = header + count;
    let mut values = Vec::new();
    // One byte more than declared, so that a longer file shows; the vector grows with what is read.
    let outcome = input.take(count + 1).read_to_end(&mut values);
    let read = values.len() as u64;
    match outcome {
        Err(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
            Err(DataError::Read { path: path.to_owned(), offset: header + read, source })
        }
        _ if read > count => Err(DataError::Trailing { path: path.to_owned(), offset: expected }),
        // A gzip stream may end early behind its last value too, in the checksum.
        Err(_) => Err(DataError::Truncated { path: path.to_owned(), offset: header + read, expected }),
        Ok(_) if read < count => Err(DataError::Truncated { path: path.to_owned(), offset: header + read, expected }),
        Ok(_) => Ok(values),
    }
}

/// Whether these are the first bytes of an IDX file of any type, or of a packed file. Other formats begin with two zeros too.
pub(super) fn begins_idx(beginning: &[u8]) -> bool {
    beginning.starts_with(&GZIP_MAGIC)
        || matches!(beginning, [0, 0, 0x08 | 0x09 | 0x0b..=0x0e, 1..=8, ..] | [0, 0, 0x08 | 0x09 | 0x0b..=0x0e])
}

/// The images of an IDX file one after the other, in memory that does not grow with their number.
///
/// An error, and there may be one behind the last image too, ends them.
pub(super) struct IdxImages {
    path: PathBuf,
    input: Box<dyn Read + Send>,
    dims: [u32; 3],
    /// Values of an image.
    len: u64,
    /// Images read.
    read: u64,
    ended: bool,
}

impl IdxImages {
    /// Goes on with an IDX file of unsigned bytes with three dimensions, plain or gzip-packed. `path` is what errors name.
    ///
    /// # Errors
    /// As of [`read_idx`], but the values of one image are those counted, at most 64 Mi.
    pub(super) fn new(path: &Path, file: BufReader<File>) -> Result<Self, DataError> {
        let failed = |source| DataError::Read { path: path.to_owned(), offset: 0, source };
        let mut input = unpack(file).map_err(failed)?;
        let dims = dimensions::<3>(path, &mut input)?;
        let len = count_of(path, &dims[1..], MAX_IMAGE)?;
        Ok(Self { path: path.to_owned(), input, dims, len, read: 0, ended: false })
    }

    /// Height and width of each image, in pixels.
    pub(super) fn size(&self) -> [usize; 2] {
        [self.dims[1], self.dims[2]].map(|length| length as usize)
    }

    fn read(&mut self) -> Result<Option<Vec<u8>>, DataError> {
        let offset = header_len(3) + self.read * self.len;
        let expected = header_len(3) + u64::from(self.dims[0]) * self.len;
        let failed = |offset, source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => DataError::Truncated { path: self.path.clone(), offset, expected },
            _ => DataError::Read { path: self.path.clone(), offset, source },
        };
        let mut values = Vec::new();
        if self.read == u64::from(self.dims[0]) {
            self.input.by_ref().take(1).read_to_end(&mut values).map_err(|source| failed(offset, source))?;
            let longer = DataError::Trailing { path: self.path.clone(), offset };
            return if values.is_empty() { Ok(None) } else { Err(longer) };
        }
        let outcome = self.input.by_ref().take(self.len).read_to_end(&mut values);
        let end = offset + values.len() as u64;
        outcome.map_err(|source| failed(end, source))?;
        if values.len() as u64 != self.len {
            return Err(failed(end, io::ErrorKind::UnexpectedEof.into()));
        }
        self.read += 1;
        Ok(Some(values))
    }
}

impl Iterator for IdxImages {
    /// The values of an image, row by row.
    type Item = Result<Vec<u8>, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.read().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}
