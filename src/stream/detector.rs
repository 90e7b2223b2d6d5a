//! What the threads score with.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::list::has_picture_ending;
use crate::data::Search;
use crate::engine::CpuScorer;
use crate::model::ModelFile;
use crate::scoring::{
    Choice, Detector, DetectorOptions, Generator, ScoredBy, Scores, ScoringError, ScoringPath, Submitted, Wanted,
    time_one_image,
};

/// Pictures of a chunk at most where each thread scores for itself.
const CHUNK: usize = 64;
/// Pictures of a batch on a device at most.
pub const BATCH: usize = 32;
/// To read and decode the smallest of pictures takes about half as long: where scoring takes no longer than this, a
/// device would have little to win.
const MAX_CPU_TIME: Duration = Duration::from_micros(40);
/// Pictures that are counted beforehand: more are many.
const MAX_COUNTED: usize = 50_000;

/// A model that many threads score with: on one device or several, by turns, or else each by itself.
#[derive(Clone)]
pub struct SharedDetector {
    devices: Vec<Arc<Mutex<Detector>>>,
    /// Whose turn it is where all are at work.
    turn: Arc<AtomicUsize>,
    /// What scores without a device, or in the place of one that fails.
    cpu: Arc<CpuScorer>,
    scored_by: ScoredBy,
    /// Whether it may take its place.
    fallback: bool,
    /// Why the device is no longer used.
    failure: Arc<OnceLock<Arc<ScoringError>>>,
}

impl SharedDetector {
    /// Makes a model ready, on the path asked for or else on the fastest one; for the CPU path where it is fast anyhow,
    /// no other is tried. How many pictures `paths` hold is looked up where it matters and `options` does not say. The
    /// other devices that `options` name score too, on the same path, unless that is the CPU path.
    ///
    /// # Errors
    /// As of [`Detector::choose`], but no failure of the device where the options let the CPU path take its place.
    pub fn choose(
        file: &ModelFile,
        paths: &[PathBuf],
        search: &Search,
        threads: usize,
        mut options: DetectorOptions,
    ) -> Result<(Self, Choice), ScoringError> {
        let generator = Generator::new(file)?;
        let cpu = Arc::new(generator.on_cpu());
        let (turn, failure) = Default::default();
        let scored_by = ScoredBy::of(file);
        let mut shared = Self { devices: Vec::new(), turn, cpu, scored_by, fallback: options.cpu_fallback, failure };
        // An adapter that was named is tried.
        if options.path.is_none() && !options.without_device && options.device.adapter.is_none() {
            let seconds = time_one_image(&shared.cpu) / threads as u32;
            options.without_device = seconds <= MAX_CPU_TIME;
        }
        if options.without_device {
            options.path = Some(ScoringPath::Cpu);
        }
        if options.path != Some(ScoringPath::Cpu) {
            options.images = options.images.or_else(|| count(paths, search));
        }
        let few = options.images.filter(|_| options.path.is_none());
        let capacity = BATCH.min(few.unwrap_or(BATCH));
        let all = |options: &mut DetectorOptions| {
            let (first, choice) = Detector::choose_for(file, &generator, capacity, options)?;
            let mut detectors = vec![first];
            options.path = Some(choice.path);
            let more = if choice.path == ScoringPath::Cpu { Vec::new() } else { options.more_devices.clone() };
            for device in more {
                let options = options.clone().device(device);
                detectors.push(Detector::choose_for(file, &generator, capacity, &options)?.0);
            }
            Ok::<_, ScoringError>((detectors, choice))
        };
        let (detectors, choice) = match all(&mut options) {
            Err(error) if shared.fallback && error.is_of_device() => {
                shared.failure = Arc::new(OnceLock::from(Arc::new(error)));
                options.path = Some(ScoringPath::Cpu);
                all(&mut options)?
            }
            chosen => chosen?,
        };
        if choice.path != ScoringPath::Cpu || !generator.is_small() {
            shared.devices = detectors.into_iter().map(|detector| Arc::new(Mutex::new(detector))).collect();
        }
        Ok((shared, choice))
    }

    /// Why the device is no longer used, where the CPU path took its place.
    pub fn failure(&self) -> Option<&ScoringError> {
        self.failure.get().filter(|_| self.fallback).map(Arc::as_ref)
    }

    /// Fewest and most pictures of a chunk: a device works on whole batches.
    pub(super) fn chunk(&self) -> [usize; 2] {
        self.devices.first().map_or([1, CHUNK], |detector| [locked(detector).capacity(); 2])
    }

    /// Devices that score.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// Threads beside `decoding` ones that keep all of them busy: one waits for each device.
    pub(super) fn threads(&self, decoding: usize) -> usize {
        decoding + self.devices.len()
    }

    /// A device that is free; if none is, one that others wait for too.
    fn device(&self) -> Option<MutexGuard<'_, Detector>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.devices.len().max(1);
        let free = self.devices.iter().find_map(|device| device.try_lock().ok());
        free.or_else(|| self.devices.get(turn).map(|device| locked(device)))
    }

    /// Numbers of an image, and of its latent vector.
    pub(super) fn lens(&self) -> [usize; 2] {
        [self.cpu.image_len(), self.cpu.latents()]
    }

    /// Scores images `[n, C, H, W]` with pixels in -1..1, at least one and at most as many as a chunk has.
    pub(super) fn score(&self, pixels: &[f32], wanted: Wanted) -> Result<Scores, Arc<ScoringError>> {
        if let Some(mut detector) = self.device() {
            // Asked by whose turn it is: a device that hangs would hold up whoever uses it again.
            let failure = match self.failure.get() {
                Some(failure) => failure,
                None => match detector.submit_wanted(pixels, wanted).and_then(Submitted::wait) {
                    Err(error) if error.is_of_device() => self.failure.get_or_init(|| Arc::new(error)),
                    scored => return scored.map_err(Arc::new),
                },
            };
            if !self.fallback {
                return Err(failure.clone());
            }
        }
        let images = pixels.len() / self.cpu.image_len();
        let (asked, wanted) = (wanted, self.scored_by.needed(wanted));
        let mut scores = vec![0.0; images];
        let mut room = wanted.reconstructions.then(|| vec![0.0; pixels.len()]);
        let mut latents = wanted.latents.then(|| vec![0.0; images * self.cpu.latents()]);
        // The other threads have pictures of their own.
        self.cpu.score_with_latents_here(pixels, &mut scores, room.as_deref_mut(), latents.as_deref_mut());
        Ok(self.scored_by.finished(Some(pixels), Scores { scores, reconstructions: room, latents }, asked))
    }
}

fn locked(detector: &Mutex<Detector>) -> MutexGuard<'_, Detector> {
    detector.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many pictures there are at least, unless they cannot be counted beforehand.
fn count(paths: &[PathBuf], search: &Search) -> Option<usize> {
    let mut count = 0;
    for path in paths {
        count += match path.is_dir() {
            true => search.files_below(path).filter(Result::is_ok).take(MAX_COUNTED).count(),
            false if has_picture_ending(path) => 1,
            // A list, or a file of many images.
            false => return None,
        };
        if count >= MAX_COUNTED {
            break;
        }
    }
    Some(count)
}
