//! Picture files, told by their contents, whatever the name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::pnm::PnmDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, GrayImage, ImageDecoder, ImageError, ImageFormat, ImageResult, Limits, RgbImage};
use thiserror::Error;

use super::foreign::{BEGINNING, format, is_sidecar, kind};
use super::memory::{Lease, MemoryBudget, TooMuch};
use super::prepared::{Prepared, prepared};
use super::structure::{Structure, structure};
use super::values::{Seen, kept, narrowed};
use super::{Preprocessing, Range, Remarks, jpeg, jpeg_scan};

/// The formats that are read.
pub const FORMATS: &str = "PNG, JPEG, BMP, TIFF, WebP, GIF and PNM";
/// Longest side of a picture that is read, in pixels.
pub const MAX_SIDE: u32 = 20_000;
/// Most memory that one picture may take, in bytes: 100 megapixels in colour, and some.
const MAX_MEMORY: u64 = 512 << 20;
/// Longest file that is read, in bytes: what is not packed takes that and some.
pub const MAX_FILE: u64 = MAX_MEMORY + FREE;
/// Most values that a byte of a JPEG stands for: a block of 64 pixels takes one bit at least; with components that are
/// sampled 4 x 1 and 1 x 4, nine blocks make 32 x 32 pixels of three values.
const MAX_PIXELS_PER_BYTE_OF_JPEG: u64 = 1 << 12;
/// Likewise of PNG, BMP, GIF and PNM, where deflate packs 1032 bytes into one, of 8 pixels each, which become four values each where
/// they have a palette.
const MAX_PIXELS_PER_BYTE: u64 = 1032 * 8 * 4;
/// Largest strip of a TIFF file that is decoded at once, in bytes.
const MAX_STRIP: u64 = 256 << 20;
/// Longest picture in a file of many, in bytes: several wait at once for their turn.
pub(super) const MAX_ROW: u64 = 64 << 20;
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
    /// A row of a table without the bytes of a picture.
    #[error("no bytes in this row; write the pictures themselves into the file, and no names alone")]
    NoBytes,
    /// Too many bytes of a picture in a file of many.
    #[error("longer than {} MiB, which no picture in a file of many may be; save it as a file of its own", MAX_ROW >> 20)]
    LongRow,
    /// A folder on another file system than the one above it.
    #[error("another file system is mounted here, which is left out; --cross-file-systems takes it")]
    Mounted,
    /// None of the formats that are read, nor any other that is known.
    #[error("no picture of a known format; {FORMATS} are read")]
    Format,
    /// Another format, or a kind of picture that is not read.
    #[error("{kind}, which is not read; {todo}")]
    Kind {
        /// What it is.
        kind: String,
        /// What to do with it.
        todo: &'static str,
    },
    /// It lies beside pictures, to say more of them.
    #[error("no picture, but a file beside pictures")]
    Sidecar,
    /// It is left out, as patterns of names want it.
    #[error("left out by --include or --exclude")]
    Excluded,
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

/// How pictures are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reading {
    /// What of the values of 16-bit pictures is white.
    pub range: Range,
    /// Whether a damaged picture is taken for what its decoder makes of it, with a remark.
    pub lenient: bool,
    /// Whether the picture is kept while it is scaled, which takes memory beside it.
    pub keep: bool,
}

impl PictureProblem {
    /// A picture of a format that is read, in a kind that is not. The decoders' words may run over several lines.
    pub(super) fn kind(format: &str, what: &str) -> Self {
        let kind = format!("a {format} picture of an unusual kind ({})", words(what));
        Self::Kind { kind, todo: "convert it to PNG or JPEG" }
    }

    pub(super) fn damaged(what: &str) -> Self {
        Self::Damaged(words(what))
    }

    /// Whether the file is none that is wanted, so that nothing is wrong with it.
    pub fn is_left_out(&self) -> bool {
        matches!(self, Self::Sidecar | Self::Excluded)
    }
}

