//! The choice of the fastest path for the task at hand. The trial itself is in `measure.rs`.

use std::time::Duration;

use serde::Serialize;

use super::detector::{Backend, Detector};
use super::device::DeviceScorer;
use super::error::ScoringError;
use super::generator::Generator;
use super::measure::measure;
use super::path::ScoringPath;
use crate::engine::{AdapterSummary, EngineError, Gpu, GpuOptions};
use crate::model::ModelFile;

/// What a choice of path may take into account.
///
/// ```
/// use pkdgan::scoring::{DetectorOptions, ScoringPath};
///
/// let options = DetectorOptions::default().path(ScoringPath::Cpu).images(500);
/// assert_eq!(options.path, Some(ScoringPath::Cpu));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DetectorOptions {
    /// The path to take; the fastest if none.
    pub path: Option<ScoringPath>,
    /// Whether weights in half precision will do.
    pub half: bool,
    /// How many images there are at least, if known: for a few no device is opened.
    pub images: Option<usize>,
    /// Which adapter to open, if one is.
    pub device: GpuOptions,
    /// Other adapters that score a stream of pictures too, on the same path.
    pub more_devices: Vec<GpuOptions>,
    /// Never opens a device.
    pub without_device: bool,
    /// Whether scoring of a stream goes on on the CPU path where the device cannot be opened or fails.
    pub cpu_fallback: bool,
}

impl DetectorOptions {
    /// Takes this path; `None` for the fastest.
    #[must_use]
    pub fn path(self, path: impl Into<Option<ScoringPath>>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// Whether weights in half precision will do.
    #[must_use]
    pub fn half(self, half: bool) -> Self {
        Self { half, ..self }
    }

    /// How many images there are at least; `None` if that is not known.
    #[must_use]
    pub fn images(self, images: impl Into<Option<usize>>) -> Self {
        Self { images: images.into(), ..self }
    }

    /// How to open the adapter, if one is opened.
    #[must_use]
    pub fn device(self, device: GpuOptions) -> Self {
        Self { device, ..self }
    }

    /// Which other adapters score a stream of pictures too.
    #[must_use]
    pub fn more_devices(self, more_devices: Vec<GpuOptions>) -> Self {
        Self { more_devices, ..self }
    }

    /// Whether no device may be opened.
    #[must_use]
    pub fn without_device(self, without: bool) -> Self {
        Self { without_device: without, ..self }
    }

    /// Whether scoring goes on on the CPU path where the device cannot be opened or fails.
    #[must_use]
    pub fn cpu_fallback(self, fallback: bool) -> Self {
        Self { cpu_fallback: fallback, ..self }
    }
}

/// The path that was chosen, and why.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Choice {
    /// The path.
    pub path: ScoringPath,
    /// What was timed; empty where the path was given.
    pub timings: Vec<Timing>,
    /// The adapter, where one was opened.
    pub adapter: Option<AdapterSummary>,
    /// Why there is no adapter, where one was looked for and could not be used.
    pub without_adapter: Option<String>,
}

impl Choice {
    fn of(path: ScoringPath) -> Self {
        Self { path, timings: Vec::new(), adapter: None, without_adapter: None }
    }
}

/// How fast a path was when it was tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Timing {
    /// The path.
    pub path: ScoringPath,
    /// Microseconds of a batch, the median.
    pub median_us: f64,
}

/// What opening a device and making its kernels costs, at least.
const OPENING: f64 = 0.3;
/// How long each path is tried.
const TRIAL: Duration = Duration::from_millis(10);

impl Detector {
    /// A detector for batches of up to `capacity` images on the path asked for, or else on the one that proves fastest
    /// in a short trial with whole batches. A device is opened only where the path needs it, or where scoring without
    /// one would take longer than opening it; without an adapter the CPU path is taken.
    ///
    /// # Errors
    /// A model that does not suit the path asked for, or whose tensors do not go with its architecture; no adapter
    /// where the path asked for, or the adapter, needs one; failures of the device.
    pub fn choose(
        file: &ModelFile,
        capacity: usize,
        options: &DetectorOptions,
    ) -> Result<(Self, Choice), ScoringError> {
        Self::choose_for(file, &Generator::new(file)?, capacity, options)
    }

    /// The same with the model's generator, which others may use too.
    pub(crate) fn choose_for(
        file: &ModelFile,
        generator: &Generator,
        capacity: usize,
        options: &DetectorOptions,
    ) -> Result<(Self, Choice), ScoringError> {
        let capacity = capacity.max(1);
        let batch = capacity.min(options.images.unwrap_or(capacity)).max(1);
        let mut detector = Self::cpu_of(file, capacity, generator);
        let mut choice = Choice::of(ScoringPath::Cpu);
        if options.path.is_none() {
            let seconds = measure(&mut detector, batch, TRIAL)?.median();
            choice.timings.push(Timing { path: ScoringPath::Cpu, median_us: 1e6 * seconds });
            // An adapter that was named is tried.
            let soon = options.device.adapter.is_none()
                && options.images.is_some_and(|images| images as f64 / batch as f64 * seconds < OPENING);
            if options.without_device || soon {
                return Ok((detector, choice));
            }
        }
        if options.path == Some(ScoringPath::Cpu) {
            return Ok((detector, choice));
        }
        let gpu = match Gpu::open(&options.device) {
            Ok(gpu) => gpu,
            // Asked for by name, it must be there.
            Err(EngineError::NoAdapter { problem }) if options.device.adapter.is_none() && options.path.is_none() => {
                choice.without_adapter = Some(problem);
                return Ok((detector, choice));
            }
            Err(error) => return Err(error.into()),
        };
        choice.adapter = Some(gpu.summary().clone());
        let device = Backend::Device(Box::new(DeviceScorer::new(Box::new(gpu), file, generator)));
        let mut candidate = Self::with(options.path.unwrap_or(ScoringPath::OpByOp), device, capacity, file, generator);
        match options.path {
            Some(path) => {
                choice.path = path;
                candidate.prepare()?;
            }
            None => {
                choice.timings.extend(candidate.time_paths(options, batch)?);
                let fastest = choice.timings.iter().min_by(|a, b| a.median_us.total_cmp(&b.median_us));
                choice.path = fastest.map_or(ScoringPath::Cpu, |fastest| fastest.path);
                if choice.path == ScoringPath::Cpu {
                    return Ok((detector, choice));
                }
                candidate.set_path(choice.path);
            }
        }
        Ok((candidate, choice))
    }

    /// How long batches take on each path of the device that the options allow.
    fn time_paths(&mut self, options: &DetectorOptions, batch: usize) -> Result<Vec<Timing>, ScoringError> {
        let mut timings = Vec::new();
        for path in [ScoringPath::FusedF32, ScoringPath::FusedF16, ScoringPath::OpByOp] {
            let wanted = options.path.map_or(path != ScoringPath::FusedF16 || options.half, |wanted| wanted == path);
            if !wanted {
                continue;
            }
            self.set_path(path);
            match measure(self, batch, TRIAL) {
                Ok(measured) => timings.push(Timing { path, median_us: 1e6 * measured.median() }),
                // A network that does not fit this path, or does not fit the adapter on this path.
                Err(ScoringError::Unsuited { .. })
                | Err(ScoringError::Engine(EngineError::Shape { .. } | EngineError::Limit { .. }))
                    if options.path.is_none() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(timings)
    }
}
