//! Pictures inside the page: PNG files as addresses that hold their own contents.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use plotters::style::RGBColor;

use super::ReportError;
use crate::anomaly_map::colour;
use crate::data::{DataError, Images};
use crate::plot::COLOURS;

/// Longest side that a picture has in the page, in pixels; larger ones are scaled down.
const MAX_SIDE: u32 = 64;

/// An image of a data set, as it was read.
///
/// # Errors
/// An index past the last image.
pub(super) fn read(images: &Images, index: usize) -> Result<String, ReportError> {
    planes(&images.image(index)?, images.channels(), images.width())
}

/// Values in -1..1, `[C, side, side]`.
pub(super) fn signed(values: &[f32], channels: usize, side: usize) -> Result<String, ReportError> {
    let byte = |value: &f32| ((value + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
    planes(&values.iter().map(byte).collect::<Vec<_>>(), channels, side)
}

/// What a reconstruction adds to an image and what it loses, both `[C, side, side]` in -1..1, averaged over channels:
/// white where they are the same, orange where it is brighter, blue where it is darker, in full at half the range.
pub(super) fn difference(image: &[f32], reconstruction: &[f32], side: usize) -> Result<String, ReportError> {
    let plane = (side * side).max(1);
    let mut sums = vec![0.0; plane];
    for (place, (before, after)) in image.iter().zip(reconstruction).enumerate() {
        sums[place % plane] += after - before;
    }
    let channels = (image.len() / plane).max(1) as f32;
    let pixels = sums.into_iter().flat_map(|sum| {
        let share = (sum / channels).clamp(-1.0, 1.0);
        let RGBColor(r, g, b) = COLOURS[usize::from(share > 0.0)];
        [r, g, b].map(|full| (255.0 + (f32::from(full) - 255.0) * share.abs()).round() as u8)
    });
    pack(RgbImage::from_raw(side as u32, side as u32, pixels.collect()).map(DynamicImage::ImageRgb8))
}

/// Bytes channel by channel, row by row, under the colours of a heat map of as many places. `level` is that of the map.
///
/// # Errors
/// A width that the bytes do not go with.
pub(super) fn under_heat(
    values: &[u8],
    channels: usize,
    map: &[f32],
    width: usize,
    level: f32,
) -> Result<String, ReportError> {
    let plane = values.len() / channels.max(1);
    let pixels = map.iter().take(plane).enumerate().flat_map(|(place, &value)| {
        let (colour, hidden) = colour(value, level);
        std::array::from_fn::<u8, 3, _>(|channel| {
            let seen = f32::from(values[channel.min(channels - 1) * plane + place]);
            (seen + hidden * (colour[channel] - seen)).round() as u8
        })
    });
    let (w, h) = (width as u32, (plane / width.max(1)) as u32);
    pack(RgbImage::from_raw(w, h, pixels.collect()).map(DynamicImage::ImageRgb8))
}

/// Bytes channel by channel, row by row.
///
/// # Errors
/// A width that the bytes do not go with.
pub(super) fn planes(values: &[u8], channels: usize, width: usize) -> Result<String, ReportError> {
    let plane = values.len() / channels.max(1);
    let (w, h) = (width as u32, (plane / width.max(1)) as u32);
    pack(if channels == 3 {
        let pixels = (0..plane).flat_map(|place| [0, 1, 2].map(|channel| values[channel * plane + place]));
        RgbImage::from_raw(w, h, pixels.collect()).map(DynamicImage::ImageRgb8)
    } else {
        GrayImage::from_raw(w, h, values[..plane].to_vec()).map(DynamicImage::ImageLuma8)
    })
}

fn pack(picture: Option<DynamicImage>) -> Result<String, ReportError> {
    // There is none where the sides say more pixels than there are.
    let picture = picture.ok_or(DataError::PixelCount { found: 0, expected: 1 })?;
    let small = picture.width().max(picture.height()) <= MAX_SIDE;
    let picture = if small { picture } else { picture.resize(MAX_SIDE, MAX_SIDE, FilterType::Triangle) };
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png)?;
    Ok(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(file.into_inner())))
}