impl PictureError {
    /// The same of a file that nobody named, but that was found in a folder: it may be one that lies beside pictures.
    #[must_use]
    pub fn found(mut self) -> Self {
        if matches!(self.problem, PictureProblem::Format | PictureProblem::Kind { .. } | PictureProblem::Empty)
            && is_sidecar(&self.path)
        {
            self.problem = PictureProblem::Sidecar;
        }
        self
    }
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Reads a picture with one or three values a pixel, a byte each, turned upright as its metadata says. What is transparent
/// lies on black. The header is checked before memory is given, and the picture keeps to the memory that it is decoded
/// into, but where turning it or its format takes more.
///
/// # Errors
/// A file that cannot be read, is empty, of another format, too large, or damaged.
pub fn read_picture(path: &Path) -> Result<DynamicImage, PictureError> {
    let budget = MemoryBudget::new(u64::MAX);
    let picture = read(path, Reading::default(), &budget, |picture, _, _| Ok(picture));
    picture.map_err(|problem| PictureError { path: path.to_owned(), problem })
}

/// What a network sees of a picture: [`read_picture`], then [`super::PreprocessingInternals::pixels`]. The memory that this takes
/// is taken from a budget.
///
/// # Errors
/// As of both, and a picture that takes more than the whole budget.
pub fn read_pixels(path: &Path, preprocessing: &Preprocessing, budget: &MemoryBudget) -> Result<Vec<u8>, PictureError> {
    Ok(read_noted(path, preprocessing, false, budget)?.0)
}

/// [`read_pixels`], with what is worth knowing beside. A damaged picture is one all the same if `lenient`.
///
/// # Errors
/// As of [`read_pixels`].
pub fn read_noted(
    path: &Path,
    preprocessing: &Preprocessing,
    lenient: bool,
    budget: &MemoryBudget,
) -> Result<(Vec<u8>, Remarks), PictureError> {
    let Prepared { pixels, remarks, .. } = read_prepared(path, preprocessing, lenient, false, budget)?;
    Ok((pixels, remarks))
}

/// [`read_noted`], with the size of the picture, and the picture itself where it is to be kept.
///
/// # Errors
/// As of [`read_pixels`].
pub fn read_prepared<'a>(
    path: &Path,
    preprocessing: &Preprocessing,
    lenient: bool,
    keep: bool,
    budget: &'a MemoryBudget,
) -> Result<Prepared<'a>, PictureError> {
    let reading = Reading { range: preprocessing.range, lenient, keep };
    let prepared = read(path, reading, budget, |picture, remarks, lease| {
        prepared(picture, remarks, preprocessing, keep, Some(lease))
    });
    prepared.map_err(|problem| PictureError { path: path.to_owned(), problem })
}

/// [`read_noted`] of a file whose bytes are in memory; `path` names it.
///
/// # Errors
/// As of [`read_pixels`].
pub fn picture_of(
    bytes: &[u8],
    path: &Path,
    preprocessing: &Preprocessing,
    lenient: bool,
    budget: &MemoryBudget,
) -> Result<(Vec<u8>, Remarks), PictureError> {
    let Prepared { pixels, remarks, .. } = prepared_of(bytes, path, preprocessing, lenient, false, budget)?;
    Ok((pixels, remarks))
}

/// [`read_prepared`] of a file whose bytes are in memory; `path` names it.
///
/// # Errors
/// As of [`read_pixels`].
pub fn prepared_of<'a>(
    bytes: &[u8],
    path: &Path,
    preprocessing: &Preprocessing,
    lenient: bool,
    keep: bool,
    budget: &'a MemoryBudget,
) -> Result<Prepared<'a>, PictureError> {
    let reading = Reading { range: preprocessing.range, lenient, keep };
    let read = guarded(|| {
        let (picture, remarks, lease) = decode(Cursor::new(bytes), bytes.len() as u64, path, reading, budget)?;
        prepared(picture, remarks, preprocessing, keep, Some(lease))
    });
    read.map_err(|problem| PictureError { path: path.to_owned(), problem })
}

