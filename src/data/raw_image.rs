//! One image whose values are in memory as a file of many images has them, of a byte or two each.

use image::{DynamicImage, GrayImage, RgbImage};

use super::prepared::{Prepared, prepared};
use super::values::{Seen, colour, kept, narrowed};
use super::{PictureProblem, Preprocessing, PreprocessingInternals, Remarks};

/// An image as a file of many images holds it: `height` x `width` x `values`, the last running fastest.
///
/// One value a pixel is brightness, three are red, green and blue; opacity may follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawImage {
    /// The values: a byte each, or two in the machine's order if `wide`.
    pub bytes: Vec<u8>,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Values a pixel, 1 to 4.
    pub values: usize,
    /// Whether a value has 16 bits.
    pub wide: bool,
}

impl RawImage {
    /// The image as the network sees it, without the margin, and what is worth knowing of it. It is prepared as a picture
    /// file with the same pixels is.
    ///
    /// # Errors
    /// A number of bytes or of values that fits no image, a side that is too long, and what cannot be scaled.
    pub fn prepared(self, preprocessing: &Preprocessing) -> Result<(Vec<u8>, Remarks), PictureProblem> {
        let (bytes, [height, width], values, remarks) = self.narrowed(preprocessing)?;
        Ok((preprocessing.pixels_of(&bytes, [height, width], values)?.into_owned(), remarks))
    }

    /// [`Self::prepared`], with the size of the image, and the image itself where it is to be kept.
    ///
    /// # Errors
    /// As of [`Self::prepared`].
    pub fn prepared_and_kept(
        self,
        preprocessing: &Preprocessing,
        keep: bool,
    ) -> Result<Prepared<'static>, PictureProblem> {
        let (bytes, size, values, remarks) = self.narrowed(preprocessing)?;
        let [height, width] = size.map(|length| u32::try_from(length).unwrap_or(u32::MAX));
        let picture = match values {
            1 => GrayImage::from_raw(width, height, bytes).map(DynamicImage::ImageLuma8),
            _ => RgbImage::from_raw(width, height, bytes).map(DynamicImage::ImageRgb8),
        };
        prepared(picture.ok_or(PictureProblem::TooLarge { width, height })?, remarks, preprocessing, keep, None)
    }

    /// Its values as a byte each, its height and width, the values a pixel, and what is worth knowing.
    fn narrowed(self, preprocessing: &Preprocessing) -> Result<(Vec<u8>, [usize; 2], usize, Remarks), PictureProblem> {
        let Self { bytes, height, width, values, wide } = self;
        let unknown = || PictureProblem::Scale(format!("{values} values a pixel; 1 to 4 are known"));
        let colour = colour(values, wide).ok_or_else(unknown)?;
        let expected = [height, width, values, 1 + usize::from(wide)].into_iter().try_fold(1_usize, usize::checked_mul);
        if bytes.is_empty() || expected != Some(bytes.len()) {
            return Err(PictureProblem::Empty);
        }
        let (bytes, Seen { transparent, bits }) = narrowed(bytes, colour, preprocessing.range);
        Ok((bytes, [height, width], kept(colour), Remarks { transparent, bits, ..Remarks::default() }))
    }
}
