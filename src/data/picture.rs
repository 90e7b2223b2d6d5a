//! Picture files: PNG, JPEG and BMP, told by their contents, whatever the name.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};
use thiserror::Error;

/// Longest side of a picture that is read, in pixels.
pub const MAX_SIDE: u32 = 20_000;
/// Most memory that the decoding of one picture may take, in bytes: 100 megapixels in colour, and some.
const MAX_MEMORY: u64 = 512 << 20;
/// Most values that a byte of a file stands for: deflate packs 1032 bytes into one, of 8 pixels each in black and white,
/// which become three values each where they have a palette.
const MOST_PER_BYTE: u64 = 1 << 15;
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
    /// Cut short, or other than its format wants.
    #[error("damaged: {0}")]
    Damaged(String),
    /// It cannot be scaled.
    #[error("cannot be scaled: {0}")]
    Scale(String),
}

/// Reads a picture, turned upright as its metadata says. The header is judged before memory is given.
///
/// # Errors
/// A file that cannot be read, is empty, of another format, too large, or damaged.
pub fn read_picture(path: &Path) -> Result<DynamicImage, PictureError> {
    let opened = File::open(path).map_err(PictureProblem::Read);
    let picture = opened.and_then(|file| decode(BufReader::new(file)));
    picture.map_err(|problem| PictureError { path: path.to_owned(), problem })
}

fn decode(mut file: BufReader<File>) -> Result<DynamicImage, PictureProblem> {
    if file.fill_buf().map_err(PictureProblem::Read)?.is_empty() {
        return Err(PictureProblem::Empty);
    }
    let length = file.get_ref().metadata().map_err(PictureProblem::Read)?.len();
    let mut reader = ImageReader::new(file).with_guessed_format().map_err(PictureProblem::Read)?;
    if reader.format().is_none() {
        return Err(PictureProblem::Format);
    }
    // The sides are judged below, where they can be named.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| problem(error, (0, 0)))?;
    let (width, height) = decoder.dimensions();
    if width > MAX_SIDE || height > MAX_SIDE || decoder.total_bytes() > MAX_MEMORY {
        return Err(PictureProblem::TooLarge { width, height });
    }
    if width == 0 || height == 0 {
        return Err(PictureProblem::Damaged(format!("{width} x {height} pixels")));
    }
    if decoder.total_bytes() > length.saturating_mul(MOST_PER_BYTE).saturating_add(FREE) {
        return Err(PictureProblem::Damaged(format!("{width} x {height} pixels in {length} bytes")));
    }
    // A picture whose metadata are odd is still a picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| problem(error, (width, height)))?;
    picture.apply_orientation(orientation);
    Ok(picture)
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
