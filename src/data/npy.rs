//! NumPy's `.npy` format: a header in the words of Python, then the values.
//!
//! Nothing that a header claims is believed before it is checked, and images are read one by one. It knows nothing of
//! archives (`npz.rs`).

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use byteorder::{BigEndian, ByteOrder, LittleEndian, NativeEndian};
use thiserror::Error;

use super::DataError;
use super::idx::MAX_IMAGE;
use super::raw_image::RawImage;
use crate::message::shortened;

/// How a file begins.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header that is read, in bytes: NumPy itself takes no longer one unless told to.
const MAX_HEADER: u32 = 1 << 16;
/// Most dimensions that are read before an array is refused for them.
const MAX_DIMENSIONS: usize = 32;

/// Why a NumPy array is not read as images.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ArrayProblem {
    /// The header is not one that NumPy writes.
    #[error("byte {offset}: no header of a NumPy array ({what}); save it again with numpy.save")]
    Header {
        /// Where it goes wrong.
        offset: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The values are neither bytes nor of 16 bits without sign.
    #[error(
        "values of type {}; 'uint8' and 'uint16' are read: save x.astype('uint8'), after scaling to 0 to 255 where \
         values are in 0 to 1",
        shortened(found)
    )]
    ElementType {
        /// The type as the header has it.
        found: String,
    },
    /// The first dimension runs fastest.
    #[error("values in Fortran order, of which no image is in one place; save numpy.ascontiguousarray(x)")]
    FortranOrder,
    /// No shape of images.
    #[error("shape {shape:?}; {wanted}")]
    Shape {
        /// The shape.
        shape: Vec<u64>,
        /// What is wanted.
        wanted: &'static str,
    },
    /// An image of more values than are read.
    #[error("shape {shape:?}, so images of more than {most} values; save smaller ones")]
    TooLarge {
        /// The shape.
        shape: Vec<u64>,
        /// Most values of an image.
        most: u64,
    },
    /// An archive that is none, or whose members cannot be read.
    #[error("no archive of NumPy arrays that is read ({0}); save it again with numpy.savez or numpy.savez_compressed")]
    Archive(String),
    /// An archive without arrays of images.
    #[error("none of its {0} arrays has a shape of images, [H, W], [N, H, W] or [N, H, W, C]; name another file")]
    NoImages(usize),
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    descr: String,
    fortran_order: bool,
    pub shape: Vec<u64>,
    /// Bytes of it.
    len: u64,
}

/// The shape of each image, and how many there are.
#[derive(Debug, Clone, Copy)]
struct Layout {
    count: u64,
    height: usize,
    width: usize,
    values: usize,
    /// Whether values have 16 bits, and then whether the high byte comes first.
    big_endian: Option<bool>,
}

impl Header {
    /// Reads the header that an array begins with. `path` is what errors name.
    pub(super) fn read(path: &Path, input: &mut impl Read) -> Result<Self, DataError> {
        let mut start = [0; 8];
        exact(path, input, 0, 10, &mut start)?;
        let wrong = |offset, what| array(path, ArrayProblem::Header { offset, what });
        if !start.starts_with(MAGIC) {
            return Err(wrong(0, "it begins otherwise"));
        }
        let mut length = [0; 4];
        let (length, begin) = match start[6] {
            1 => {
                exact(path, input, 8, 10, &mut length[..2])?;
                (LittleEndian::read_u32(&length), 10)
            }
            2 | 3 => {
                exact(path, input, 8, 12, &mut length)?;
                (LittleEndian::read_u32(&length), 12)
            }
            _ => return Err(wrong(6, "an unknown version")),
        };
        if length > MAX_HEADER {
            return Err(wrong(8, "it claims to be longer than 64 KiB"));
        }
        let mut text = vec![0; length as usize];
        exact(path, input, begin, begin + u64::from(length), &mut text)?;
        let header = Words { text: &text, place: 0 }.header(begin + u64::from(length));
        header.map_err(|(place, what)| wrong(begin as usize + place, what))
    }

