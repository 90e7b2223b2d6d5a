use std::str::FromStr;

use clap::{Args, ValueEnum};
use pkdgan::engine::{AdapterSummary, Cpu, EngineError, Executor, Gpu, GpuOptions};
use pkdgan::scoring::{ScoringPath, Wish};

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
}

impl Device {
    /// Opens what was asked for.
    pub fn open(&self) -> Result<Opened, EngineError> {
        if self.device == Kind::Cpu {
            self.refuse_adapter();
            let summary = AdapterSummary {
                name: "plain CPU executor".into(),
                backend: "cpu".into(),
                driver: "none".into(),
                kind: "cpu".into(),
            };
            return Ok(Opened { executor: Box::new(Cpu::new()), summary });
        }
        let gpu = Gpu::open(&GpuOptions { adapter: self.adapter.clone(), ..GpuOptions::default() })?;
        Ok(Opened { summary: gpu.summary().clone(), executor: Box::new(gpu) })
    }
}

impl Device {
    /// What a detector may use.
    pub fn wish(&self, path: Option<ScoringPath>) -> Wish {
        let without_device = self.device == Kind::Cpu;
        if without_device {
            self.refuse_adapter();
            if let Some(path) = path.filter(|&path| path != ScoringPath::Cpu) {
                refuse(&format!("--path {path} runs on a GPU; leave it out with --device cpu\n"));
            }
        }
        let device = GpuOptions { adapter: self.adapter.clone(), ..GpuOptions::default() };
        Wish { path, without_device, device, ..Wish::default() }
    }

    fn refuse_adapter(&self) {
        if self.adapter.is_some() {
            refuse("--adapter chooses among GPUs; leave it out with --device cpu");
        }
    }

    /// Opens it once more, for a stage of its own.
    pub fn executor(&self) -> Result<Box<dyn Executor>, EngineError> {
        Ok(self.open()?.executor)
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
        format!("device: {}{note}", self.summary)
    }
}

fn refuse(message: &str) -> ! {
    clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, message).exit()
}
