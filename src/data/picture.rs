//! Picture files: PNG, JPEG and BMP, told by their contents, whatever the name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, GrayImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use thiserror::Error;

use super::jpeg;
use super::memory::{Lease, MemoryBudget, TooMuch};
use super::{Preprocessing, PreprocessingInternals};

/// Longest side of a picture that is read, in pixels.
pub const MAX_SIDE: u32 = 20_000;
/// Most memory that one picture may take, in bytes: 100 megapixels in colour, and some.
const MAX_MEMORY: u64 = 512 << 20;
/// Longest file that is read, in bytes: what is not packed takes that and some.
const MAX_FILE: u64 = MAX_MEMORY + FREE;
/// Bytes that tell the format.
const BEGINNING: u64 = 16;
/// Most values that a byte of a JPEG stands for: a block of 64 pixels takes one bit at least; with components that are
/// sampled 4 x 1 and 1 x 4, nine blocks make 32 x 32 pixels of three values.
const MAX_PIXELS_PER_BYTE_OF_JPEG: u64 = 1 << 12;
/// Likewise of other formats: deflate packs 1032 bytes into one, of 8 pixels each, which become four values each where
/// they have a palette.
const MAX_PIXELS_PER_BYTE: u64 = 1032 * 8 * 4;
/// Values that even the shortest file may stand for.
const FREE: u64 = 1 << 20;

/// A picture file that cannot be used.
#[derive(Debug, Error)]
#[error("{}: {problem}", path.display())]
pub struct PictureError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: PictureProblem,
}

/// What can be wrong with a picture.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PictureProblem {
    /// The operating system refuses.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// A file of no bytes.
    #[error("empty file")]
    Empty,
    /// Too many bytes.
    #[error("longer than {} MiB, which no picture is that is read", MAX_FILE >> 20)]
    TooLong,
    /// A folder on another file system than the one above it.
    #[error("another file system is mounted here, which is left out; --cross-file-systems takes it")]
    Mounted,
    /// None of the formats that are read.
    #[error("no PNG, JPEG or BMP picture")]
    Format,
    /// Too many pixels.
    #[error("{width} x {height} pixels; at most {MAX_SIDE} a side and {} MiB in all are read", MAX_MEMORY >> 20)]
    TooLarge {
        /// Width that the header declares.
        width: u32,
        /// Height that the header declares.
        height: u32,
    },
    /// More memory than all pictures together may take.
    #[error("takes {} MiB to decode; at most {} MiB may be taken at once", needed.div_ceil(1 << 20), most >> 20)]
    Memory {
        /// Bytes that it takes.
        needed: u64,
        /// Most bytes.
        most: u64,
    },
    /// Cut short, or other than its format wants.
    #[error("damaged: {0}")]
    Damaged(String),
    /// It cannot be scaled.
    #[error("cannot be scaled: {0}")]
    Scale(String),
}

/// Reads a picture with one or three values a pixel, a byte each, turned upright as its metadata says. Transparency is
/// ignored. The header is checked before memory is given, and the picture keeps to the memory that it is decoded into,
/// but where turning it takes a second one.
///
/// # Errors
/// A file that cannot be read, is empty, of another format, too large, or damaged.
pub fn read_picture(path: &Path) -> Result<DynamicImage, PictureError> {
    let budget = MemoryBudget::new(u64::MAX);
    let picture = read(path, &budget, Ok);
    picture.map_err(|problem| PictureError { path: path.to_owned(), problem })
}

/// What a network sees of a picture: [`read_picture`], then [`PreprocessingInternals::pixels`]. The memory that this takes
/// is taken from a budget.
///
/// # Errors
/// As of both, and a picture that takes more than the whole budget.
pub fn read_pixels(path: &Path, preprocessing: &Preprocessing, budget: &MemoryBudget) -> Result<Vec<u8>, PictureError> {
    let pixels = read(path, budget, |picture| preprocessing.pixels(picture));
    pixels.map_err(|problem| PictureError { path: path.to_owned(), problem })
}

/// What is made of a picture while the memory that it takes is lent.
fn read<T>(
    path: &Path,
    budget: &MemoryBudget,
    make: impl FnOnce(DynamicImage) -> Result<T, PictureProblem>,
) -> Result<T, PictureProblem> {
    let mut file = File::open(path).map_err(PictureProblem::Read)?;
    let there = file.metadata().map_err(PictureProblem::Read)?;
    // Some file systems say 0 of every file.
    if there.is_file() && there.len() > 0 {
        let length = there.len();
        if length > MAX_FILE {
            return Err(PictureProblem::TooLong);
        }
        let (picture, _lease) = decode(BufReader::new(file), length, budget)?;
        return make(picture);
    }
    // Decoders go back and forth, which a pipe does not. A device may have no end.
    let mut bytes = Vec::new();
    file.by_ref().take(BEGINNING).read_to_end(&mut bytes).map_err(PictureProblem::Read)?;
    if bytes.is_empty() {
        return Err(PictureProblem::Empty);
    }
    if !matches!(image::guess_format(&bytes), Ok(ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Bmp)) {
        return Err(PictureProblem::Format);
    }
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(PictureProblem::Read)?;
    let length = bytes.len() as u64;
    if length > MAX_FILE {
        return Err(PictureProblem::TooLong);
    }
    let (picture, _lease) = decode(Cursor::new(bytes), length, budget)?;
    make(picture)
}