    /// What the images of the array are like.
    fn layout(&self) -> Result<Layout, ArrayProblem> {
        let big_endian = match self.descr.as_str() {
            "|u1" | "<u1" | ">u1" | "=u1" | "u1" => None,
            "<u2" => Some(false),
            ">u2" => Some(true),
            _ => return Err(ArrayProblem::ElementType { found: self.descr.clone() }),
        };
        let wrong = |wanted| ArrayProblem::Shape { shape: self.shape.clone(), wanted };
        let (count, [height, width, values]) = match self.shape[..] {
            [height, width] => (1, [height, width, 1]),
            [_, _, 1 | 3 | 4] => {
                return Err(wrong(
                    "if it is one image whose channels come last, save x[None], of the shape [1, H, W, C]",
                ));
            }
            [count, height, width] => (count, [height, width, 1]),
            [count, height, width, values @ (1 | 3 | 4)] => (count, [height, width, values]),
            [_, 1 | 3 | 4, _, _] => return Err(wrong("channels come last: save x.transpose(0, 2, 3, 1)")),
            _ => return Err(wrong("images are [H, W], [N, H, W], or [N, H, W, C] of 1, 3 or 4 channels")),
        };
        if self.shape.contains(&0) {
            return Err(wrong("it holds no pixel"));
        }
        if self.fortran_order {
            return Err(ArrayProblem::FortranOrder);
        }
        let len = height.checked_mul(width).and_then(|pixels| pixels.checked_mul(values));
        if len.is_none_or(|len| len > MAX_IMAGE) {
            return Err(ArrayProblem::TooLarge { shape: self.shape.clone(), most: MAX_IMAGE });
        }
        // No more than the values that they multiply to.
        let [height, width, values] = [height, width, values].map(|dim| dim as usize);
        Ok(Layout { count, height, width, values, big_endian })
    }
}

/// Python's words for a dictionary of texts, truths and shapes. Errors are a place and what is wrong there.
struct Words<'a> {
    text: &'a [u8],
    place: usize,
}

type Wrong = (usize, &'static str);

impl Words<'_> {
    fn header(mut self, len: u64) -> Result<Header, Wrong> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.take(b'{')?;
        while !self.has(b'}') {
            let place = self.place;
            let key = self.quoted()?;
            self.take(b':')?;
            let twice = match &*key {
                "descr" => descr.replace(self.descr()?).is_some(),
                "fortran_order" => fortran_order.replace(self.truth()?).is_some(),
                "shape" => shape.replace(self.shape()?).is_some(),
                _ => return Err((place, "an unknown key")),
            };
            if twice {
                return Err((place, "a key is there twice"));
            }
            if !self.has(b',') {
                self.take(b'}')?;
                break;
            }
        }
        self.space();
        if self.place < self.text.len() {
            return Err((self.place, "more behind its end"));
        }
        let missing = (self.place, "it lacks descr, fortran_order or shape");
        let (Some(descr), Some(fortran_order), Some(shape)) = (descr, fortran_order, shape) else {
            return Err(missing);
        };
        Ok(Header { descr, fortran_order, shape, len })
    }

    fn space(&mut self) {
        let rest = &self.text[self.place..];
        self.place += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    }

    /// Takes a character, if it is the next one but spaces.
    fn has(&mut self, wanted: u8) -> bool {
        self.space();
        let there = self.text.get(self.place) == Some(&wanted);
        self.place += usize::from(there);
        there
    }

    fn take(&mut self, wanted: u8) -> Result<(), Wrong> {
        if self.has(wanted) { Ok(()) } else { Err((self.place, "another character is wanted")) }
    }

    fn quoted(&mut self) -> Result<String, Wrong> {
        let quote = if self.has(b'"') { b'"' } else { b'\'' };
        if quote == b'\'' {
            self.take(quote)?;
        }
        let rest = &self.text[self.place..];
        let end = rest.iter().position(|&byte| byte == quote).ok_or((self.place, "a quote is not closed"))?;
        self.place += end + 1;
        Ok(text(&rest[..end]))
    }

    /// The type of an element; that of a record is a list, which no image has.
    fn descr(&mut self) -> Result<String, Wrong> {
        if !self.has(b'[') {
            return self.quoted();
        }
        let (mut depth, start) = (1, self.place - 1);
        while depth > 0 {
            match self.text.get(self.place) {
                Some(b'[') => depth += 1,
                Some(b']') => depth -= 1,
                Some(_) => {}
                None => return Err((self.place, "a list is not closed")),
            }
            self.place += 1;
        }
        Ok(text(&self.text[start..self.place]))
    }

    fn truth(&mut self) -> Result<bool, Wrong> {
        self.space();
        let rest = &self.text[self.place..];
        let (truth, len) = match rest {
            [b'T', b'r', b'u', b'e', ..] => (true, 4),
            [b'F', b'a', b'l', b's', b'e', ..] => (false, 5),
            _ => return Err((self.place, "True or False is wanted")),
        };
        self.place += len;
        Ok(truth)
    }

    fn shape(&mut self) -> Result<Vec<u64>, Wrong> {
        let mut shape = Vec::new();
        self.take(b'(')?;
        while !self.has(b')') {
            let rest = &self.text[self.place..];
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let number = std::str::from_utf8(&rest[..digits]).ok().and_then(|digits| digits.parse().ok());
            shape.push(number.ok_or((self.place, "a length is wanted"))?);
            self.place += digits;
            // As Python 2 writes them.
            if self.text.get(self.place) == Some(&b'L') {
                self.place += 1;
            }
            if shape.len() > MAX_DIMENSIONS {
                return Err((self.place, "too many dimensions"));
            }
            if !self.has(b',') {
                self.take(b')')?;
                break;
            }
        }
        Ok(shape)
    }
}

