//! From a picture to the pixels that a network takes.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::str::FromStr;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, RgbImage};
use serde::{Deserialize, Serialize};

use super::Range;
use super::picture::{MAX_SIDE, PictureProblem};
use super::placement::Placement;

/// How a picture of another shape is made to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fit {
    /// Scaled until it covers the network's image, then cut at the longer sides, equally at both ends.
    Crop,
    /// Scaled until it lies within, centred on black.
    #[default]
    Pad,
    /// Scaled to the network's shape, whatever its own.
    Stretch,
}

/// A name that is no way to fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown fit `{0}`; choose crop, pad or stretch")]
pub struct UnknownFit(pub String);

/// How many values each pixel of own pictures has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// One where no picture has a colour, else three; decided when a run begins.
    #[default]
    Auto,
    /// One: brightness.
    Grey,
    /// Three.
    Rgb,
}

/// A name that is no way to take colours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown colour `{0}`; choose auto, grey or rgb")]
pub struct UnknownColour(pub String);

/// What is done to a picture before a network sees it. Pixels then become `value / 127.5 - 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Values per pixel: 1 for grey, 3 for colour.
    pub channels: usize,
    /// Height that pictures are scaled to.
    pub height: usize,
    /// Width that pictures are scaled to.
    pub width: usize,
    /// Side of the network's square images; what is scaled lies centred in it, on -1.
    pub side: usize,
    /// How pictures of another shape are made to fit.
    pub fit: Fit,
    /// What of the values of 16-bit pictures is white.
    #[serde(default, skip_serializing_if = "Range::is_full")]
    pub range: Range,
}

/// How a colour becomes grey, for whoever does the same elsewhere. It is rounded, and done before pictures are scaled.
pub const GREY: &str = "0.212648 R + 0.715179 G + 0.072173 B";

/// What is done to a decoded picture. It names a type of another crate, which the public API does not.
pub trait PreprocessingInternals {
    /// The values of a picture, `channels` x `height` x `width`, the width running fastest.
    ///
    /// # Errors
    /// [`PictureProblem::Scale`] where the picture cannot be scaled.
    fn pixels(&self, picture: DynamicImage) -> Result<Vec<u8>, PictureProblem>;

    /// The same of a picture that somebody else holds: `height` x `width` pixels of one value or three. Nothing is copied
    /// where it has the right size and number of values already.
    ///
    /// # Errors
    /// As of [`Self::pixels`].
    fn pixels_of<'a>(&self, bytes: &'a [u8], size: [usize; 2], values: usize) -> Result<Cow<'a, [u8]>, PictureProblem>;
}

impl PreprocessingInternals for Preprocessing {
    fn pixels(&self, picture: DynamicImage) -> Result<Vec<u8>, PictureProblem> {
        let (width, height) = (picture.width(), picture.height());
        // Grey stays grey until it is small.
        let (bytes, values) = match picture {
            DynamicImage::ImageLuma8(grey) => (grey.into_raw(), 1),
            colour if self.channels == 1 => (brightness(colour.into_rgb8()), 1),
            colour => (colour.into_rgb8().into_raw(), 3),
        };
        Ok(self.fitted(bytes.into(), [height, width], values)?.into_owned())
    }

    fn pixels_of<'a>(&self, bytes: &'a [u8], size: [usize; 2], values: usize) -> Result<Cow<'a, [u8]>, PictureProblem> {
        let [height, width] = size.map(|length| u32::try_from(length).unwrap_or(u32::MAX));
        if height > MAX_SIDE || width > MAX_SIDE {
            return Err(PictureProblem::TooLarge { width, height });
        }
        if values == 3 && self.channels == 1 {
            let picture = RgbImage::from_raw(width, height, bytes.to_vec()).map(DynamicImage::ImageRgb8);
            let other = || PictureProblem::Scale(format!("{} bytes for {width} x {height} pixels", bytes.len()));
            return Ok(self.pixels(picture.ok_or_else(other)?)?.into());
        }
        self.fitted(bytes.into(), [height, width], values)
    }
}

