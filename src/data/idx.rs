//! The IDX format of MNIST and its kin: a magic number, big-endian dimensions, then the values, row by row.
//!
//! Nothing that a header claims is believed before it is checked: memory grows with the bytes that are really there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use byteorder::{BigEndian, ReadBytesExt};
use flate2::bufread::MultiGzDecoder;

use super::DataError;

/// Most values that one file may hold (2 GiB of bytes).
pub const MAX_VALUES: u64 = 1 << 31;

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
    let input = unpacked(path).map_err(|source| DataError::Read { path: path.to_owned(), offset: 0, source })?;
    parse(path, input)
}

/// The contents of a file, plain or gzip-packed.
pub(super) fn unpacked(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut file = BufReader::new(File::open(path)?);
    if file.fill_buf()?.starts_with(&GZIP_MAGIC) {
        Ok(Box::new(BufReader::new(MultiGzDecoder::new(file))))
    } else {
        Ok(Box::new(file))
    }
}

fn parse<const RANK: usize>(path: &Path, mut input: impl Read) -> Result<Idx<RANK>, DataError> {
    let header = 4 + 4 * RANK as u64;
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
    let count = declared
        .iter()
        .try_fold(1_u64, |product, &dim| product.checked_mul(dim.into()))
        .filter(|&count| count <= MAX_VALUES)
        .ok_or_else(|| DataError::TooLarge { path: path.to_owned(), dims: declared.to_vec() })?;

    let values = read_values(path, &mut input, header, count)?;
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