/// Whether these are the first bytes of a picture where a text is as likely: some formats begin with two letters.
pub fn begins_picture(beginning: &[u8]) -> bool {
    match format(beginning) {
        None => false,
        Some(ImageFormat::Bmp) => beginning.iter().take(14).any(|&byte| byte == 0),
        Some(ImageFormat::Pnm) => beginning.get(2) == Some(&b'\n'),
        Some(_) => true,
    }
}

/// What is made of a picture while the memory that it takes is lent.
fn read<'a, T>(
    path: &Path,
    reading: Reading,
    budget: &'a MemoryBudget,
    make: impl FnOnce(DynamicImage, Remarks, Lease<'a>) -> Result<T, PictureProblem>,
) -> Result<T, PictureProblem> {
    let mut file = File::open(path).map_err(PictureProblem::Read)?;
    let there = file.metadata().map_err(PictureProblem::Read)?;
    // Some file systems say 0 of every file.
    if there.is_file() && there.len() > 0 {
        let length = there.len();
        if length > MAX_FILE {
            return Err(PictureProblem::TooLong);
        }
        return guarded(|| {
            let (picture, remarks, lease) = decode(BufReader::new(file), length, path, reading, budget)?;
            make(picture, remarks, lease)
        });
    }
    // Decoders go back and forth, which a pipe does not. A device may have no end.
    let mut bytes = Vec::new();
    file.by_ref().take(BEGINNING).read_to_end(&mut bytes).map_err(PictureProblem::Read)?;
    if format(&bytes).is_none() {
        return Err(no_picture(&bytes, path));
    }
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(PictureProblem::Read)?;
    let length = bytes.len() as u64;
    if length > MAX_FILE {
        return Err(PictureProblem::TooLong);
    }
    guarded(|| {
        let (picture, remarks, lease) = decode(Cursor::new(bytes), length, path, reading, budget)?;
        make(picture, remarks, lease)
    })
}

/// Takes a decoder that panics for one that says that its picture is damaged.
fn guarded<T>(read: impl FnOnce() -> Result<T, PictureProblem>) -> Result<T, PictureProblem> {
    // Who looks for such faults wants to see them.
    if cfg!(fuzzing) {
        return read();
    }
    let failed = |_| Err(PictureProblem::Damaged("its decoder gave up".into()));
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(failed)
}

/// What a file is instead.
fn no_picture(beginning: &[u8], path: &Path) -> PictureProblem {
    match kind(beginning, path) {
        _ if beginning.is_empty() => PictureProblem::Empty,
        Some((kind, todo)) => PictureProblem::Kind { kind, todo },
        None => PictureProblem::Format,
    }
}

fn decode<'a>(
    mut file: impl BufRead + Seek,
    length: u64,
    path: &Path,
    reading: Reading,
    budget: &'a MemoryBudget,
) -> Result<(DynamicImage, Remarks, Lease<'a>), PictureProblem> {
    let beginning = file.fill_buf().map_err(PictureProblem::Read)?;
    let beginning = &beginning[..beginning.len().min(BEGINNING as usize)];
    let format = format(beginning).ok_or_else(|| no_picture(beginning, path))?;
    let lend = |bytes| budget.take(bytes).map_err(|TooMuch { needed, most }| PictureProblem::Memory { needed, most });
    let decoded = if format == ImageFormat::Jpeg {
        decode_jpeg(file, length, lend)?
    } else {
        decode_other(file, length, format, reading.keep, lend)?
    };
    let Decoded { width, height, colour, bytes, orientation, several, lack, lease } = decoded;
    let mut damaged = None;
    if let Some(lack) = lack {
        // Of some formats nothing is there before all of it is.
        if !reading.lenient || bytes.iter().all(|&byte| byte == 0) {
            return Err(lack);
        }
        damaged = Some(lack.to_string());
    }
    // A header that declares a greatest value has been heeded already.
    let declared = format == ImageFormat::Pnm;
    let range = if declared { Range::Full } else { reading.range };
    let (bytes, Seen { transparent, bits }) = narrowed(bytes, colour, range);
    let picture = if kept(colour) == 1 {
        GrayImage::from_raw(width, height, bytes).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(width, height, bytes).map(DynamicImage::ImageRgb8)
    };
    let mut picture = picture.ok_or(PictureProblem::Format)?;
    picture.apply_orientation(orientation);
    Ok((picture, Remarks { transparent, bits: bits.filter(|_| !declared), several, damaged }, lease))
}

