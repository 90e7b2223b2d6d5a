//! From what was found to scores.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;

use super::detector::SharedDetector;
use super::list::{Content, Emit, Found, Picture, Sources};
use super::maps::Maps;
use super::ordered::ordered;
use super::places::{PictureBox, Places};
use super::{PictureFault, StreamError};
use crate::data::{
    Images, MemoryBudget, PictureError, Prepared, Preprocessing, Remarks, Search, prepared_of, read_prepared,
};
use crate::model::ModelFile;
use crate::scoring::{Choice, DetectorOptions, ScoringError, Wanted};

/// What came of a picture.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspected {
    /// Its name.
    pub picture: Picture,
    /// Its anomaly score, finite.
    pub score: Result<f32, PictureFault>,
    /// What is worth knowing of it beside.
    pub remarks: Remarks,
    /// The parts of it that stand out, the highest peak first, where they were asked for.
    pub boxes: Option<Vec<PictureBox>>,
    /// What the network sees of it, where that was asked for.
    pub seen: Option<Seen>,
}

/// What the network sees of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// Its pixels, channel by channel, row by row.
    pub pixels: Vec<u8>,
    /// Width and height of the picture itself, upright.
    pub size: [u32; 2],
}

/// What is made of each picture beside its score.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// Maps of what the network makes of it.
    pub maps: Option<Maps>,
    /// Where the anomaly is.
    pub places: Option<Places>,
    /// Whether [`Inspected::seen`] is wanted.
    pub seen: bool,
}

impl Beside {
    fn keeps_pictures(&self) -> bool {
        self.places.as_ref().is_some_and(Places::keeps_pictures)
    }
}

/// How pictures are decoded.
#[derive(Debug, Clone)]
pub struct Way {
    /// What is done to each.
    pub preprocessing: Preprocessing,
    /// Whether a damaged one is scored all the same, with a remark.
    pub lenient: bool,
    /// The memory that they take at once.
    pub memory: Arc<MemoryBudget>,
}

/// Scores the pictures of files and folders, in order: PNG, JPEG, BMP, TIFF, WebP, GIF and PNM files, and the images of IDX,
/// NumPy and Parquet files. Folders are searched as deep as they go, each in the order of its names. Any number of pictures takes the same
/// memory.
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
    let (detector, choice) = SharedDetector::choose(model, &paths, &Search::default(), threads, options)?;
    let memory = Arc::new(MemoryBudget::of_machine());
    let way = Way { preprocessing: model.preprocessing, lenient: false, memory };
    let chunks = inspect(Sources::of(paths), &way, &detector, threads, &Beside::default());
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
    way: &Way,
    detector: &SharedDetector,
    threads: usize,
    beside: &Beside,
) -> impl Iterator<Item = Result<Vec<Inspected>, StreamError>> + use<> {
    inspect_each(Box::new(|emit| sources.each(emit)), way, detector, threads, beside)
}

/// Scores picture files that somebody else found in a folder, as [`inspect`] does it, in this order. Files of many images
/// are not looked into.
pub fn inspect_files(
    files: Vec<PathBuf>,
    way: &Way,
    detector: &SharedDetector,
    threads: usize,
) -> impl Iterator<Item = Result<Vec<Inspected>, StreamError>> + use<> {
    let found = |file: &PathBuf| Found { picture: Picture::new(file), content: Ok(Content::Found) };
    let list: List = Box::new(move |emit| files.iter().try_for_each(|file| emit(Some(found(file)))));
    inspect_each(list, way, detector, threads, &Beside::default())
}

/// Finds pictures, and gives each of them away.
type List = Box<dyn FnOnce(&mut Emit) -> ControlFlow<()> + Send>;

/// Scores what `list` finds.
fn inspect_each(
    list: List,
    way: &Way,
    detector: &SharedDetector,
    threads: usize,
    beside: &Beside,
) -> impl Iterator<Item = Result<Vec<Inspected>, StreamError>> + use<> {
    let worker = |_| {
        let (detector, way, mut beside) = (detector.clone(), way.clone(), beside.clone());
        move |chunk: Vec<Found>| scored(chunk, &way, &detector, &mut beside)
    };
    // A thread that keeps one picture may wait for memory for another, and all threads for each other.
    let chunk = if beside.keeps_pictures() { [1, 1] } else { detector.chunk() };
    let workers = (0..detector.threads(threads)).map(worker).collect();
    let (results, failure) = match ordered(list, workers, chunk) {
        Ok(results) => (Some(results), None),
        Err(error) => (None, Some(Err(StreamError::Thread(error)))),
    };
    results.into_iter().flatten().chain(failure)
}

