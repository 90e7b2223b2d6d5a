use std::cell::{Cell, OnceCell};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use pkdgan::cache::{KernelCache, PipelineFiles};
use pkdgan::data::cache_folder;
use pkdgan::engine::{
    AdapterSummary, Cpu, EngineError, Executor, Fault, Gpu, GpuOptions, KernelChoices, Measurements, PATIENCE,
};
use pkdgan::scoring::{ScoringPath, Wish};
use pkdgan::train::TrainError;

/// The variable that names trouble to be had, for tests; see `docs/reliability.md`.
const FAULT_VARIABLE: &str = "PKDGAN_FAULT";

/// What to compute on.
#[derive(Args)]
pub struct Device {
    /// `gpu` for kernels on an adapter (software adapters included), `cpu` for the plain, slow
    /// executor that needs no driver
    #[arg(long, value_name = "DEVICE", default_value = "gpu", help_heading = "Device")]
    device: Kind,
    /// Adapter by number or part of its name, as `pkdgan devices` lists them [default: the best one]
    #[arg(long, value_name = "NAME|INDEX", help_heading = "Device")]
    adapter: Option<String>,
    /// Where the adapter cannot be opened, or fails, go on without it: training from the last checkpoint, evaluation from
    /// its start, `score` where it is
    #[arg(long, help_heading = "Device")]
    allow_cpu_fallback: bool,
    /// How long the adapter may take for what is waited for before it is given up
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE.as_secs_f64(), value_parser = seconds, help_heading = "Device")]
    device_timeout: f64,
    /// Compute convolutions by the kernels that suit the kind of adapter, whatever `pkdgan tune` found out about this one:
    /// then machines whose adapters are of one kind give the same bytes
    #[arg(long, help_heading = "Device")]
    pub no_tune: bool,
    /// What was measured, once it is read.
    #[arg(skip)]
    measurements: OnceCell<Arc<Measurements>>,
    /// Whether the adapter failed and the CPU executor took its place.
    #[arg(skip)]
    fallen_back: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Gpu,
    Cpu,
}

/// A path of scoring; none for the fastest.
#[derive(Clone, Copy)]
pub struct PathWish(pub Option<ScoringPath>);

impl FromStr for PathWish {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == "auto" { Ok(Self(None)) } else { Ok(Self(Some(name.parse()?))) }
    }
}

/// An executor, and what to call it.
pub struct Opened {
    pub executor: Box<dyn Executor>,
    pub summary: AdapterSummary,
    /// The kernels of convolutions, where those are not the default.
    pub kernels: KernelChoices,
}

impl Device {
    /// Opens what was asked for; the CPU executor where that is allowed and there is no adapter.
    pub fn open(&self) -> Result<Opened, EngineError> {
        if self.device == Kind::Cpu {
            self.refuse_adapter();
        }
        if self.device == Kind::Cpu || self.fallen_back.get() {
            return Ok(cpu());
        }
        match Gpu::open(&self.options()) {
            Ok(gpu) => {
                let (summary, kernels) = (gpu.summary().clone(), gpu.choices().clone());
                Ok(Opened { executor: Box::new(gpu), summary, kernels })
            }
            Err(error) if self.falls_back(&error) => Ok(cpu()),
            Err(error) => Err(error),
        }
    }

    /// Opens the adapter itself, for what only an adapter can do; none where the CPU executor was asked for.
    pub fn adapter(&self) -> Result<Option<Gpu>, EngineError> {
        if self.device == Kind::Cpu {
            self.refuse_adapter();
            return Ok(None);
        }
        Gpu::open(&self.options()).map(Some)
    }

    /// What a detector may use.
    pub fn wish(&self, path: Option<ScoringPath>) -> Wish {
        let without_device = self.device == Kind::Cpu;
        if without_device {
            self.refuse_adapter();
            if let Some(path) = path.filter(|&path| path != ScoringPath::Cpu) {
                refuse(&format!("--path {path} runs on a GPU; leave it out with --device cpu\n"));
            }
        }
        Wish { path, without_device, device: self.options(), cpu_fallback: self.allow_cpu_fallback, ..Wish::default() }
    }

    fn refuse_adapter(&self) {
        if self.adapter.is_some() {
            refuse("--adapter chooses among GPUs; leave it out with --device cpu\n");
        }
    }

