//! The distance to the nearest training image.

use rayon::prelude::*;

use super::Baseline;
use super::pixels::pixels;
use crate::data::{DataError, Images, at_most};

/// Most training images that are compared with, spread evenly over all.
const MOST: usize = 5_000;

/// Scores an image by its Euclidean distance to the nearest training image, in pixels of 0 to 255.
pub struct NearestNeighbour {
    known: Vec<Vec<u8>>,
}

impl NearestNeighbour {
    /// Takes the images at `indices`, at least one.
    ///
    /// # Errors
    /// An index past the last image, and unreadable images.
    pub fn new(images: &Images, indices: &[usize]) -> Result<Self, DataError> {
        Ok(Self { known: pixels(images, &at_most(indices, MOST))? })
    }
}

impl Baseline for NearestNeighbour {
    fn name(&self) -> &'static str {
        "nearest-neighbour"
    }

    fn scores(&self, images: &Images, indices: &[usize]) -> Result<Vec<f32>, DataError> {
        let nearest = |image: &Vec<u8>| {
            let nearest = self.known.iter().map(|known| squared_distance(known, image)).min();
            (nearest.unwrap_or_default() as f32).sqrt()
        };
        Ok(pixels(images, indices)?.par_iter().map(nearest).collect())
    }
}

/// In whole numbers, so that it is the same on every machine. At most 3 x 32 x 32 pixels are squared, so it fits.
fn squared_distance(one: &[u8], other: &[u8]) -> u32 {
    one.iter().zip(other).map(|(&one, &other)| u32::from(one.abs_diff(other)).pow(2)).sum()
}
