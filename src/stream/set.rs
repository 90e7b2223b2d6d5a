//! Scores of a set of pictures: arrays in memory, or files, read here or already in memory. It reads no folders and no lists.

use std::borrow::Cow;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::slice::ChunksMut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::detector::SharedDetector;
use super::inspect::Way;
use super::list::Picture;
use super::{PictureFault, StreamError};
use crate::data::{
    DataError, PictureError, PictureProblem, Preprocessing, PreprocessingInternals, append_signed, opaque, picture_of,
    read_noted,
};
use crate::scoring::{Scores, Wanted};
use crate::threads::start_each;

/// What errors call pictures in memory: `X#3` is the fourth.
const IN_MEMORY: &str = "X";

/// Pictures of one size in memory that somebody else holds: `count` x `height` x `width` x `values`, the last running
/// fastest. Values are brightness, or red, green and blue; opacity may follow.
#[derive(Clone, Copy, Debug)]
pub struct PixelArray<'a> {
    bytes: &'a [u8],
    shape: [usize; 4],
    wide: bool,
}

impl<'a> PixelArray<'a> {
    /// Takes the bytes of `[count, height, width, values]`: one for each value, or two in the machine's order if `wide`.
    ///
    /// # Errors
    /// Another number of bytes is [`DataError::PixelCount`].
    pub fn new(bytes: &'a [u8], shape: [usize; 4], wide: bool) -> Result<Self, DataError> {
        let expected = shape.iter().try_fold(1 + usize::from(wide), |product, &dim| product.checked_mul(dim));
        if expected != Some(bytes.len()) {
            return Err(DataError::PixelCount { found: bytes.len(), expected: expected.unwrap_or(usize::MAX) });
        }
        Ok(Self { bytes, shape, wide })
    }

    /// A picture as the network sees it, without the margin.
    fn prepared(&self, index: usize, preprocessing: &Preprocessing) -> Result<Cow<'a, [u8]>, PictureProblem> {
        let [_, height, width, values] = self.shape;
        let len = height * width * values * (1 + usize::from(self.wide));
        if len == 0 {
            return Err(PictureProblem::Empty);
        }
        let picture = &self.bytes[index * len..][..len];
        let unknown = |values| PictureProblem::Scale(format!("{values} values a pixel; 1 to 4 are known"));
        let (bytes, kept) = opaque(picture, values, self.wide, preprocessing.range).map_err(unknown)?;
        match bytes {
            Cow::Borrowed(bytes) => preprocessing.pixels_of(bytes, [height, width], kept),
            Cow::Owned(bytes) => Ok(preprocessing.pixels_of(&bytes, [height, width], kept)?.into_owned().into()),
        }
    }
}

/// Pictures to score.
#[derive(Clone, Copy, Debug)]
pub enum PictureSet<'a> {
    /// In memory, one array after the other.
    Arrays(&'a [PixelArray<'a>]),
    /// Picture files.
    Files(&'a [PathBuf]),
    /// The bytes of picture files.
    Encoded(&'a [&'a [u8]]),
}

impl PictureSet<'_> {
    /// How many pictures there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Arrays(arrays) => arrays.iter().map(|array| array.shape[0]).sum(),
            Self::Files(files) => files.len(),
            Self::Encoded(files) => files.len(),
        }
    }

    /// A picture as the network sees it, without the margin.
    fn prepared(&self, index: usize, way: &Way) -> Result<Cow<'_, [u8]>, PictureFault> {
        let arrays = match self {
            Self::Arrays(arrays) => arrays,
            Self::Files(files) => {
                return Ok(read_noted(&files[index], &way.preprocessing, way.lenient, &way.memory)?.0.into());
            }
            Self::Encoded(files) => {
                let name: PathBuf = self.name(index).to_string().into();
                return Ok(picture_of(files[index], &name, &way.preprocessing, way.lenient, &way.memory)?.0.into());
            }
        };
        let mut place = index;
        for array in *arrays {
            if place < array.shape[0] {
                let failed = |problem| PictureError { path: self.name(index).to_string().into(), problem };
                return Ok(array.prepared(place, &way.preprocessing).map_err(failed)?);
            }
            place -= array.shape[0];
        }
        Err(DataError::Index { index, count: self.count() }.into())
    }

    fn name(&self, index: usize) -> Picture {
        match self {
            Self::Arrays(_) | Self::Encoded(_) => {
                Picture { file: Path::new(IN_MEMORY).into(), array: None, index: Some(index) }
            }
            Self::Files(files) => Picture { file: files[index].as_path().into(), array: None, index: None },
        }
    }
}

