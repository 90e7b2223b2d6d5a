//! The choice between GPU and CPU by flags (`--device`, `--adapter`), and the fallback to the CPU executor. Which of the two is faster at a stage is `pipeline/devices.rs`'s to find out.

use std::cell::{Cell, OnceCell};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use pkdgan::engine::{AdapterSummary, Cpu, DEVICE_TIMEOUT, DeviceKind, EngineError, Executor, Gpu, GpuOptions};
use pkdgan::scoring::{DetectorOptions, ScoringPath};
use pkdgan::unstable::cache::{KernelCache, PipelineFiles};
use pkdgan::unstable::data::cache_folder;
use pkdgan::unstable::engine::{Fault, GpuInternals, GpuOptionsInternals, KernelChoices, Measurements};
use pkdgan::unstable::pipeline::{Devices, find_gpu, kinds};

use super::advice::{engine_error, with_advice};
use super::output;

/// The variable that names trouble to be had, for tests; see `docs/reliability-log.md`.
const FAULT_VARIABLE: &str = "PKDGAN_FAULT";

/// What to compute on.
#[derive(Args)]
pub(super) struct Device {
    /// `auto` for a GPU where there is one and it is faster, else the CPU; `gpu` for kernels on an adapter, software
    /// drivers included; `cpu` for all cores of this machine, without a driver
    #[arg(long, value_name = "DEVICE", default_value = "auto", help_heading = "Device")]
    device: Wanted,
    /// Adapter by number or part of its name, as `pkdgan devices` lists them; `score` and `reproduce` share out their work
    /// where there are several: repeatable [default: the best one]
    #[arg(long, value_name = "NAME|INDEX", help_heading = "Device")]
    adapter: Vec<String>,
    /// Where the adapter cannot be opened, or fails, go on without it: training from the last checkpoint, evaluation
    /// from its start, `score` where it is
    #[arg(long, help_heading = "Device")]
    allow_cpu_fallback: bool,
    /// Time limit for what pkdgan waits for on the adapter
    #[arg(long, value_name = "SECONDS", default_value_t = DEVICE_TIMEOUT.as_secs_f64(), value_parser = seconds, help_heading = "Device")]
    device_timeout: f64,
    /// Compute convolutions by the kernels that suit the kind of adapter, whatever `pkdgan tune` found out about this
    /// one: then machines whose adapters are of one kind give the same bytes
    #[arg(long, help_heading = "Device")]
    pub no_tune: bool,
    /// What was measured, once it is read.
    #[arg(skip)]
    measurements: OnceCell<Arc<Measurements>>,
    /// The GPU that is there, if any, once it was looked for.
    #[arg(skip)]
    gpu: OnceCell<Option<AdapterSummary>>,
    /// Of several adapters the one that this process is to use.
    #[arg(skip)]
    share: Cell<Option<usize>>,
    /// Whether the adapter failed and the CPU executor took its place.
    #[arg(skip)]
    fallen_back: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wanted {
    Auto,
    Gpu,
    Cpu,
}

/// A path of scoring; none for the fastest.
#[derive(Clone, Copy)]
pub(super) struct PathChoice(pub Option<ScoringPath>);

impl FromStr for PathChoice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == "auto" { Ok(Self(None)) } else { Ok(Self(Some(name.parse()?))) }
    }
}

/// An executor, and what to say of it.
pub(super) struct Opened {
    pub executor: Box<dyn Executor>,
    /// The kernels of convolutions, where those are not the default.
    pub kernels: KernelChoices,
    /// Whether it is the CPU executor because there is no GPU.
    without_gpu: bool,
}

impl Devices for Device {
    fn fixed(&self) -> Option<DeviceKind> {
        match self.device {
            _ if self.fallen_back.get() => Some(DeviceKind::Cpu),
            Wanted::Cpu => {
                self.refuse_adapter();
                Some(DeviceKind::Cpu)
            }
            Wanted::Gpu => Some(DeviceKind::Gpu),
            Wanted::Auto => (!self.adapter.is_empty()).then_some(DeviceKind::Gpu),
        }
    }

    fn kinds(&self) -> Vec<DeviceKind> {
        kinds(self.fixed(), || self.gpu().is_some())
    }

    fn open(&self, kind: Option<DeviceKind>) -> Result<Box<dyn Executor>, EngineError> {
        Ok(self.open_kind(kind.unwrap_or_else(|| self.first()))?.executor)
    }
}

impl Device {
    /// Opens the best of what was asked for; the CPU executor where that is allowed and the adapter fails.
    pub(super) fn open_first(&self) -> Result<Opened, EngineError> {
        self.open_kind(self.first())
    }

    fn first(&self) -> DeviceKind {
        self.kinds().first().copied().unwrap_or(DeviceKind::Cpu)
    }

