//! Images as vectors of pixels, of at most 32 x 32 for each channel.

use image::GrayImage;
use image::imageops::thumbnail;
use rayon::prelude::*;

use crate::data::{DataError, Images};

/// Longest side that is compared, in pixels. Larger images are averaged down to it.
const MAX_SIDE: usize = 32;

/// The pixels of the images at `indices`, a vector each: channel by channel, row by row.
pub(super) fn pixels(images: &Images, indices: &[usize]) -> Result<Vec<Vec<u8>>, DataError> {
    indices.par_iter().map(|&index| Ok(averaged(&images.image(index)?, images.height(), images.width()))).collect()
}

fn averaged(values: &[u8], height: usize, width: usize) -> Vec<u8> {
    let longest = height.max(width);
    if longest <= MAX_SIDE {
        return values.to_vec();
    }
    let scaled = |length: usize| (length * MAX_SIDE / longest).max(1) as u32;
    let planes = values.chunks_exact(height * width);
    let scaled = planes.filter_map(|plane| {
        let plane = GrayImage::from_raw(width as u32, height as u32, plane.to_vec())?;
        Some(thumbnail(&plane, scaled(width), scaled(height)).into_raw())
    });
    scaled.flatten().collect()
}
