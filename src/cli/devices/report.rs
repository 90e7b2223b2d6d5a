//! All that a report of trouble needs, with nothing of the user's files in it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use pkdgan::engine::{
    Activation, AdapterDetails, Cpu, EngineError, Executor, Gpu, GpuOptions, Graph, Measure, Window, adapter_details,
};
use pkdgan::unstable::data::machine_memory;
use pkdgan::unstable::version::{BUILD, VERSION};
use serde::Serialize;

/// Beginnings of the names of settings in the environment that decide what is computed on, and how.
const SETTINGS: [&str; 9] = ["VK_", "MESA_", "RADV_", "LP_", "WGPU_", "RAYON_", "RUST_LOG", "LIBGL_", "DISABLE_LAYER"];
/// Most of the difference between an adapter and the CPU executor, in shares of the largest number.
const TOLERANCE: f32 = 1e-4;

/// The program, the machine, and what each adapter can do and computes.
#[derive(Debug, Serialize)]
pub(super) struct MachineReport {
    version: &'static str,
    build: &'static str,
    /// Name, version and processor of the operating system.
    system: String,
    cpu: String,
    memory_bytes: Option<u64>,
    environment: BTreeMap<String, String>,
    adapters: Vec<AdapterReport>,
    /// Why there are none.
    problem: Option<String>,
}

/// An adapter, and how a trial on it went.
#[derive(Debug, Serialize)]
struct AdapterReport {
    #[serde(flatten)]
    details: AdapterDetails,
    trial: Trial,
}

/// A small training step, computed on the adapter and on the CPU executor.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Trial {
    /// It computed; the largest difference is in shares of the largest number.
    Computed { open_seconds: f64, step_seconds: f64, difference: f32, as_expected: bool },
    /// It failed.
    Failed(String),
}

impl MachineReport {
    /// Looks the machine over. What cannot be had is part of the report.
    pub(super) fn new(timeout: Duration) -> Self {
        let (found, problem) = match adapter_details(timeout) {
            Ok(found) => (found, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let adapters = found.into_iter().enumerate().map(|(index, details)| {
            let trial = trial(index, timeout).unwrap_or_else(|error| Trial::Failed(error.to_string()));
            AdapterReport { details, trial }
        });
        let relevant = |name: &str| SETTINGS.iter().any(|setting| name.starts_with(setting));
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        Self {
            version: VERSION,
            build: BUILD,
            system: system(),
            cpu: Cpu::new().summary().to_string(),
            memory_bytes: machine_memory(),
            environment: environment.filter(|(name, _)| relevant(name)).collect(),
            adapters: adapters.collect(),
            problem,
        }
    }
}

#[cfg(unix)]
fn system() -> String {
    match nix::sys::utsname::uname() {
        Ok(name) => {
            let parts = [name.sysname(), name.release(), name.version(), name.machine()];
            parts.map(|part| part.to_string_lossy().into_owned()).join(" ")
        }
        Err(_) => format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    }
}

#[cfg(not(unix))]
fn system() -> String {
    format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)
}

/// Computes a convolution, its norm, a loss and all gradients on both.
fn trial(index: usize, timeout: Duration) -> Result<Trial, EngineError> {
    let started = Instant::now();
    let mut gpu = Gpu::open(&GpuOptions::default().adapter(index.to_string()).timeout(timeout))?;
    let open_seconds = started.elapsed().as_secs_f64();

    let mut graph = Graph::new();
    let (x, w) = (graph.input("x", [4, 3, 16, 16]), graph.input("w", [8, 3, 4, 4]));
    let y = graph.conv2d(x, w, None, Window::stride(2).padding(1))?;
    let y = graph.activation(y, Activation::LeakyRelu(0.2))?;
    let y = graph.unit_rms(y)?;
    let back = graph.conv_transpose2d(y, w, None, Window::stride(2).padding(1), [0, 0])?;
    let loss = graph.distance(x, back, Measure::L1)?;
    let loss = graph.mean(loss)?;
    for (name, gradient) in ["dx", "dw"].into_iter().zip(graph.gradients(loss, &[x, w])?) {
        graph.output(name, gradient);
    }
    graph.output("loss", loss);
    // Neither random nor the same everywhere.
    let wave = |count: usize| (0..count).map(|n| (0.7 * n as f32).sin()).collect::<Vec<_>>();
    let (pixels, weights) = (wave(4 * 3 * 16 * 16), wave(8 * 3 * 4 * 4));
    let inputs = [("x", &pixels[..]), ("w", &weights[..])];
    let started = Instant::now();
    let found = gpu.evaluate(&graph, &inputs)?;
    let step_seconds = started.elapsed().as_secs_f64();
    let expected = Cpu::new().evaluate(&graph, &inputs)?;
    let difference = expected.iter().map(|(name, expected)| {
        let largest = expected.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
        let values = found.get(name).into_iter().flatten();
        let pairs = values.zip(expected).map(|(found, expected)| (found - expected).abs() / largest);
        pairs.fold(0.0, |most, off| if off.is_nan() { f32::INFINITY } else { f32::max(most, off) })
    });
    let difference = difference.fold(0.0, f32::max);
    Ok(Trial::Computed { open_seconds, step_seconds, difference, as_expected: difference <= TOLERANCE })
}

impl fmt::Display for MachineReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pkdgan {} ({})", self.version, self.build)?;
        writeln!(f, "system: {}", self.system)?;
        writeln!(f, "cpu: {}", self.cpu)?;
        match self.memory_bytes {
            Some(bytes) => writeln!(f, "memory: {:.1} GiB", bytes as f64 / (1_u64 << 30) as f64)?,
            None => writeln!(f, "memory: unknown")?,
        }
        for (name, value) in &self.environment {
            writeln!(f, "{name}={value}")?;
        }
        if let Some(problem) = &self.problem {
            return write!(f, "adapters: {problem}");
        }
        write!(f, "adapters: {}", self.adapters.len())?;
        for (index, AdapterReport { details, trial }) in self.adapters.iter().enumerate() {
            write!(f, "\n\n{index}  {}\n    ids: {:#06x} {:#06x}", details.summary, details.vendor, details.device)?;
            match trial {
                Trial::Computed { open_seconds, step_seconds, difference, as_expected } => write!(
                    f,
                    "\n    trial: {}; differs from the CPU by {difference:.1e}; opened in {open_seconds:.2} s, first step \
                     {step_seconds:.2} s",
                    if *as_expected { "as expected" } else { "WRONG" }
                )?,
                Trial::Failed(error) => write!(f, "\n    trial: failed: {error}")?,
            }
            for (name, limit) in &details.limits {
                write!(f, "\n    {name}: {limit}")?;
            }
            write!(f, "\n    features: {}", details.features.join(" "))?;
        }
        Ok(())
    }
}