/// Why pictures have no score, each with its place in the set.
pub type Faults = Vec<(usize, PictureFault)>;

/// Where the results of the next pictures go.
struct Rooms<'a> {
    next: usize,
    scores: ChunksMut<'a, f32>,
    others: [Option<ChunksMut<'a, f32>>; 2],
}

/// Where the results of some pictures go.
struct Room<'a> {
    first: usize,
    scores: &'a mut [f32],
    others: [Option<&'a mut [f32]>; 2],
}

impl<'a> Iterator for Rooms<'a> {
    type Item = Room<'a>;

    fn next(&mut self) -> Option<Room<'a>> {
        let (first, scores) = (self.next, self.scores.next()?);
        self.next += scores.len();
        Some(Room { first, scores, others: self.others.each_mut().map(|chunks| chunks.as_mut()?.next()) })
    }
}

/// Scores every picture of a set, on so many threads, with what else is wanted. Pictures are prepared as [`super::inspect`]
/// does it, so the scores are the same to the bit. Those in memory are not copied unless they must be scaled or made grey.
///
/// `None` where `stop` was set before all were scored.
///
/// # Errors
/// The first picture that has no score, as [`StreamError::Picture`]; what fails all of them, such as a device that is lost.
pub fn score_set(
    set: &PictureSet,
    way: &Way,
    detector: &SharedDetector,
    threads: usize,
    wanted: Wanted,
    stop: &AtomicBool,
) -> Result<Option<Scores>, StreamError> {
    score(set, way, detector, threads, wanted, stop, None)
}

/// Scores pictures as [`score_set`] does it, those that can be scored: the others have NaN, and a fault each, with the place in
/// the set, in order.
///
/// # Errors
/// What fails all of them, such as a device that is lost.
pub fn score_each(
    set: &PictureSet,
    way: &Way,
    detector: &SharedDetector,
    threads: usize,
    stop: &AtomicBool,
) -> Result<Option<(Vec<f32>, Faults)>, StreamError> {
    let faults = Mutex::new(Faults::new());
    let scored = score(set, way, detector, threads, Wanted::default(), stop, Some(&faults))?;
    let mut faults = faults.into_inner().unwrap_or_else(PoisonError::into_inner);
    faults.sort_unstable_by_key(|&(index, _)| index);
    Ok(scored.map(|scored| (scored.scores, faults)))
}

fn score(
    set: &PictureSet,
    way: &Way,
    detector: &SharedDetector,
    threads: usize,
    wanted: Wanted,
    stop: &AtomicBool,
    faults: Option<&Mutex<Faults>>,
) -> Result<Option<Scores>, StreamError> {
    let (count, lens) = (set.count(), detector.lens());
    let [_, chunk] = detector.chunk();
    let mut scores = vec![0.0; count];
    let wanted_lens = [wanted.reconstructions.then_some(lens[0]), wanted.latents.then_some(lens[1])];
    let mut others = wanted_lens.map(|len| len.map(|len| vec![0.0; count * len]));
    {
        let [reconstructions, latents] = &mut others;
        let rooms = Rooms {
            next: 0,
            scores: scores.chunks_mut(chunk),
            others: [chunks(reconstructions, chunk * lens[0]), chunks(latents, chunk * lens[1])],
        };
        let workers = detector.threads(threads).min(count.div_ceil(chunk));
        fill(rooms, workers, stop, |room, input| scored(set, way, detector, wanted, room, input, faults))?;
    }
    let [reconstructions, latents] = others;
    Ok((!stop.load(Ordering::Relaxed)).then_some(Scores { scores, reconstructions, latents }))
}

