//! Pictures prepared for a network: the pixels that it sees, and perhaps the picture itself.

use image::DynamicImage;

use super::memory::Lease;
use super::{PictureProblem, Preprocessing, PreprocessingInternals, Remarks};

/// A picture that is prepared for a network.
#[derive(Debug)]
pub struct Prepared<'a> {
    /// What the network sees of it, without the margin.
    pub pixels: Vec<u8>,
    /// What is worth knowing of it.
    pub remarks: Remarks,
    /// Its width and height, upright.
    pub size: [u32; 2],
    /// The picture itself, where it was to be kept.
    pub kept: Option<KeptPicture<'a>>,
}

/// A decoded picture, upright, with the memory that it takes of a budget.
#[derive(Debug)]
pub struct KeptPicture<'a> {
    picture: DynamicImage,
    _lease: Option<Lease<'a>>,
}

/// A decoded picture, prepared. Unless it is kept, it is gone afterwards, and its memory goes back.
pub(super) fn prepared<'a>(
    picture: DynamicImage,
    remarks: Remarks,
    preprocessing: &Preprocessing,
    keep: bool,
    lease: Option<Lease<'a>>,
) -> Result<Prepared<'a>, PictureProblem> {
    let size = [picture.width(), picture.height()];
    if !keep {
        return Ok(Prepared { pixels: preprocessing.pixels(picture)?, remarks, size, kept: None });
    }
    let values = usize::from(picture.color().channel_count());
    let [width, height] = size.map(|length| length as usize);
    let pixels = preprocessing.pixels_of(picture.as_bytes(), [height, width], values)?.into_owned();
    Ok(Prepared { pixels, remarks, size, kept: Some(KeptPicture { picture, _lease: lease }) })
}

impl KeptPicture<'_> {
    /// Its rows from above, each with the red, green and blue of its pixels.
    pub fn rows(&self) -> impl Iterator<Item = Vec<[u8; 3]>> {
        let values = usize::from(self.picture.color().channel_count()).max(1);
        let row = values * (self.picture.width() as usize).max(1);
        let colours = move |pixel: &[u8]| [0, 1, 2].map(|channel| pixel[channel.min(values - 1)]);
        self.picture.as_bytes().chunks_exact(row).map(move |row| row.chunks_exact(values).map(colours).collect())
    }
}
