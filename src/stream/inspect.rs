//! From what was found to scores.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;

use image::DynamicImage;

use super::detector::SharedDetector;
use super::list::{Found, Picture, Sources};
use super::maps::Maps;
use super::ordered::ordered;
use super::{PictureFault, StreamError};
use crate::data::{Images, MemoryBudget, PictureError, Preprocessing, PreprocessingInternals, read_pixels};
use crate::model::ModelFile;
use crate::scoring::{Choice, DetectorOptions, ScoringError};

/// What came of a picture.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspected {
    /// Its name.
    pub picture: Picture,
    /// Its anomaly score, finite.
    pub score: Result<f32, PictureFault>,
}

/// Scores the pictures of files and folders, in order: PNG, JPEG and BMP files, and the images of IDX files. Folders are
/// searched as deep as they go, each in the order of its names. Any number of pictures takes the same memory.
///
/// A picture that cannot be used has its fault in the place of its score. What fails all pictures, such as a device that
/// is lost, is an error in the place of those that it fails. One thread a core decodes; they end once the iterator is
/// dropped.
///
/// ```no_run
/// use std::path::Path;
/// use pkdgan::model::ModelFile;
/// use pkdgan::scoring::{DetectorOptions, score_pictures};
///
/// let model = ModelFile::read(Path::new("runs/photos/model.safetensors"))?;
/// for inspected in score_pictures(&model, ["photos/new"], DetectorOptions::default())? {
///     let inspected = inspected?;
///     match inspected.score {
///         Ok(score) => println!("{}: {score}", inspected.picture),
///         Err(fault) => eprintln!("{fault}"),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A model whose tensors do not go with its architecture, or that does not suit the path that `options` name; failures
/// of the device, unless the options let the CPU path take its place.
pub fn score_pictures(
    model: &ModelFile,
    paths: impl IntoIterator<Item = impl Into<PathBuf>>,
    options: DetectorOptions,
) -> Result<InspectedPictures, ScoringError> {
    let paths: Vec<PathBuf> = paths.into_iter().map(Into::into).collect();
    let threads = available_parallelism().map_or(1, Into::into);
    let (detector, choice) = SharedDetector::choose(model, &paths, threads, options)?;
    let memory = Arc::new(MemoryBudget::of_machine());
    let chunks = inspect(Sources::of(paths), model.preprocessing, &detector, threads, &memory, None);
    let results = chunks.flat_map(|chunk| match chunk {
        Ok(inspected) => inspected.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    });
    Ok(InspectedPictures { results: Box::new(results), choice })
}

/// What comes of pictures one after the other; see [`score_pictures`].
pub struct InspectedPictures {
    results: Box<dyn Iterator<Item = Result<Inspected, StreamError>>>,
    choice: Choice,
}

impl InspectedPictures {
    /// The path that the pictures are scored on, and why.
    pub fn choice(&self) -> &Choice {
        &self.choice
    }
}

impl Iterator for InspectedPictures {
    type Item = Result<Inspected, StreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.results.next()
    }
}

/// Scores pictures in order, with so many threads that decode, which share so much memory.
///
/// What fails a picture stands in its place; what fails all, such as a device that is lost, in the place of a chunk.
/// Fewer threads do where the system gives no more.
/// Once the results are dropped, no thread uses the device any more.
pub fn inspect(
    sources: Sources,
    preprocessing: Preprocessing,
    detector: &SharedDetector,
    threads: usize,
    memory: &Arc<MemoryBudget>,
    maps: Option<&Maps>,
) -> impl Iterator<Item = Result<Vec<Inspected>, StreamError>> + use<> {
    let worker = |_| {
        let (detector, memory, mut maps) = (detector.clone(), memory.clone(), maps.cloned());
        move |chunk: Vec<Found>| scored(chunk, &preprocessing, &detector, &memory, maps.as_mut())
    };
    let workers = (0..detector.threads(threads)).map(worker).collect();
    let (results, failure) = match ordered(move |emit| sources.each(emit), workers, detector.chunk()) {
        Ok(results) => (Some(results), None),
        Err(error) => (None, Some(Err(StreamError::Thread(error)))),
    };
    results.into_iter().flatten().chain(failure)
}

fn scored(
    chunk: Vec<Found>,
    preprocessing: &Preprocessing,
    detector: &SharedDetector,
    memory: &MemoryBudget,
    maps: Option<&mut Maps>,
) -> Result<Vec<Inspected>, StreamError> {
    let decoded: Vec<_> = chunk.into_iter().map(|found| decode(found, preprocessing, memory)).collect();
    let (pictures, pixels): (Vec<_>, Vec<_>) =
        decoded.iter().filter_map(|(picture, pixels)| Some((picture, &pixels.as_ref().ok()?[..]))).unzip();
    let mut scores = Vec::new();
    if !pictures.is_empty() {
        let Preprocessing { channels, height, width, side, .. } = *preprocessing;
        let images = Images::new(pictures.len(), channels, height, width, pixels.concat())?;
        let signed = images.to_signed_padded(&(0..pictures.len()).collect::<Vec<_>>(), side)?;
        let scored = detector.score(&signed, maps.is_some())?;
        if let (Some(maps), Some(reconstructions)) = (maps, &scored.reconstructions) {
            let each = reconstructions.chunks_exact(signed.len() / pictures.len());
            for ((picture, pixels), reconstruction) in pictures.into_iter().zip(pixels).zip(each) {
                maps.write(picture, pixels, reconstruction, preprocessing)?;
            }
        }
        scores = scored.scores;
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

/// A picture as the network sees it, without the margin.
fn decode(
    found: Found,
    preprocessing: &Preprocessing,
    memory: &MemoryBudget,
) -> (Picture, Result<Vec<u8>, PictureFault>) {
    let Found { picture, content } = found;
    let pixels = || -> Result<Vec<u8>, PictureFault> {
        let Some(image) = content? else { return Ok(read_pixels(&picture.file, preprocessing, memory)?) };
        let at = |problem| PictureError { path: picture.file.to_path_buf(), problem };
        Ok(preprocessing.pixels(DynamicImage::ImageLuma8(image)).map_err(at)?)
    };
    let pixels = pixels();
    (picture, pixels)
}