/// What a decoder made of a file.
struct Decoded<'a> {
    width: u32,
    height: u32,
    colour: ColorType,
    bytes: Vec<u8>,
    orientation: Orientation,
    several: bool,
    /// Why the file is damaged, where it is.
    lack: Option<PictureProblem>,
    lease: Lease<'a>,
}

fn decode_jpeg<'a>(
    mut file: impl BufRead + Seek,
    length: u64,
    lend: impl Fn(u64) -> Result<Lease<'a>, PictureProblem>,
) -> Result<Decoded<'a>, PictureProblem> {
    let limits = [length, MAX_PIXELS_PER_BYTE_OF_JPEG];
    let no_frame = || PictureProblem::Damaged("it has no frame".into());
    let frame = jpeg::frame(&mut file).map_err(PictureProblem::Read)?.ok_or_else(no_frame)?;
    let decoded = frame.decoded();
    check([frame.width, frame.height], [decoded, 0], limits)?;
    // The file is read whole. The coefficients are gone when the picture is turned, and when what is missing is looked for.
    let lease = lend(length.saturating_add(decoded).saturating_add(decoded.max(frame.coefficients())))?;
    file.rewind().map_err(PictureProblem::Read)?;
    let mut packed = Vec::with_capacity(length as usize);
    file.take(MAX_FILE).read_to_end(&mut packed).map_err(PictureProblem::Read)?;
    let headers = jpeg::headers(&packed)?;
    let (width, height, colour) = (headers.width, headers.height, headers.colour);
    let orientation = headers.orientation;
    let pixels = u64::from(width) * u64::from(height) * u64::from(colour.bytes_per_pixel());
    let turned = if swaps_sides(orientation) { pixels } else { 0 };
    check([width, height], [pixels, turned], limits)?;
    if pixels > decoded {
        return Err(no_frame());
    }
    let mut bytes = vec![0; pixels as usize];
    headers.decode(&packed, &mut bytes)?;
    let lack = jpeg_scan::lack(&packed).map(|lack| PictureProblem::Damaged(lack.into()));
    Ok(Decoded { width, height, colour, bytes, orientation, several: false, lack, lease })
}

