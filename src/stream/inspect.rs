//! From what was found to scores.

use image::DynamicImage;

use super::list::{Found, Picture, Sources};
use super::maps::Maps;
use super::ordered::{Ordered, ordered};
use super::{PictureFault, StreamError};
use crate::data::{Images, PictureError, Preprocessing, read_picture};
use crate::train::TrainError;

/// A model that scores batches of images on one thread.
pub trait Detect: Send {
    /// The scores of images `[N, C, H, W]`, of pixels in -1..1.
    ///
    /// # Errors
    /// Failures of the device.
    fn score(&mut self, pixels: &[f32]) -> Result<Vec<f32>, TrainError>;

    /// The reconstructions of images `[N, C, H, W]`, likewise.
    ///
    /// # Errors
    /// Failures of the device.
    fn reconstruct(&mut self, pixels: &[f32]) -> Result<Vec<f32>, TrainError>;
}

/// What came of a picture.
#[derive(Debug)]
pub struct Inspected {
    /// Its name.
    pub picture: Picture,
    /// Its anomaly score, finite.
    pub score: Result<f32, PictureFault>,
}

/// Scores pictures in order on as many threads as there are detectors, by batches of at most `most`.
///
/// What fails a picture stands in its place; what fails all ends the chunks.
pub fn inspect(
    sources: Sources,
    preprocessing: Preprocessing,
    detectors: Vec<Box<dyn Detect>>,
    most: usize,
    maps: Option<Maps>,
) -> Ordered<Result<Vec<Inspected>, StreamError>> {
    let worker = |mut detector: Box<dyn Detect>| {
        let mut maps = maps.clone();
        move |chunk: Vec<Found>| chunk_scores(chunk, &preprocessing, detector.as_mut(), maps.as_mut())
    };
    let workers = detectors.into_iter().map(worker).collect();
    ordered(move |emit| sources.each(emit), workers, most)
}

fn chunk_scores(
    chunk: Vec<Found>,
    preprocessing: &Preprocessing,
    detector: &mut dyn Detect,
    maps: Option<&mut Maps>,
) -> Result<Vec<Inspected>, StreamError> {
    let decoded: Vec<_> = chunk.into_iter().map(|found| decode(found, preprocessing)).collect();
    let pictures = decoded.iter().filter_map(|(_, pixels)| pixels.as_ref().ok());
    let pixels: Vec<f32> = pictures.flat_map(|(_, signed)| signed).copied().collect();
    let scores = if pixels.is_empty() { Vec::new() } else { detector.score(&pixels)? };
    if let Some(maps) = maps.filter(|_| !pixels.is_empty()) {
        let reconstructions = detector.reconstruct(&pixels)?;
        let each = reconstructions.chunks_exact(reconstructions.len() / scores.len());
        let pictures = decoded.iter().filter_map(|(picture, pixels)| Some((picture, &pixels.as_ref().ok()?.0)));
        for ((picture, bytes), reconstruction) in pictures.zip(each) {
            maps.write(picture, bytes, reconstruction, preprocessing)?;
        }
    }
    let mut scores = scores.into_iter();
    let inspected = decoded.into_iter().map(|(picture, pixels)| {
        let score = pixels.and_then(|_| match scores.next() {
            Some(score) if score.is_finite() => Ok(score),
            other => Err(PictureFault::NotFinite { picture: picture.clone(), score: other.unwrap_or(f32::NAN) }),
        });
        Inspected { picture, score }
    });
    Ok(inspected.collect())
}

/// The bytes of a picture as the network sees it, without the margin, and its pixels in -1..1 with the margin.
type Pixels = (Vec<u8>, Vec<f32>);

fn decode(found: Found, preprocessing: &Preprocessing) -> (Picture, Result<Pixels, PictureFault>) {
    let Found { picture, content } = found;
    let pixels = || -> Result<Pixels, PictureFault> {
        let decoded = match content? {
            Some(image) => DynamicImage::ImageLuma8(image),
            None => read_picture(&picture.file)?,
        };
        let at = |problem| PictureError { path: picture.file.to_path_buf(), problem };
        let bytes = preprocessing.pixels(decoded).map_err(at)?;
        let Preprocessing { channels, height, width, side, .. } = *preprocessing;
        let images = Images::new(1, channels, height, width, bytes)?;
        let signed = images.to_signed_padded(&[0], side)?;
        Ok((images.into_pixels(), signed))
    };
    let pixels = pixels();
    (picture, pixels)
}
