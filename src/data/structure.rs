//! What the structure of a picture file says before anything is decoded: whether the file has an end, whether it holds
//! more pictures than the first, which way up it is, and how much memory its decoder takes beside the pixels.

use std::io::{self, BufRead, ErrorKind, Read, Seek, SeekFrom};

use flate2::read::ZlibDecoder;
use image::ImageFormat;
use image::metadata::Orientation;

/// Longest metadata that are read, in bytes, packed or not.
const MAX_METADATA: u64 = 1 << 20;
/// Blocks and chunks of a file that are looked through. Files of many megapixels have some 100,000.
const MAX_PARTS: usize = 1 << 24;

/// Most blocks of 16 x 16 pixels that a byte of a lossy WebP stands for. How a block is predicted takes 3.4 bits at least: the
/// probabilities of key frames are fixed (RFC 6386, section 11.2).
const MAX_VP8_BLOCKS_PER_BYTE: u64 = 3;

/// What the structure of a file says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Structure {
    /// What the file lacks of its end, in words.
    pub lack: Option<&'static str>,
    /// Whether more pictures follow the first.
    pub several: bool,
    /// Which way up it is, as far as its decoder does not say.
    pub orientation: Option<Orientation>,
    /// Bytes that its decoder takes beside the pixels that it gives.
    pub memory: u64,
    /// What it is rather than a picture to look at.
    pub other: Option<&'static str>,
}

const CUT: &str = "it is cut short";

/// Looks through a file, which is at its beginning afterwards.
///
/// # Errors
/// Failures of the file; its end is none.
pub(super) fn structure(file: &mut (impl BufRead + Seek), length: u64, format: ImageFormat) -> io::Result<Structure> {
    let mut structure = Structure::default();
    let read = match format {
        ImageFormat::Png => png(file, &mut structure),
        ImageFormat::Gif => gif(file, &mut structure),
        ImageFormat::WebP => webp(file, length, &mut structure),
        ImageFormat::Tiff => tiff(file, &mut structure),
        _ => Ok(()),
    };
    match read {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => structure.lack = Some(CUT),
        read => read?,
    }
    // What a buffer holds of a small file, it still holds afterwards.
    let place = file.stream_position()?;
    file.seek_relative(-(place as i64))?;
    Ok(structure)
}

fn bytes<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// As many bytes as there are, up to a bound; the others are passed over.
fn content(file: &mut (impl BufRead + Seek), length: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.by_ref().take(length.min(MAX_METADATA)).read_to_end(&mut content)?;
    file.seek_relative((length - content.len() as u64) as i64)?;
    Ok(content)
}

/// Chunks up to the last, `IEND`. The decoder knows those before the pixels, and no `zTXt` that holds what a camera said.
fn png(file: &mut (impl BufRead + Seek), found: &mut Structure) -> io::Result<()> {
    bytes::<8>(file)?;
    for _ in 0..MAX_PARTS {
        let [l3, l2, l1, l0, kind @ ..] = bytes::<8>(file)?;
        let length = u64::from(u32::from_be_bytes([l3, l2, l1, l0]));
        let orientation = match &kind {
            b"IEND" => return bytes::<4>(file).map(drop),
            b"acTL" if length == 8 => {
                let [f3, f2, f1, f0, _, _, _, _] = bytes::<8>(file)?;
                found.several = u32::from_be_bytes([f3, f2, f1, f0]) > 1;
                None
            }
            b"eXIf" => Orientation::from_exif_chunk(&content(file, length)?),
            b"zTXt" | b"tEXt" => profile(&content(file, length)?, kind == *b"zTXt"),
            _ => {
                file.seek_relative(length as i64)?;
                None
            }
        };
        found.orientation = found.orientation.or(orientation);
        // The checksum.
        file.seek_relative(4)?;
    }
    Ok(())
}

/// The orientation in a text `Raw profile type exif`: behind its name and length, bytes in hexadecimal, 36 a line.
fn profile(text: &[u8], packed: bool) -> Option<Orientation> {
    let end = text.iter().position(|&byte| byte == 0)?;
    if ![&b"Raw profile type exif"[..], b"Raw profile type APP1"].contains(&&text[..end]) {
        return None;
    }
    let mut profile = Vec::new();
    if packed {
        // A byte says how it is packed; there is one way.
        let packed = ZlibDecoder::new(text.get(end + 2..)?);
        packed.take(MAX_METADATA).read_to_end(&mut profile).ok()?;
    } else {
        profile.extend_from_slice(&text[end + 1..]);
    }
    let digits: Vec<u8> = profile
        .split(|&byte| byte == b'\n')
        // An empty line, the name, the length.
        .skip(3)
        .flatten()
        .filter_map(|&byte| Some(char::from(byte).to_digit(16)? as u8))
        .collect();
    let exif: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    Orientation::from_exif_chunk(exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif))
}

