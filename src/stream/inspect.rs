//! From what was found to scores.

use image::DynamicImage;

use super::detector::Shared;
use super::list::{Found, Picture, Sources};
use super::maps::Maps;
use super::ordered::ordered;
use super::{PictureFault, StreamError};
use crate::data::{Images, PictureError, Preprocessing, read_picture};
use crate::scoring::Scores;

/// What came of a picture.
#[derive(Debug)]
pub struct Inspected {
    /// Its name.
    pub picture: Picture,
    /// Its anomaly score, finite.
    pub score: Result<f32, PictureFault>,
}

/// Scores pictures in order, with so many threads that decode.
///
/// What fails a picture stands in its place; what fails all, such as a device that is lost, in the place of a chunk. Once
/// the results are dropped, no thread uses the device any more.
pub fn inspect(
    sources: Sources,
    preprocessing: Preprocessing,
    detector: &Shared,
    threads: usize,
    maps: Option<&Maps>,
) -> impl Iterator<Item = Result<Vec<Inspected>, StreamError>> + use<> {
    let worker = |_| {
        let (detector, mut maps) = (detector.clone(), maps.cloned());
        move |chunk: Vec<Found>| scored(chunk, &preprocessing, &detector, maps.as_mut())
    };
    let workers = (0..detector.threads(threads)).map(worker).collect();
    ordered(move |emit| sources.each(emit), workers, detector.chunk())
}

fn scored(
    chunk: Vec<Found>,
    preprocessing: &Preprocessing,
    detector: &Shared,
    maps: Option<&mut Maps>,
) -> Result<Vec<Inspected>, StreamError> {
    let decoded: Vec<_> = chunk.into_iter().map(|found| decode(found, preprocessing)).collect();
    let good = || decoded.iter().filter_map(|(picture, pixels)| Some((picture, pixels.as_ref().ok()?)));
    let pixels = good().map(|(_, (_, signed))| &signed[..]).collect::<Vec<_>>().concat();
    let scored = if pixels.is_empty() { Scores::default() } else { detector.score(&pixels, maps.is_some())? };
    if let (Some(maps), Some(reconstructions)) = (maps, &scored.reconstructions) {
        let each = reconstructions.chunks_exact(pixels.len() / scored.scores.len());
        for ((picture, (bytes, _)), reconstruction) in good().zip(each) {
            maps.write(picture, bytes, reconstruction, preprocessing)?;
        }
    }
    let mut scores = scored.scores.into_iter();
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
