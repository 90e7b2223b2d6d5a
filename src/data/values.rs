//! Values of decoded pictures as bytes: which part of 16 bits they fill, and what becomes of transparency.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use image::ColorType;
use serde::{Deserialize, Serialize};

/// What of the values of 16-bit pictures is white.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Range {
    /// The greatest of 16 bits.
    #[default]
    Full,
    /// The greatest of the bits that the training pictures use; decided when a run begins.
    Auto,
    /// The greatest of so many bits, 1 to 15; greater values are white too.
    Bits(u8),
}

/// A name that is no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown range `{0}`; choose full, auto, or bits as 12-bit")]
pub struct UnknownRange(pub String);

impl Range {
    /// The range of pictures that use so many of their 16 bits.
    pub(crate) fn of_bits(bits: u8) -> Self {
        if (1..16).contains(&bits) { Self::Bits(bits) } else { Self::Full }
    }

    /// Whether it is the usual one.
    pub(super) fn is_full(&self) -> bool {
        *self == Self::Full
    }

    /// The byte that a value of 16 bits becomes.
    fn byte(self, value: u16) -> u8 {
        let value = u32::from(value);
        match self {
            Self::Full | Self::Auto => ((value + 128) / 257) as u8,
            Self::Bits(bits) => {
                let most = (1 << bits.clamp(1, 16)) - 1;
                ((value.min(most) * 255 + most / 2) / most) as u8
            }
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.pad("full"),
            Self::Auto => f.pad("auto"),
            Self::Bits(bits) => f.pad(&format!("{bits}-bit")),
        }
    }
}

impl FromStr for Range {
    type Err = UnknownRange;

    fn from_str(name: &str) -> Result<Self, UnknownRange> {
        let bits = || name.strip_suffix("-bit")?.parse().ok().filter(|bits| (1..16).contains(bits));
        match name {
            "full" => Ok(Self::Full),
            "auto" => Ok(Self::Auto),
            _ => bits().map(Self::Bits).ok_or_else(|| UnknownRange(name.to_owned())),
        }
    }
}

impl TryFrom<String> for Range {
    type Error = UnknownRange;

    fn try_from(name: String) -> Result<Self, UnknownRange> {
        name.parse()
    }
}

impl From<Range> for String {
    fn from(range: Range) -> Self {
        range.to_string()
    }
}

/// Values of a pixel without its transparency.
pub(super) fn kept(colour: ColorType) -> usize {
    if colour.has_color() { 3 } else { 1 }
}

/// What was found among the values of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// Whether a pixel is not opaque.
    pub transparent: bool,
    /// Bits that the greatest of 16-bit values takes.
    pub bits: Option<u8>,
}

/// Values of a byte or two, in the machine's order, as bytes in the same memory. What is transparent lies on black, as
/// pictures that are padded do.
pub(super) fn narrowed(mut bytes: Vec<u8>, colour: ColorType, range: Range) -> (Vec<u8>, Seen) {
    let (kept, values) = (kept(colour), usize::from(colour.channel_count()));
    let pixel = usize::from(colour.bytes_per_pixel());
    let mut seen = Seen::default();
    if pixel == kept {
        return (bytes, seen);
    }
    let (wide, pixels) = (pixel == 2 * values, bytes.len() / pixel);
    let mut most = 0;
    for place in 0..pixels {
        let mut read = [0_u16; 4];
        for (value, read) in read[..values]
            .iter_mut()
            .enumerate()
            .map(|(value, read)| (place * pixel + value * (1 + usize::from(wide)), read))
        {
            *read = if wide { u16::from_ne_bytes([bytes[value], bytes[value + 1]]) } else { bytes[value].into() };
        }
        let alpha = (values > kept).then(|| read[kept]);
        let full = if wide { u16::MAX } else { u8::MAX.into() };
        for (value, &read) in read[..kept].iter().enumerate() {
            most = most.max(read);
            let byte = if wide { range.byte(read) } else { read as u8 };
            bytes[place * kept + value] = match alpha {
                Some(alpha) if alpha < full => {
                    seen.transparent = true;
                    let (alpha, full) = (u32::from(alpha), u32::from(full));
                    ((u32::from(byte) * alpha + full / 2) / full) as u8
                }
                _ => byte,
            };
        }
    }
    seen.bits = wide.then(|| (u16::BITS - most.leading_zeros()) as u8);
    bytes.truncate(pixels * kept);
    bytes.shrink_to_fit();
    (bytes, seen)
}

/// The colours or the brightness of pixels in memory, with how many values each keeps: of one value (grey), two (grey and
/// opacity), three (colours) or four (colours and opacity), of a byte each, or of two in the machine's order if `wide`. It is
/// done as with the pixels of files. Bytes without opacity stay where they are.
///
/// # Errors
/// Another number of values.
pub(crate) fn opaque(bytes: &[u8], values: usize, wide: bool, range: Range) -> Result<(Cow<'_, [u8]>, usize), usize> {
    if let (1 | 3, false) = (values, wide) {
        return Ok((bytes.into(), values));
    }
    let colour = colour(values, wide).ok_or(values)?;
    Ok((narrowed(bytes.to_vec(), colour, range).0.into(), kept(colour)))
}

/// What pixels of so many values are, of a byte each or of two if `wide`; `None` of other numbers than 1 to 4.
pub(super) fn colour(values: usize, wide: bool) -> Option<ColorType> {
    Some(match (values, wide) {
        (1, false) => ColorType::L8,
        (2, false) => ColorType::La8,
        (3, false) => ColorType::Rgb8,
        (4, false) => ColorType::Rgba8,
        (1, true) => ColorType::L16,
        (2, true) => ColorType::La16,
        (3, true) => ColorType::Rgb16,
        (4, true) => ColorType::Rgba16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_become_a_byte_by_their_range() {
        for (range, value, byte) in [
            (Range::Full, 0, 0),
            (Range::Full, 65_535, 255),
            (Range::Full, 4_095, 16),
            (Range::Bits(12), 4_095, 255),
            (Range::Bits(12), 2_048, 128),
            (Range::Bits(12), 0, 0),
            (Range::Bits(12), 60_000, 255),
            (Range::Bits(1), 1, 255),
        ] {
            assert_eq!(range.byte(value), byte, "{range} {value}");
        }
        for name in ["full", "auto", "12-bit"] {
            assert_eq!(name.parse::<Range>().unwrap().to_string(), name);
        }
        for name in ["16-bit", "0-bit", "12", ""] {
            name.parse::<Range>().unwrap_err();
        }
        assert_eq!([0, 12, 16].map(Range::of_bits), [Range::Full, Range::Bits(12), Range::Full]);
    }

    #[test]
    fn what_is_transparent_lies_on_black() {
        let (bytes, seen) = narrowed(vec![200, 255, 200, 128, 200, 0], ColorType::La8, Range::Full);
        assert_eq!((bytes, seen), (vec![200, 100, 0], Seen { transparent: true, bits: None }));
        let (bytes, seen) = narrowed(vec![9, 8, 7, 255], ColorType::Rgba8, Range::Full);
        assert_eq!((bytes, seen), (vec![9, 8, 7], Seen::default()));
        let wide = [4_095_u16, 0, 65_535, 4_095, 0, 0].map(u16::to_ne_bytes).concat();
        let (bytes, seen) = narrowed(wide, ColorType::La16, Range::Bits(12));
        assert_eq!((bytes, seen), (vec![0, 16, 0], Seen { transparent: true, bits: Some(16) }));
    }
}
