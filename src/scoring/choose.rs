use std::time::Duration;

use serde::Serialize;

use super::cpu::CpuScorer;
use super::detector::{Backend, Detector};
use super::device::DeviceScorer;
use super::error::ScoringError;
use super::generator::Generator;
use super::measure::measure;
use super::path::ScoringPath;
use crate::engine::{AdapterSummary, EngineError, Gpu, GpuOptions};
use crate::model::ModelFile;

/// What a choice of path may take into account.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The path to take; the fastest if none.
    pub path: Option<ScoringPath>,
    /// Whether weights in half precision will do.
    pub half: bool,
    /// How many images there are, if known: for a few no device is opened.
    pub images: Option<usize>,
    /// Which adapter to open, if one is.
    pub device: GpuOptions,
    /// Never opens a device.
    pub without_device: bool,
    /// Whether scoring of a stream goes on on the CPU path where the device cannot be opened or fails.
    pub cpu_fallback: bool,
}

/// The path that was chosen, and why.
#[derive(Clone, Debug, Serialize)]
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

/// How fast a path was when it was tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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
    /// A detector for batches of up to `capacity` images on the path wished for, or else on the one that proves fastest in
    /// a short trial with whole batches. A device is opened only where the path needs it, or where scoring without one
    /// would take longer than opening it; without an adapter the CPU path is taken.
    ///
    /// # Errors
    /// A model that does not suit the path wished for, or whose tensors do not go with its architecture; no adapter where
    /// the path wished for, or the adapter, needs one; failures of the device.
    pub fn choose(file: &ModelFile, capacity: usize, wish: &Wish) -> Result<(Self, Choice), ScoringError> {
        let capacity = capacity.max(1);
        let plain = |path| Choice { path, timings: Vec::new(), adapter: None, without_adapter: None };
        match wish.path {
            Some(ScoringPath::Cpu) => return Ok((Self::cpu(file, capacity)?, plain(ScoringPath::Cpu))),
            Some(path) => {
                let gpu = Gpu::open(&wish.device)?;
                let adapter = Some(gpu.summary().clone());
                let detector = Self::on(Box::new(gpu), file, path, capacity)?;
                return Ok((detector, Choice { adapter, ..plain(path) }));
            }
            None => {}
        }
        let generator = Generator::new(file)?;
        let cpu = Backend::Cpu(CpuScorer::new(&generator));
        let mut detector = Self::with(ScoringPath::Cpu, cpu, capacity, &generator);
        let batch = capacity.min(wish.images.unwrap_or(capacity)).max(1);
        let seconds = measure(&mut detector, batch, TRIAL)?.median();
        let mut choice = plain(ScoringPath::Cpu);
        choice.timings.push(Timing { path: ScoringPath::Cpu, median_us: 1e6 * seconds });
        let soon = wish.images.is_some_and(|images| images as f64 / batch as f64 * seconds < OPENING);
        if wish.without_device || soon {
            return Ok((detector, choice));
        }
        let gpu = match Gpu::open(&wish.device) {
            Ok(gpu) => gpu,
            // Asked for by name, it must be there.
            Err(EngineError::NoAdapter { problem }) if wish.device.adapter.is_none() => {
                choice.without_adapter = Some(problem);
                return Ok((detector, choice));
            }
            Err(error) => return Err(error.into()),
        };
        choice.adapter = Some(gpu.summary().clone());
        let device = Backend::Device(Box::new(DeviceScorer::new(Box::new(gpu), file, &generator)));
        let mut candidate = Self::with(ScoringPath::OpByOp, device, capacity, &generator);
        let mut fastest = seconds;
        for path in [ScoringPath::FusedF32, ScoringPath::FusedF16, ScoringPath::OpByOp] {
            if path == ScoringPath::FusedF16 && !wish.half {
                continue;
            }
            candidate.set_path(path);
            let seconds = match measure(&mut candidate, batch, TRIAL) {
                Ok(measured) => measured.median(),
                // A network that does not fit this path, or does not fit the adapter on this path.
                Err(ScoringError::Unsuited { .. })
                | Err(ScoringError::Engine(EngineError::Shape { .. } | EngineError::Limit { .. })) => continue,
                Err(error) => return Err(error),
            };
            choice.timings.push(Timing { path, median_us: 1e6 * seconds });
            if seconds < fastest {
                (fastest, choice.path) = (seconds, path);
            }
        }
        if choice.path == ScoringPath::Cpu {
            return Ok((detector, choice));
        }
        candidate.set_path(choice.path);
        Ok((candidate, choice))
    }
}