    fn open_kind(&self, kind: DeviceKind) -> Result<Opened, EngineError> {
        if kind == DeviceKind::Gpu {
            match Gpu::open(&self.options()) {
                Ok(gpu) => {
                    let kernels = gpu.choices().clone();
                    return Ok(Opened { executor: Box::new(gpu), kernels, without_gpu: false });
                }
                Err(error) if self.falls_back(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let without_gpu = self.fixed().is_none() && self.gpu().is_none();
        Ok(Opened { executor: Box::new(Cpu::new()), kernels: KernelChoices::default(), without_gpu })
    }

    /// The GPU of this machine, if it has one: software drivers are none.
    fn gpu(&self) -> Option<&AdapterSummary> {
        let search = || match find_gpu(Duration::from_secs_f64(self.device_timeout)) {
            Ok(found) => found,
            Err(error) => {
                output::note(format_args!("warning: {error}\nwarning: going on without a GPU"));
                None
            }
        };
        self.gpu.get_or_init(search).as_ref()
    }

    /// Opens the adapter itself, for what only an adapter can do; none where the CPU executor is to compute.
    pub(super) fn adapter(&self) -> Result<Option<Gpu>, EngineError> {
        match self.first() {
            DeviceKind::Gpu => Gpu::open(&self.options()).map(Some),
            DeviceKind::Cpu => Ok(None),
        }
    }

    /// How many adapters there are to share out work on, if several are named.
    pub(super) fn adapters(&self) -> usize {
        self.adapter.len()
    }

    /// Has this process use one of the adapters that are named: the first for 0, and again from the start after the last.
    pub(super) fn take_share(&self, number: usize) {
        self.share.set(self.adapter.len().checked_sub(1).map(|last| number % (last + 1)));
    }

    /// What a detector may use, with the first adapter.
    pub(super) fn detector_options(&self, path: Option<ScoringPath>) -> DetectorOptions {
        if self.fixed() == Some(DeviceKind::Cpu)
            && let Some(path) = path.filter(|&path| path != ScoringPath::Cpu)
        {
            refuse(&format!("--path {path} runs on a GPU; leave it out with --device cpu\n"));
        }
        // A path that was named takes whatever adapter there is.
        let without_device = path.is_none() && self.first() == DeviceKind::Cpu;
        DetectorOptions::default()
            .path(path)
            .without_device(without_device)
            .device(self.options_of(self.adapter.first()))
            .cpu_fallback(self.allow_cpu_fallback)
    }

    /// How to open the other adapters that are named.
    pub(super) fn more_adapters(&self) -> Vec<GpuOptions> {
        self.adapter.iter().skip(1).map(|adapter| self.options_of(Some(adapter))).collect()
    }

    fn refuse_adapter(&self) {
        if !self.adapter.is_empty() {
            refuse("--adapter chooses among GPUs; leave it out with --device cpu\n");
        }
    }

    /// Does `work`, which opens devices; once more with the CPU executor, where that is allowed and a device fails.
    pub(super) fn work<T, E>(&self, mut work: impl FnMut() -> Result<T, E>) -> anyhow::Result<T>
    where
        anyhow::Error: From<E>,
    {
        match work().map_err(anyhow::Error::from) {
            Err(error) if engine_error(error.as_ref()).is_some_and(|error| self.falls_back(error)) => Ok(work()?),
            outcome => outcome,
        }
    }

    /// Whether the CPU executor takes the place of the adapter that failed so, which is then said.
    fn falls_back(&self, error: &EngineError) -> bool {
        let falls = self.allow_cpu_fallback && self.device != Wanted::Cpu && error.is_of_device();
        if falls && !self.fallen_back.replace(true) {
            output::note(format_args!("warning: {error}\nwarning: going on with the CPU executor"));
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
        match (self.share.get(), &self.adapter[..]) {
            (Some(share), several) => self.options_of(several.get(share)),
            (None, [] | [_]) => self.options_of(self.adapter.first()),
            (None, _) => refuse("several times --adapter: only `score` and `reproduce` share out their work\n"),
        }
    }

    fn options_of(&self, adapter: Option<&String>) -> GpuOptions {
        let fault = std::env::var(FAULT_VARIABLE).ok().map(|text| {
            text.parse::<Fault>().unwrap_or_else(|error| {
                let message = format!("{FAULT_VARIABLE}: {error}\n");
                clap::Error::raw(clap::error::ErrorKind::InvalidValue, message).exit()
            })
        });
        GpuOptions::default()
            .adapter(adapter.cloned())
            .timeout(Duration::from_secs_f64(self.device_timeout))
            .fault(fault)
            .pipelines(cache_folder().map(|folder| Arc::new(PipelineFiles::new(folder)) as _))
            .measurements((!self.no_tune).then(|| self.measurements().clone()))
    }
}

impl Opened {
    /// A line or two for a person, who wants to be `doing` something.
    pub(super) fn describe(&self, doing: &str) -> String {
        let summary = self.executor.summary();
        if self.without_gpu {
            return format!(
                "no GPU here: {doing} on the {summary}; `--device gpu` runs the WGSL kernels on a software driver"
            );
        }
        let by_driver = summary.is_software() && !summary.is_cpu_executor();
        let note = if by_driver { "\n        this adapter is the CPU: `--device cpu` is faster" } else { "" };
        let tuned = match self.kernels.len() {
            0 => String::new(),
            tuned => {
                format!("\n        {tuned} convolutions by kernels that `pkdgan tune` found faster than the default")
            }
        };
        format!("device: {summary}{note}{tuned}")
    }
}

/// Adds to a failure of the device how the run in `folder` resumes.
pub(super) fn resumable(error: anyhow::Error, folder: &Path) -> anyhow::Error {
    match engine_error(error.as_ref()) {
        Some(of_device) if of_device.is_of_device() => anyhow!(
            "{}\n  nothing saved is lost; go on from the last checkpoint with: pkdgan train --resume {}",
            with_advice(error.to_string(), error.as_ref()),
            folder.display()
        ),
        _ => error,
    }
}

fn refuse(message: &str) -> ! {
    clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, message).exit()
}

/// A time in seconds, some years at most.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 1e8 => Ok(seconds),
        _ => Err("a number of seconds above 0 is wanted".into()),
    }
}
