//! A model ready to score batches, on whichever path was chosen. It chooses none.

use super::device::DeviceScorer;
use super::error::ScoringError;
use super::generator::Generator;
use super::path::ScoringPath;
use super::scored_by::ScoredBy;
use crate::engine::{Cpu, CpuScorer, Executor, Pending};
use crate::model::ModelFile;

/// A model ready to score images on one path.
pub struct Detector {
    path: ScoringPath,
    backend: Backend,
    capacity: usize,
    image: [usize; 3],
    latents: usize,
    scored_by: ScoredBy,
}

pub(super) enum Backend {
    Cpu(CpuScorer),
    Device(Box<DeviceScorer>),
}

/// What is wanted of images beside their scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Reconstructions.
    pub reconstructions: bool,
    /// Latent vectors.
    pub latents: bool,
}

/// Scores of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Anomaly score of each image; higher is more anomalous.
    pub scores: Vec<f32>,
    /// Their reconstructions, `[n, C, H, W]` with pixels in -1..1, where they were asked for.
    pub reconstructions: Option<Vec<f32>>,
    /// Their latent vectors, `[n, latents]`, where they were asked for.
    pub latents: Option<Vec<f32>>,
}

/// A batch that is being scored.
#[must_use = "the scores come with `wait`"]
pub struct Submitted {
    state: State,
    images: usize,
    /// Numbers of each thing that was asked for beside the scores, an image.
    lens: [Option<usize>; 2],
    scored_by: ScoredBy,
    /// The images, where their scores take more than the network.
    pixels: Option<Vec<f32>>,
    wanted: Wanted,
}

enum State {
    Ready(Scores),
    InFlight(Pending),
}

impl Submitted {
    /// Waits for the scores.
    ///
    /// # Errors
    /// If the device failed.
    pub fn wait(self) -> Result<Scores, ScoringError> {
        let Self { state, images, lens, scored_by, pixels, wanted } = self;
        let scores = match state {
            State::Ready(scores) => scores,
            State::InFlight(pending) => Self::read(pending, images, lens)?,
        };
        Ok(scored_by.finished(pixels.as_deref(), scores, wanted))
    }

    fn read(pending: Pending, images: usize, lens: [Option<usize>; 2]) -> Result<Scores, ScoringError> {
        let mut values = pending.wait()?.into_iter().peekable();
        let mut scores = values.next().unwrap_or_default();
        scores.truncate(images);
        let [reconstructions, latents] = lens.map(|len| {
            let mut numbers = values.next_if(|_| len.is_some())?;
            numbers.truncate(images * len.unwrap_or_default());
            Some(numbers)
        });
        Ok(Scores { scores, reconstructions, latents })
    }
}

impl Detector {
    /// A detector without any device.
    ///
    /// # Errors
    /// A model whose tensors do not go with its architecture.
    pub fn cpu(file: &ModelFile, capacity: usize) -> Result<Self, ScoringError> {
        Ok(Self::cpu_of(file, capacity, &Generator::new(file)?))
    }

    /// The same with the model's generator. A small one is scored as a whole; a large one by the CPU executor, whose matrix
    /// products are faster.
    pub(super) fn cpu_of(file: &ModelFile, capacity: usize, generator: &Generator) -> Self {
        let backend = match generator.is_small() {
            true => Backend::Cpu(generator.on_cpu()),
            false => Backend::Device(Box::new(DeviceScorer::new(Box::new(Cpu::new()), file, generator))),
        };
        Self::with(ScoringPath::Cpu, backend, capacity, file, generator)
    }

    /// A detector on an executor that holds nothing else, for batches of up to `capacity` images. Path
    /// [`ScoringPath::Cpu`] leaves the executor alone.
    ///
    /// # Errors
    /// A model that does not suit the path, or whose tensors do not go with its architecture; failures of the device.
    pub fn on(
        executor: Box<dyn Executor>,
        file: &ModelFile,
        path: ScoringPath,
        capacity: usize,
    ) -> Result<Self, ScoringError> {
        if path == ScoringPath::Cpu {
            return Self::cpu(file, capacity);
        }
        let generator = Generator::new(file)?;
        let device = Backend::Device(Box::new(DeviceScorer::new(executor, file, &generator)));
        let mut detector = Self::with(path, device, capacity, file, &generator);
        detector.prepare()?;
        Ok(detector)
    }