    /// Opens it once more, for a stage of its own.
    pub fn executor(&self) -> Result<Box<dyn Executor>, EngineError> {
        Ok(self.open()?.executor)
    }

    /// Does `work`, which opens devices; once more with the CPU executor, where that is allowed and a device fails.
    pub fn work<T, E>(&self, mut work: impl FnMut() -> Result<T, E>) -> anyhow::Result<T>
    where
        anyhow::Error: From<E>,
    {
        match work().map_err(anyhow::Error::from) {
            Err(error) if of_engine(&error).is_some_and(|error| self.falls_back(error)) => Ok(work()?),
            outcome => outcome,
        }
    }

    /// What the work was done on that began on `first`.
    pub fn used(&self, first: &AdapterSummary) -> AdapterSummary {
        if self.fallen_back.get() { cpu().summary } else { first.clone() }
    }

    /// Whether the CPU executor takes the place of the adapter that failed so, which is then said.
    fn falls_back(&self, error: &EngineError) -> bool {
        let falls = self.allow_cpu_fallback && self.device == Kind::Gpu && error.is_of_device();
        if falls && !self.fallen_back.replace(true) {
            eprintln!("warning: {error}\nwarning: going on with the plain CPU executor, one core, many times slower");
            return true;
        }
        false
    }

    fn measurements(&self) -> &Arc<Measurements> {
        self.measurements.get_or_init(|| {
            let cache = cache_folder().map(|folder| KernelCache::new(&folder).read());
            Arc::new(cache.unwrap_or_default())
        })
    }

    fn options(&self) -> GpuOptions {
        let fault = std::env::var(FAULT_VARIABLE).ok().map(|text| {
            text.parse::<Fault>().unwrap_or_else(|error| {
                let message = format!("{FAULT_VARIABLE}: {error}\n");
                clap::Error::raw(clap::error::ErrorKind::InvalidValue, message).exit()
            })
        });
        GpuOptions {
            adapter: self.adapter.clone(),
            patience: Some(Duration::from_secs_f64(self.device_timeout)),
            fault,
            pipelines: cache_folder().map(|folder| Arc::new(PipelineFiles::new(folder)) as _),
            measurements: (!self.no_tune).then(|| self.measurements().clone()),
            ..GpuOptions::default()
        }
    }
}

impl Opened {
    /// One line for a person, with a warning where this is slower than it could be.
    pub fn describe(&self) -> String {
        if self.summary.backend == "cpu" {
            return "device: plain CPU executor, one core; a Vulkan driver, even a software one, is many times faster"
                .into();
        }
        let note =
            if self.summary.is_software() { "\n        this adapter is the CPU: a GPU would be faster" } else { "" };
        let tuned = match self.kernels.len() {
            0 => String::new(),
            tuned => {
                format!("\n        {tuned} convolutions by kernels that `pkdgan tune` found faster than the default")
            }
        };
        format!("device: {}{note}{tuned}", self.summary)
    }
}

/// Adds to a failure of the device that the run in `folder` can be gone on with.
pub fn resumable(error: anyhow::Error, folder: &Path) -> anyhow::Error {
    match of_engine(&error) {
        Some(of_device) if of_device.is_of_device() => anyhow!(
            "{error}\n  nothing saved is lost; go on from the last checkpoint with: pkdgan train --resume {}",
            folder.display()
        ),
        _ => error,
    }
}

/// The engine's failure behind an error, if it is one.
fn of_engine(error: &anyhow::Error) -> Option<&EngineError> {
    error.chain().find_map(|error| match error.downcast_ref() {
        Some(TrainError::Engine(error)) => Some(error),
        _ => error.downcast_ref(),
    })
}

fn cpu() -> Opened {
    let summary = AdapterSummary {
        name: "plain CPU executor".into(),
        backend: "cpu".into(),
        driver: "none".into(),
        kind: "cpu".into(),
    };
    Opened { executor: Box::new(Cpu::new()), summary, kernels: KernelChoices::default() }
}

fn refuse(message: &str) -> ! {
    clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, message).exit()
}

/// A time in seconds, some years at most.
pub fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 1e8 => Ok(seconds),
        _ => Err("a number of seconds above 0 is wanted".into()),
    }
}
