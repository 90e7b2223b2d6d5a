//! Normal images with every defect painted into each.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::defect::{Defect, Picture};
use crate::data::{DataError, Images, at_most};

/// Most normal images that are painted into, spread evenly over those given.
const MOST: usize = 24;

/// Normal images with every defect of [`Defect::all`] painted into each.
pub struct DefectSet {
    /// Image after image, each with every defect in turn.
    pub images: Images,
    /// The place of each normal image that was painted into, among those that were given.
    pub normal: Vec<usize>,
    /// Which pixels the defect of each image covers by half or more, one image after the other.
    on_defect: Vec<bool>,
}

impl DefectSet {
    /// Paints into up to 24 of the normal images at `indices`, at least one. Patches from other images are taken from them
    /// too, or from the same where there is one only. The same images and seed give the same pixels.
    ///
    /// # Errors
    /// An index past the last image, and unreadable images.
    pub fn new(images: &Images, indices: &[usize], seed: u64) -> Result<Self, DataError> {
        let (channels, height, width) = (images.channels(), images.height(), images.width());
        let normal = at_most(indices, MOST);
        let count = normal.len();
        let pictures = normal.iter().map(|&index| Ok(images.image(index)?.into_owned()));
        let pictures = pictures.collect::<Result<Vec<_>, DataError>>()?;
        let picture = |place: usize| Picture { values: &pictures[place % count], height, width };
        let defects: Vec<Defect> = Defect::all().collect();
        let painted = (0..count * defects.len()).into_par_iter().map(|place| {
            // Each has random numbers of its own, so that more images or threads change none of the others.
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(place as u64);
            let (image, defect) = (place / defects.len(), place % defects.len());
            let other = image + 1 + defect % count.saturating_sub(1).max(1);
            defects[defect].paint(picture(image), picture(other), &mut rng)
        });
        let (painted, on_defect): (Vec<_>, Vec<_>) = painted.unzip();
        let images = Images::new(count * defects.len(), channels, height, width, painted.concat())?;
        Ok(Self { images, normal, on_defect: on_defect.concat() })
    }

    /// Which pixels of the image at a place in [`Self::images`] its defect covers by half or more, row by row.
    pub fn on_defect(&self, place: usize) -> &[bool] {
        let plane = self.images.height() * self.images.width();
        self.on_defect.get(place * plane..(place + 1) * plane).unwrap_or_default()
    }

    /// The defect of the image at a place in [`Self::images`].
    pub fn defect(&self, place: usize) -> Option<Defect> {
        Defect::all().nth(place % Defect::all().count()).filter(|_| place < self.images.count())
    }

    /// The place in [`Self::images`] of the normal image `image`, counted from 0, with a defect.
    pub fn place(&self, image: usize, defect: Defect) -> Option<usize> {
        let place = Defect::all().position(|other| other == defect)?;
        let place = image * Defect::all().count() + place;
        (image < self.normal.len()).then_some(place)
    }
}