fn decode<'a>(
    file: impl BufRead + Seek,
    length: u64,
    budget: &'a MemoryBudget,
) -> Result<(DynamicImage, Lease<'a>), PictureProblem> {
    let mut reader = ImageReader::new(file).with_guessed_format().map_err(PictureProblem::Read)?;
    let most_per_byte = match reader.format() {
        None => return Err(PictureProblem::Format),
        Some(ImageFormat::Jpeg) => MAX_PIXELS_PER_BYTE_OF_JPEG,
        Some(_) => MAX_PIXELS_PER_BYTE,
    };
    let mut lease = None;
    let lend = |bytes| budget.take(bytes).map_err(|TooMuch { needed, most }| PictureProblem::Memory { needed, most });
    if reader.format() == Some(ImageFormat::Jpeg) {
        let mut file = reader.into_inner();
        if let Some(frame) = jpeg::frame(&mut file).map_err(PictureProblem::Read)? {
            let decoded = frame.decoded();
            check([frame.width, frame.height], [decoded, 0], [length, most_per_byte])?;
            // The decoder reads the file whole. Its coefficients are gone when the picture is turned.
            lease = Some(lend(length.saturating_add(decoded).saturating_add(decoded.max(frame.coefficients())))?);
        }
        file.rewind().map_err(PictureProblem::Read)?;
        reader = ImageReader::with_format(file, ImageFormat::Jpeg);
    }
    // The sides are checked below, where they can be named.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| problem(error, (0, 0)))?;
    let (width, height) = decoder.dimensions();
    let (colour, decoded) = (decoder.color_type(), decoder.total_bytes());
    // A picture whose metadata are odd is still a picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let turned = if swaps_sides(orientation) { u64::from(width) * u64::from(height) * kept(colour) as u64 } else { 0 };
    check([width, height], [decoded, turned], [length, most_per_byte])?;
    let lease = lease.map_or_else(|| lend(decoded.saturating_add(turned)), Ok)?;
    let mut bytes = vec![0; decoded as usize];
    decoder.read_image(&mut bytes).map_err(|error| problem(error, (width, height)))?;
    let bytes = narrowed(bytes, colour);
    let picture = if kept(colour) == 1 {
        GrayImage::from_raw(width, height, bytes).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(width, height, bytes).map(DynamicImage::ImageRgb8)
    };
    let mut picture = picture.ok_or(PictureProblem::Format)?;
    picture.apply_orientation(orientation);
    Ok((picture, lease))
}

/// Refuses a picture of so many pixels, whose header asks for more memory than is given, or than its file can fill.
fn check(
    [width, height]: [u32; 2],
    [decoded, turned]: [u64; 2],
    [length, most_per_byte]: [u64; 2],
) -> Result<(), PictureProblem> {
    if width > MAX_SIDE || height > MAX_SIDE || decoded.saturating_add(turned) > MAX_MEMORY {
        return Err(PictureProblem::TooLarge { width, height });
    }
    if width == 0 || height == 0 {
        return Err(PictureProblem::Damaged(format!("{width} x {height} pixels")));
    }
    if decoded > length.saturating_mul(most_per_byte).saturating_add(FREE) {
        return Err(PictureProblem::Damaged(format!("{width} x {height} pixels in {length} bytes")));
    }
    Ok(())
}

fn swaps_sides(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// Values of a pixel without its transparency.
fn kept(colour: ColorType) -> usize {
    if colour.has_color() { 3 } else { 1 }
}

/// Values of a byte or two, in the machine's order, as bytes and without transparency, in the same memory.
fn narrowed(mut bytes: Vec<u8>, colour: ColorType) -> Vec<u8> {
    let (kept, values) = (kept(colour), usize::from(colour.channel_count()));
    let pixel = usize::from(colour.bytes_per_pixel());
    let size = pixel / values;
    if pixel == kept {
        return bytes;
    }
    let pixels = bytes.len() / pixel;
    for place in 0..pixels {
        for value in 0..kept {
            let from = place * pixel + value * size;
            bytes[place * kept + value] = match size {
                1 => bytes[from],
                _ => ((u32::from(u16::from_ne_bytes([bytes[from], bytes[from + 1]])) + 128) / 257) as u8,
            };
        }
    }
    bytes.truncate(pixels * kept);
    bytes.shrink_to_fit();
    bytes
}

fn problem(error: ImageError, (width, height): (u32, u32)) -> PictureProblem {
    match error {
        ImageError::IoError(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
            PictureProblem::Damaged("it is cut short".into())
        }
        ImageError::IoError(source) => PictureProblem::Read(source),
        ImageError::Limits(_) if width > 0 => PictureProblem::TooLarge { width, height },
        ImageError::Unsupported(_) => PictureProblem::Format,
        // The decoders' words may run over several lines.
        other => PictureProblem::Damaged(other.to_string().split_whitespace().collect::<Vec<_>>().join(" ")),
    }
}