/// Blocks up to the trailer. The pixels of a frame that does not fill the picture are decoded beside it.
fn gif(file: &mut (impl BufRead + Seek), found: &mut Structure) -> io::Result<()> {
    let [.., w0, w1, h0, h1, packed, _, _] = bytes::<13>(file)?;
    let [width, height] = [[w0, w1], [h0, h1]].map(u16::from_le_bytes);
    // Indices are kept until they have become colours.
    found.memory = u64::from(width) * u64::from(height);
    colours(file, packed)?;
    let mut frames = 0;
    for _ in 0..MAX_PARTS {
        match bytes::<1>(file)? {
            [0x3b] => return Ok(()),
            [0x2c] => {
                let [x0, x1, y0, y1, w0, w1, h0, h1, packed] = bytes::<9>(file)?;
                let [left, top, w, h] = [[x0, x1], [y0, y1], [w0, w1], [h0, h1]].map(u16::from_le_bytes);
                let fills = left == 0 && w == width && u32::from(top) + u32::from(h) <= height.into();
                if frames == 0 && !fills {
                    found.memory = 5 * u64::from(w) * u64::from(h);
                }
                frames += 1;
                found.several = frames > 1;
                colours(file, packed)?;
                // The size of the codes.
                bytes::<1>(file)?;
            }
            [0x21] => {
                bytes::<1>(file)?;
            }
            // What some programs leave between blocks.
            [0] => continue,
            _ => {
                found.lack = Some("it has no end marker");
                return Ok(());
            }
        }
        loop {
            let [length] = bytes::<1>(file)?;
            if length == 0 {
                break;
            }
            file.seek_relative(length.into())?;
        }
    }
    Ok(())
}

/// Passes over a table of colours.
fn colours(file: &mut (impl BufRead + Seek), packed: u8) -> io::Result<()> {
    if packed & 0x80 != 0 { file.seek_relative(3 << ((packed & 7) + 1)) } else { Ok(()) }
}

/// Chunks as far as the header says that the file goes.
fn webp(file: &mut (impl BufRead + Seek), length: u64, found: &mut Structure) -> io::Result<()> {
    let [_, _, _, _, l0, l1, l2, l3, _, _, _, _] = bytes::<12>(file)?;
    let end = u64::from(u32::from_le_bytes([l0, l1, l2, l3])) + 8;
    if end > length {
        found.lack = Some(CUT);
    }
    let end = end.min(length);
    let (mut place, mut frames) = (12, 0);
    let (mut pixels, mut per_pixel) = (0, 0);
    while place + 8 <= end && frames < MAX_PARTS {
        let [a, b, c, d, l0, l1, l2, l3] = bytes::<8>(file)?;
        let length = u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
        place += 8 + length + length % 2;
        if place > end + length % 2 {
            found.lack = Some(CUT);
        }
        match &[a, b, c, d] {
            b"VP8X" => {
                let [flags, _, _, _, w0, w1, w2, h0, h1, h2] = bytes::<10>(file)?;
                let [w, h] = [[w0, w1, w2, 0], [h0, h1, h2, 0]].map(|side| u64::from(u32::from_le_bytes(side)) + 1);
                pixels = w * h;
                // Transparency comes apart, in a picture of its own; a frame is put onto a canvas.
                per_pixel = 7 + if flags & 2 != 0 { 8 } else { 0 };
            }
            b"VP8 " => {
                let [.., w0, w1, h0, h1] = bytes::<10>(file)?;
                let blocks = |bytes| u64::from(u16::from_le_bytes(bytes) & 0x3fff).div_ceil(16);
                let blocks = blocks([w0, w1]) * blocks([h0, h1]);
                if blocks > MAX_VP8_BLOCKS_PER_BYTE * length {
                    found.lack = Some(CUT);
                }
                if pixels == 0 {
                    (pixels, per_pixel) = (256 * blocks, 2);
                }
            }
            b"VP8L" if pixels == 0 => {
                let [_, b0, b1, b2, b3] = bytes::<5>(file)?;
                let header = u32::from_le_bytes([b0, b1, b2, b3]);
                let [w, h] = [header, header >> 14].map(|side| u64::from(side & 0x3fff) + 1);
                (pixels, per_pixel) = (w * h, 6);
            }
            b"ANMF" => {
                frames += 1;
                found.several = frames > 1;
            }
            // The decoder would take as much memory for it as the header says.
            b"EXIF" => {
                let exif = content(file, length)?;
                found.orientation = Orientation::from_exif_chunk(exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif));
            }
            _ => {}
        }
        file.seek(SeekFrom::Start(place))?;
    }
    // The parts of the file are read whole.
    found.memory = pixels * per_pixel + 2 * length;
    Ok(())
}

/// Tags of the first picture, and whether there is a second. A first picture that is a small copy of the one that counts,
/// as in cameras' raw files, is none to look at.
fn tiff(file: &mut (impl BufRead + Seek), found: &mut Structure) -> io::Result<()> {
    let order = bytes::<2>(file)?;
    let big_endian = order == *b"MM";
    let number = |bytes: &[u8]| {
        let digit = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if big_endian { bytes.iter().fold(0, digit) } else { bytes.iter().rev().fold(0, digit) }
    };
    let wide = number(&bytes::<2>(file)?) == 43;
    let word =
        |file: &mut _| Ok::<u64, io::Error>(if wide { number(&bytes::<8>(file)?) } else { number(&bytes::<4>(file)?) });
    if wide {
        bytes::<4>(file)?;
    }
    let start = word(file)?;
    let mark = bytes::<2>(file)?;
    file.seek(SeekFrom::Start(start))?;
    let entries = if wide { number(&bytes::<8>(file)?) } else { number(&bytes::<2>(file)?) };
    let mut raw = !wide && mark == *b"CR";
    for _ in 0..entries.min(MAX_PARTS as u64) {
        let entry = if wide { bytes::<20>(file)?.to_vec() } else { bytes::<12>(file)?.to_vec() };
        let value = &entry[if wide { 12 } else { 8 }..];
        match (number(&entry[..2]), number(&entry[2..4])) {
            // A reduced copy of another picture in the file.
            (254, 4) => raw |= number(&value[..4]) & 1 == 1,
            // The version of DNG.
            (50706, _) => raw = true,
            _ => {}
        }
    }
    if raw {
        found.other = Some("a camera's raw picture");
    }
    // Some programs leave it out.
    found.several = word(file).is_ok_and(|next| next != 0);
    Ok(())
}