fn scored(
    chunk: Vec<Found>,
    way: &Way,
    detector: &SharedDetector,
    beside: &mut Beside,
) -> Result<Vec<Inspected>, StreamError> {
    let keep = beside.keeps_pictures();
    let mut decoded: Vec<_> = chunk.into_iter().map(|found| decode(found, way, keep)).collect();
    let usable =
        || decoded.iter().enumerate().filter_map(|(place, (_, read))| Some((place, &read.as_ref().ok()?.pixels[..])));
    let (places, pixels): (Vec<usize>, Vec<&[u8]>) = usable().unzip();
    let mut boxes: Vec<_> = decoded.iter().map(|_| None).collect();
    let mut scores = Vec::new();
    let mut unmapped = Vec::new();
    if !places.is_empty() {
        let preprocessing = &way.preprocessing;
        let Preprocessing { channels, height, width, side, .. } = *preprocessing;
        let images = Images::new(places.len(), channels, height, width, pixels.concat())?;
        let signed = images.to_signed_padded(&(0..places.len()).collect::<Vec<_>>(), side)?;
        let reconstructions = beside.maps.is_some() || beside.places.is_some();
        let scored = detector.score(&signed, Wanted { reconstructions, latents: false })?;
        if let Some(reconstructions) = &scored.reconstructions {
            let each = reconstructions.chunks_exact(signed.len() / places.len());
            for ((&place, pixels), reconstruction) in places.iter().zip(pixels).zip(each) {
                let (picture, Ok(read)) = &decoded[place] else { continue };
                let mut write = || -> Result<(), StreamError> {
                    if let Some(maps) = &mut beside.maps {
                        maps.write(picture, pixels, reconstruction, preprocessing)?;
                    }
                    if let Some(places) = &mut beside.places {
                        let map = places.map(pixels, reconstruction, preprocessing, read.size);
                        boxes[place] = Some(map.boxes());
                        read.kept.as_ref().map_or(Ok(()), |kept| places.write(picture, &map, kept))?;
                    }
                    Ok(())
                };
                match write() {
                    // The fault of its name, which is no other's.
                    Err(error) if error.is_of_name() => {
                        unmapped.push((place, PictureFault::Map { picture: picture.clone(), source: Box::new(error) }));
                    }
                    written => written?,
                }
            }
        }
        scores = scored.scores;
    }
    for (place, fault) in unmapped {
        decoded[place].1 = Err(fault);
    }
    let mut inspected: Vec<_> = decoded
        .into_iter()
        .zip(boxes)
        .map(|((picture, read), boxes)| {
            let (score, remarks, seen) = match read {
                Ok(Prepared { pixels, size, remarks, .. }) => {
                    (Ok(f32::NAN), remarks, beside.seen.then_some(Seen { pixels, size }))
                }
                Err(fault) => (Err(fault), Remarks::default(), None),
            };
            Inspected { picture, score, remarks, boxes, seen }
        })
        .collect();
    for (place, score) in places.into_iter().zip(scores) {
        let Inspected { picture, score: result, .. } = &mut inspected[place];
        if result.is_ok() {
            *result = match score.is_finite() {
                true => Ok(score),
                false => Err(PictureFault::NotFinite { picture: picture.clone(), score }),
            };
        }
    }
    Ok(inspected)
}

/// A picture as the network sees it, without the margin, and what is worth knowing of it.
fn decode(found: Found, way: &Way, keep: bool) -> (Picture, Result<Prepared<'_>, PictureFault>) {
    let Found { picture, content } = found;
    let Way { preprocessing, lenient, memory } = way;
    let read = || -> Result<_, PictureFault> {
        let file = &picture.file;
        Ok(match content? {
            Content::Named => read_prepared(file, preprocessing, *lenient, keep, memory)?,
            Content::Found => {
                read_prepared(file, preprocessing, *lenient, keep, memory).map_err(PictureError::found)?
            }
            // One of many needs its whole name.
            Content::Bytes(bytes) => prepared_of(&bytes, &named(&picture), preprocessing, *lenient, keep, memory)?,
            Content::Pixels(image) => {
                let at = |problem| PictureError { path: named(&picture).into_owned(), problem };
                image.prepared_and_kept(preprocessing, keep).map_err(at)?
            }
        })
    };
    let read = read();
    (picture, read)
}

/// What errors name a picture by.
fn named(picture: &Picture) -> Cow<'_, Path> {
    if picture.index.is_some() { PathBuf::from(picture.to_string()).into() } else { (&*picture.file).into() }
}
