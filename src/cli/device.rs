use clap::{Args, ValueEnum};
use pkdgan::engine::{AdapterSummary, Cpu, EngineError, Executor, Gpu, GpuOptions};

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

/// An executor, and what to call it.
pub struct Opened {
    pub executor: Box<dyn Executor>,
    pub summary: AdapterSummary,
}

impl Device {
    /// Opens what was asked for.
    pub fn open(&self) -> Result<Opened, EngineError> {
        if self.device == Kind::Cpu {
            if self.adapter.is_some() {
                let message = "--adapter chooses among GPUs; leave it out with --device cpu";
                clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, message).exit();
            }
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
