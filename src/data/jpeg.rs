//! JPEG files: the frame header, which says how large the picture is and how it is coded before anything is decoded, and
//! the decoder.

use std::io::{self, BufRead, Read, Seek};

use image::ColorType;
use image::metadata::Orientation;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::picture::PictureProblem;

/// Segments before the frame that are looked through; files have some dozen.
const MAX_SEGMENTS: usize = 10_000;

/// What a frame header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub width: u32,
    pub height: u32,
    pub components: u64,
    /// Whether the picture comes in passes, for which a decoder keeps every coefficient.
    pub progressive: bool,
}

impl Frame {
    /// Bytes of the pixels.
    pub(super) fn decoded(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * if self.components == 1 { 1 } else { 3 }
    }

    /// Bytes of the coefficients that a decoder keeps, of two bytes each.
    pub(super) fn coefficients(&self) -> u64 {
        let whole = |side: u32| u64::from(side).next_multiple_of(32);
        if self.progressive { 2 * self.components * whole(self.width) * whole(self.height) } else { 0 }
    }
}

/// What the headers of a file say.
#[derive(Debug)]
pub(super) struct Headers {
    pub width: u32,
    pub height: u32,
    pub colour: ColorType,
    pub orientation: Orientation,
    colours: ColorSpace,
}

/// Reads the headers of a file that is in memory.
///
/// # Errors
/// A file that is damaged, or of a kind that is not read.
pub(super) fn headers(bytes: &[u8]) -> Result<Headers, PictureProblem> {
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options());
    decoder.decode_headers().map_err(problem)?;
    let unknown = || PictureProblem::Damaged("it has no frame".into());
    let (width, height) = decoder.dimensions().ok_or_else(unknown)?;
    let (colours, colour) = match decoder.input_colorspace().ok_or_else(unknown)? {
        ColorSpace::Luma => (ColorSpace::Luma, ColorType::L8),
        _ => (ColorSpace::RGB, ColorType::Rgb8),
    };
    let exif = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    // A header has two bytes for each.
    let [width, height] = [width, height].map(|side| side as u32);
    Ok(Headers { width, height, colour, orientation: exif.unwrap_or(Orientation::NoTransforms), colours })
}

impl Headers {
    /// Decodes the pixels. Those that the file lacks are grey.
    ///
    /// # Errors
    /// A file that is damaged, or of a kind that is not read.
    pub(super) fn decode(&self, bytes: &[u8], pixels: &mut [u8]) -> Result<(), PictureProblem> {
        let options = options().jpeg_set_out_colorspace(self.colours);
        JpegDecoder::new_with_options(ZCursor::new(bytes), options).decode_into(pixels).map_err(problem)
    }
}

fn options() -> DecoderOptions {
    // What is missing is looked for elsewhere: not even the strict mode finds all of it.
    DecoderOptions::default().set_strict_mode(false).set_max_width(usize::MAX).set_max_height(usize::MAX)
}

fn problem(error: DecodeErrors) -> PictureProblem {
    match error {
        DecodeErrors::Unsupported(kind) => PictureProblem::kind("JPEG", &format!("{kind:?}")),
        error => PictureProblem::damaged(&format!("{error:?}")),
    }
}

/// Looks for the frame header of a file that is at its beginning; `None` where there is none before the first scan.
///
/// # Errors
/// Failures of the file; its end is none.
pub(super) fn frame(file: &mut (impl BufRead + Seek)) -> io::Result<Option<Frame>> {
    match search(file) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        found => found,
    }
}

fn search(file: &mut (impl BufRead + Seek)) -> io::Result<Option<Frame>> {
    for _ in 0..MAX_SEGMENTS {
        // What lies between segments is passed over, as decoders do.
        while byte(file)? != 0xff {}
        let mut marker = byte(file)?;
        while marker == 0xff {
            marker = byte(file)?;
        }
        match marker {
            // Of no content: zeros that are stuffed in, restarts, the beginning of the file.
            0x00 | 0x01 | 0xd0..=0xd8 => continue,
            0xd9 | 0xda => return Ok(None),
            _ => {}
        }
        let length = u16::from_be_bytes([byte(file)?, byte(file)?]);
        // Frames of every kind of coding; the three between are tables.
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let mut header = [0; 6];
            file.read_exact(&mut header)?;
            let [_, h1, h0, w1, w0, components] = header;
            let [height, width] = [[h1, h0], [w1, w0]].map(|side| u16::from_be_bytes(side).into());
            let progressive = matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce);
            return Ok(Some(Frame { width, height, components: components.into(), progressive }));
        }
        file.seek_relative(i64::from(length.saturating_sub(2)))?;
    }
    Ok(None)
}

fn byte(file: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};

    use super::*;

    #[test]
    fn the_frame_is_found_behind_what_comes_before_it() {
        let mut bytes = Vec::new();
        JpegEncoder::new(&mut bytes).encode(&[9; 7 * 5 * 3], 7, 5, ExtendedColorType::Rgb8).unwrap();
        let expected = Frame { width: 7, height: 5, components: 3, progressive: false };
        assert_eq!(frame(&mut Cursor::new(&bytes)).unwrap(), Some(expected));
        assert_eq!((expected.decoded(), expected.coefficients()), (105, 0));
        // A comment that holds what looks like a frame.
        let comment = [&[0xff, 0xff, 0xfe, 0, 12][..], &[0xff, 0xc2, 0, 8, 8, 1, 1, 1, 1, 1]].concat();
        let behind = [&bytes[..2], &comment, &bytes[2..]].concat();
        assert_eq!(frame(&mut Cursor::new(behind)).unwrap(), Some(expected));
        let place = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        let mut passes = bytes.clone();
        passes[place + 1] = 0xc2;
        let progressive = frame(&mut Cursor::new(&passes)).unwrap().unwrap();
        assert!(progressive.progressive);
        assert_eq!(progressive.coefficients(), 2 * 3 * 32 * 32);
        for length in 0..place + 10 {
            assert_eq!(frame(&mut Cursor::new(&bytes[..length])).unwrap(), None, "{length}");
        }
        assert_eq!(frame(&mut Cursor::new([0xff, 0xd8, 0xff, 0xda])).unwrap(), None);
        assert_eq!(frame(&mut Cursor::new([[0xff, 0xe0, 0, 0]; 20_000].concat())).unwrap(), None);
    }
}
