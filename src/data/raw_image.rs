//! One image whose values are in memory as a file of many images has them, of a byte or two each.

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
        let Self { bytes, height, width, values, wide } = self;
        let unknown = || PictureProblem::Scale(format!("{values} values a pixel; 1 to 4 are known"));
        let colour = colour(values, wide).ok_or_else(unknown)?;
        let expected = [height, width, values, 1 + usize::from(wide)].into_iter().try_fold(1_usize, usize::checked_mul);
        if bytes.is_empty() || expected != Some(bytes.len()) {
            return Err(PictureProblem::Empty);
        }
        let (bytes, Seen { transparent, bits }) = narrowed(bytes, colour, preprocessing.range);
        let pixels = preprocessing.pixels_of(&bytes, [height, width], kept(colour))?.into_owned();
        Ok((pixels, Remarks { transparent, bits, ..Remarks::default() }))
    }
}