fn decode_other<'a>(
    mut file: impl BufRead + Seek,
    length: u64,
    format: ImageFormat,
    keep: bool,
    lend: impl Fn(u64) -> Result<Lease<'a>, PictureProblem>,
) -> Result<Decoded<'a>, PictureProblem> {
    let found = structure(&mut file, length, format).map_err(PictureProblem::Read)?;
    let Structure { lack, several, memory, other, .. } = found;
    if let Some(kind) = other {
        return Err(PictureProblem::Kind { kind: kind.into(), todo: "convert it to PNG, TIFF or JPEG" });
    }
    let lack = lack.map(|lack| PictureProblem::Damaged(lack.into()));
    let lack = match lack {
        // The decoder would take as much memory as the file says that there are bytes.
        Some(lack) if format == ImageFormat::WebP => return Err(lack),
        lack => lack,
    };
    // The sides are checked below, where they can be named.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_MEMORY);
    let failed = |error| problem(error, format, (0, 0));
    let mut decoder = decoder(file, format, limits.clone()).map_err(failed)?;
    let (width, height) = decoder.dimensions();
    let (colour, decoded) = (decoder.color_type(), decoder.total_bytes());
    if colour.bytes_per_pixel() / colour.channel_count() > 2 {
        return Err(PictureProblem::kind(name(format), "its values are no whole numbers"));
    }
    let said = match format {
        // A picture whose metadata are odd is still a picture.
        ImageFormat::Png => decoder.exif_metadata().ok().flatten().and_then(|exif| Orientation::from_exif_chunk(&exif)),
        ImageFormat::Tiff => decoder.orientation().ok(),
        _ => None,
    };
    let orientation = said.or(found.orientation).unwrap_or(Orientation::NoTransforms);
    let kept = u64::from(width) * u64::from(height) * kept(colour) as u64;
    let turned = if swaps_sides(orientation) { kept } else { 0 };
    let most_per_byte = match format {
        // A byte may stand for any number of pixels.
        ImageFormat::Tiff | ImageFormat::WebP => u64::MAX,
        _ => MAX_PIXELS_PER_BYTE,
    };
    check([width, height], [decoded, turned], [length, most_per_byte])?;
    let beside = match format {
        // Decoded to memory of its own, perhaps with a value more a pixel, from strips of which one is held.
        ImageFormat::Tiff => {
            limits.max_alloc = Some((decoded / 3 * 4).max(decoded) + decoded.min(MAX_STRIP) + FREE);
            limits.max_alloc.unwrap_or_default()
        }
        ImageFormat::Gif | ImageFormat::WebP => memory,
        _ => 0,
    };
    // The copy that is made of a picture that is kept comes after the rest.
    let copied = if keep { kept } else { 0 };
    let lease = lend(decoded.saturating_add(beside.max(turned).max(copied)))?;
    if format == ImageFormat::Tiff {
        decoder.set_limits(limits).map_err(failed)?;
    }
    let mut bytes = vec![0; decoded as usize];
    let failure = decoder.read_image_boxed(&mut bytes).err().map(|error| problem(error, format, (width, height)));
    let lack = match failure {
        Some(damage @ PictureProblem::Damaged(_)) => Some(damage),
        Some(other) => return Err(other),
        None => lack,
    };
    Ok(Decoded { width, height, colour, bytes, orientation, several, lack, lease })
}

fn decoder<'a>(
    file: impl BufRead + Seek + 'a,
    format: ImageFormat,
    limits: Limits,
) -> ImageResult<Box<dyn ImageDecoder + 'a>> {
    Ok(match format {
        ImageFormat::Bmp => Box::new(BmpDecoder::new(file)?),
        ImageFormat::Gif => {
            let mut decoder = GifDecoder::new(file)?;
            decoder.set_limits(limits)?;
            Box::new(decoder)
        }
        ImageFormat::Pnm => Box::new(PnmDecoder::new(file)?),
        ImageFormat::Tiff => Box::new(TiffDecoder::new(file)?),
        ImageFormat::WebP => Box::new(WebPDecoder::new(file)?),
        _ => Box::new(PngDecoder::with_limits(file, limits)?),
    })
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Pnm => "PNM",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::WebP => "WebP",
        _ => "PNG",
    }
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

fn problem(error: ImageError, format: ImageFormat, (width, height): (u32, u32)) -> PictureProblem {
    match error {
        ImageError::IoError(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
            PictureProblem::Damaged("it is cut short".into())
        }
        // What the decoders say so is no failure of the system.
        ImageError::IoError(source) if source.raw_os_error().is_none() => PictureProblem::damaged(&source.to_string()),
        ImageError::IoError(source) => PictureProblem::Read(source),
        ImageError::Limits(_) if width > 0 => PictureProblem::TooLarge { width, height },
        ImageError::Unsupported(error) => PictureProblem::kind(name(format), &error.to_string()),
        other => PictureProblem::damaged(&other.to_string()),
    }
}