    /// Makes ready what whole batches take.
    pub(super) fn prepare(&mut self) -> Result<(), ScoringError> {
        if let Backend::Device(device) = &mut self.backend {
            device.program(self.path, self.capacity, false)?;
        }
        Ok(())
    }

    pub(super) fn with(
        path: ScoringPath,
        backend: Backend,
        capacity: usize,
        file: &ModelFile,
        generator: &Generator,
    ) -> Self {
        let plan = &generator.plan;
        let (image, latents, scored_by) = (plan.image(), plan.latents(), ScoredBy::of(file));
        Self { path, backend, capacity: capacity.max(1), image, latents, scored_by }
    }

    /// Takes another path of the same backend.
    pub(super) fn set_path(&mut self, path: ScoringPath) {
        self.path = path;
    }

    /// The path that it scores on.
    pub fn path(&self) -> ScoringPath {
        self.path
    }

    /// Images that a batch holds at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Channels, height and width of an image.
    pub fn image(&self) -> [usize; 3] {
        self.image
    }

    /// Numbers of an image.
    pub fn image_len(&self) -> usize {
        self.image.iter().product()
    }

    /// Begins to score 1 to `capacity` images, `[n, C, H, W]` with pixels in -1..1. On a device this returns before it is
    /// done, so that the next batch can be prepared meanwhile; several may be on their way. On the CPU path it is done.
    ///
    /// # Errors
    /// Pixels that are no such batch; failures of the device.
    pub fn submit(&mut self, pixels: &[f32], reconstructions: bool) -> Result<Submitted, ScoringError> {
        self.submit_wanted(pixels, Wanted { reconstructions, latents: false })
    }

    /// The same, with latent vectors where they are wanted. On the CPU path one thread computes those.
    pub(crate) fn submit_wanted(&mut self, pixels: &[f32], wanted: Wanted) -> Result<Submitted, ScoringError> {
        let image_len = self.image_len();
        let images = pixels.len() / image_len;
        if !pixels.len().is_multiple_of(image_len) || !(1..=self.capacity).contains(&images) {
            return Err(ScoringError::Pixels { len: pixels.len(), capacity: self.capacity, image: self.image });
        }
        let (asked, wanted) = (wanted, self.scored_by.needed(wanted));
        let state = match &mut self.backend {
            Backend::Cpu(scorer) => {
                let mut scores = vec![0.0; images];
                let mut room = wanted.reconstructions.then(|| vec![0.0; pixels.len()]);
                let mut latents = wanted.latents.then(|| vec![0.0; images * self.latents]);
                match &mut latents {
                    None => scorer.score(pixels, &mut scores, room.as_deref_mut()),
                    latents => {
                        scorer.score_with_latents_here(pixels, &mut scores, room.as_deref_mut(), latents.as_deref_mut())
                    }
                }
                State::Ready(Scores { scores, reconstructions: room, latents })
            }
            Backend::Device(scorer) => State::InFlight(scorer.submit(self.path, pixels, self.capacity, wanted)?),
        };
        let lens = [wanted.reconstructions.then_some(image_len), wanted.latents.then_some(self.latents)];
        let (scored_by, pixels) = (self.scored_by.clone(), self.scored_by.kept(pixels));
        Ok(Submitted { state, images, lens, scored_by, pixels, wanted: asked })
    }

    /// Scores a batch and waits for it.
    ///
    /// # Errors
    /// As [`Self::submit`] and [`Submitted::wait`].
    pub fn score(&mut self, pixels: &[f32]) -> Result<Vec<f32>, ScoringError> {
        Ok(self.submit(pixels, false)?.wait()?.scores)
    }
}