/// What messages quote.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(char::is_control, "\u{fffd}")
}

/// The images of a NumPy array one after the other, in memory that does not grow with their number.
///
/// An error, and there may be one behind the last image too, ends them.
pub(super) struct NpyImages<R> {
    path: PathBuf,
    input: R,
    layout: Layout,
    /// Bytes of the header, and of an image.
    start: u64,
    len: u64,
    read: u64,
    ended: bool,
}

impl<R: Read> NpyImages<R> {
    /// Goes on behind the header. `path` is what errors name.
    ///
    /// # Errors
    /// What is no array of images.
    pub(super) fn new(path: &Path, header: &Header, input: R) -> Result<Self, DataError> {
        let layout = header.layout().map_err(|problem| array(path, problem))?;
        let Layout { height, width, values, big_endian, .. } = layout;
        let len = (height * width * values * (1 + usize::from(big_endian.is_some()))) as u64;
        Ok(Self { path: path.to_owned(), input, layout, start: header.len, len, read: 0, ended: false })
    }

    fn read(&mut self) -> Result<Option<RawImage>, DataError> {
        let Layout { count, height, width, values, big_endian } = self.layout;
        let at = |images: u64| self.start.saturating_add(images.saturating_mul(self.len));
        let (offset, expected) = (at(self.read), at(count));
        let failed = |offset, source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => DataError::Truncated { path: self.path.clone(), offset, expected },
            _ => DataError::Read { path: self.path.clone(), offset, source },
        };
        let mut bytes = Vec::new();
        if self.read == count {
            self.input.by_ref().take(1).read_to_end(&mut bytes).map_err(|source| failed(offset, source))?;
            let longer = DataError::Trailing { path: self.path.clone(), offset };
            return if bytes.is_empty() { Ok(None) } else { Err(longer) };
        }
        // The vector grows with what is read.
        let outcome = self.input.by_ref().take(self.len).read_to_end(&mut bytes);
        let end = offset + bytes.len() as u64;
        outcome.map_err(|source| failed(end, source))?;
        if bytes.len() as u64 != self.len {
            return Err(failed(end, io::ErrorKind::UnexpectedEof.into()));
        }
        self.read += 1;
        if let Some(big_endian) = big_endian {
            for value in bytes.chunks_exact_mut(2) {
                let number = if big_endian { BigEndian::read_u16(value) } else { LittleEndian::read_u16(value) };
                NativeEndian::write_u16(value, number);
            }
        }
        Ok(Some(RawImage { bytes, height, width, values, wide: big_endian.is_some() }))
    }
}

impl<R: Read> Iterator for NpyImages<R> {
    type Item = Result<RawImage, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.read().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

pub(super) fn array(path: &Path, problem: ArrayProblem) -> DataError {
    DataError::Array { path: path.to_owned(), problem }
}

/// Fills `bytes` from `offset` on, in a file that needs `expected` bytes at least.
fn exact(path: &Path, input: &mut impl Read, offset: u64, expected: u64, bytes: &mut [u8]) -> Result<(), DataError> {
    input.read_exact(bytes).map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => DataError::Truncated { path: path.to_owned(), offset, expected },
        _ => DataError::Read { path: path.to_owned(), offset, source },
    })
}