impl Preprocessing {
    /// Scaled, and in planes. Colours that are to be grey are so already.
    fn fitted<'a>(
        &self,
        bytes: Cow<'a, [u8]>,
        [height, width]: [u32; 2],
        values: usize,
    ) -> Result<Cow<'a, [u8]>, PictureProblem> {
        let same = (height as usize, width as usize) == (self.height, self.width);
        let interleaved = if same {
            bytes
        } else {
            let scaled = match values {
                1 => self.scaled::<U8>(width, height, &bytes),
                _ => self.scaled::<U8x3>(width, height, &bytes),
            };
            Cow::Owned(scaled.map_err(|problem| PictureProblem::Scale(problem.to_string()))?)
        };
        if self.channels == 1 && values == 1 {
            return Ok(interleaved);
        }
        let plane = self.height * self.width;
        let mut planes = vec![0; self.channels * plane];
        for (place, pixel) in interleaved.chunks_exact(values).enumerate() {
            for channel in 0..self.channels {
                planes[channel * plane + place] = pixel[channel % values];
            }
        }
        Ok(planes.into())
    }

    /// Scaled to `height` x `width`, averaging over what one pixel of the result covers. The type of a pixel is known here,
    /// because a resizer for every type would be two fifths of the library's code.
    fn scaled<P: PixelTrait>(&self, width: u32, height: u32, bytes: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
        let [target_w, target_h] = [self.width as u32, self.height as u32];
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        let options = if self.fit == Fit::Crop { options.fit_into_destination(Some((0.5, 0.5))) } else { options };
        let Placement { corner: [left, top], filled, .. } = Placement::new(self, [width, height]);
        let [inner_w, inner_h] = filled.map(|length| length as u32);
        let source = TypedImageRef::<P>::from_buffer(width, height, bytes)?;
        let row = inner_w as usize * P::size();
        let mut scaled = vec![0; inner_h as usize * row];
        let mut target = TypedImage::<P>::from_buffer(inner_w, inner_h, &mut scaled)?;
        Resizer::new().resize_typed(&source, &mut target, &options)?;
        if (inner_w, inner_h) == (target_w, target_h) {
            return Ok(scaled);
        }
        let mut padded = vec![0; P::size() * self.height * self.width];
        for (y, pixels) in scaled.chunks_exact(row).enumerate() {
            let start = ((top + y) * self.width + left) * P::size();
            padded[start..start + row].copy_from_slice(pixels);
        }
        Ok(padded)
    }
}

/// The brightness of each pixel ([`GREY`]), in the memory of its colours: a block of pixels is converted at a time, however
/// they lie in the picture, because each conversion has a cost of its own.
fn brightness(colours: RgbImage) -> Vec<u8> {
    const BLOCK: usize = 1 << 14;
    let mut bytes = colours.into_raw();
    let pixels = bytes.len() / 3;
    for first in (0..pixels).step_by(BLOCK) {
        let count = BLOCK.min(pixels - first);
        let block = bytes[3 * first..][..3 * count].to_vec();
        let Some(block) = RgbImage::from_raw(count as u32, 1, block) else { break };
        let grey = DynamicImage::ImageRgb8(block).into_luma8();
        bytes[first..][..count].copy_from_slice(&grey);
    }
    bytes.truncate(pixels);
    bytes
}

impl Colour {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Grey, Self::Rgb];

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Grey => "grey",
            Self::Rgb => "rgb",
        }
    }

    /// Values per pixel; three as long as it is not decided.
    pub fn channels(self) -> usize {
        if self == Self::Grey { 1 } else { 3 }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Colour {
    type Err = UnknownColour;

    fn from_str(name: &str) -> Result<Self, UnknownColour> {
        Self::ALL.into_iter().find(|colour| colour.name() == name).ok_or_else(|| UnknownColour(name.to_owned()))
    }
}

impl Fit {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Crop, Self::Pad, Self::Stretch];

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crop => "crop",
            Self::Pad => "pad",
            Self::Stretch => "stretch",
        }
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Fit {
    type Err = UnknownFit;

    fn from_str(name: &str) -> Result<Self, UnknownFit> {
        Self::ALL.into_iter().find(|fit| fit.name() == name).ok_or_else(|| UnknownFit(name.to_owned()))
    }
}