fn chunks(numbers: &mut Option<Vec<f32>>, len: usize) -> Option<ChunksMut<'_, f32>> {
    numbers.as_mut().map(|numbers| numbers.chunks_mut(len))
}

/// Fills rooms on so many threads, this one among them, until `stop` is set or one cannot be filled: the error is that of the
/// first of these. `fill` has memory to work in.
fn fill(
    rooms: Rooms,
    workers: usize,
    stop: &AtomicBool,
    fill: impl Fn(Room, &mut Vec<f32>) -> Result<(), (usize, StreamError)> + Sync,
) -> Result<(), StreamError> {
    let (rooms, failed) = (Mutex::new(rooms), AtomicBool::new(false));
    let work = || {
        let mut input = Vec::new();
        while !stop.load(Ordering::Relaxed) && !failed.load(Ordering::Relaxed) {
            let next = rooms.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(room) = next else { break };
            fill(room, &mut input).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    };
    if workers <= 1 {
        return work().map_err(|(_, error)| error);
    }
    thread::scope(|scope| {
        // Where the system starts none, this thread does all of the work.
        let others = start_each(1..workers, |_| thread::Builder::new().spawn_scoped(scope, work)).unwrap_or_default();
        let mut results = vec![work()];
        results.extend(others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic))));
        let errors = results.into_iter().filter_map(Result::err);
        errors.min_by_key(|&(index, _)| index).map_or(Ok(()), |(_, error)| Err(error))
    })
}

/// Fills a room. Of a picture without a score the fault goes to `faults`; where there is no such list, it is the error.
fn scored(
    set: &PictureSet,
    way: &Way,
    detector: &SharedDetector,
    wanted: Wanted,
    room: Room,
    input: &mut Vec<f32>,
    faults: Option<&Mutex<Faults>>,
) -> Result<(), (usize, StreamError)> {
    let Preprocessing { channels, height, width, side, .. } = way.preprocessing;
    let noted = |index: usize, fault: PictureFault| match faults {
        Some(faults) => {
            faults.lock().unwrap_or_else(PoisonError::into_inner).push((index, fault));
            Ok(())
        }
        None => Err((index, StreamError::Picture(Box::new(fault)))),
    };
    let Room { first, scores, others } = room;
    input.clear();
    // The places of those that are left out.
    let mut missing = Vec::new();
    for index in first..first + scores.len() {
        match set.prepared(index, way) {
            Ok(pixels) => append_signed(&pixels, [channels, height, width], side, input),
            Err(fault) => {
                noted(index, fault)?;
                missing.push(index - first);
                // Its place is kept, so that those behind it are at theirs.
                input.resize(input.len() + channels * side * side, 0.0);
            }
        }
    }
    let made = detector.score(input, wanted).map_err(|error| (first, error.into()))?;
    scores.copy_from_slice(&made.scores);
    for &place in &missing {
        scores[place] = f32::NAN;
    }
    for (place, &score) in made.scores.iter().enumerate() {
        if !score.is_finite() && !missing.contains(&place) {
            let index = first + place;
            noted(index, PictureFault::NotFinite { picture: set.name(index), score })?;
            scores[place] = f32::NAN;
        }
    }
    for (room, numbers) in others.into_iter().zip([made.reconstructions, made.latents]) {
        if let (Some(room), Some(numbers)) = (room, numbers) {
            room.copy_from_slice(&numbers);
        }
    }
    Ok(())
}
