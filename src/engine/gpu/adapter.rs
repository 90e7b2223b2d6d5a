//! Adapters: the options to open one, the list of those there are, the choice of one.

use std::sync::Arc;
use std::time::Duration;

use super::faults::Fault;
use super::pipeline_cache::PipelineStore;
use super::watchdog::watched;
use crate::engine::conv::ConvVariant;
use crate::engine::error::EngineError;
use crate::engine::summary::AdapterSummary;
use crate::engine::tuning::Measurements;

/// How to open a GPU.
///
/// ```
/// use std::time::Duration;
/// use pkdgan::engine::GpuOptions;
///
/// let options = GpuOptions::default().adapter("nvidia".to_owned()).timeout(Duration::from_secs(60));
/// assert_eq!(options.adapter.as_deref(), Some("nvidia"));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct GpuOptions {
    /// Index in the list of [`adapters`], or a part of the name in any case. The most capable one if none.
    pub adapter: Option<String>,
    /// How to compute all convolutions; as chosen, or as suits the adapter, if none.
    pub(crate) convolution: Option<ConvVariant>,
    /// Measurements of kernels, to choose those of convolutions by; the default for the kind of adapter if none.
    pub(crate) measurements: Option<Arc<Measurements>>,
    /// Where compiled kernels are kept from one run to the next; nowhere if none.
    pub(crate) pipelines: Option<Arc<dyn PipelineStore>>,
    /// How long the device may take for what is waited for; [`DEVICE_TIMEOUT`] if none.
    pub timeout: Option<Duration>,
    /// Trouble made on purpose, for tests.
    pub(crate) fault: Option<Fault>,
    /// Does without half-precision arithmetic in kernels, as on adapters that have none; half-precision weights are
    /// then unpacked.
    pub(crate) without_half: bool,
    /// Runs the kernels of GPUs, whatever the adapter is: for tests without a GPU.
    pub(crate) gpu_kernels: bool,
    /// Runs each kernel alone: for tests of those that run beside others.
    pub(crate) alone: bool,
}

impl GpuOptions {
    /// Opens the adapter of this index, or of a name with this part; `None` for the most capable one.
    #[must_use]
    pub fn adapter(self, adapter: impl Into<Option<String>>) -> Self {
        Self { adapter: adapter.into(), ..self }
    }

    /// Gives the device so long for what is waited for; `None` for [`DEVICE_TIMEOUT`].
    #[must_use]
    pub fn timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        Self { timeout: timeout.into(), ..self }
    }
}

/// How long a device may take for what is waited for, unless it is told otherwise. What is submitted at once takes
/// seconds, even where the adapter is a slow CPU.
pub const DEVICE_TIMEOUT: Duration = Duration::from_secs(300);

/// The adapters of this machine, in the order that [`GpuOptions::adapter`] counts from 0.
///
/// # Errors
/// [`EngineError::TimedOut`] if a driver does not come back in time.
pub fn adapters(timeout: Duration) -> Result<Vec<AdapterSummary>, EngineError> {
    watched("the search for adapters", timeout, || found(&instance()).iter().map(summary).collect())
}

/// The graphics APIs that are looked through, as far as the build has them: OpenGL only with the feature `gl`.
const BACKENDS: wgpu::Backends =
    wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12).union(wgpu::Backends::GL);

/// What is wrong with a machine that has no adapter.
pub const NO_DRIVER: &str = if cfg!(feature = "gl") {
    "this machine has no Vulkan, Metal, DirectX 12 or OpenGL driver"
} else {
    "this machine has no Vulkan, Metal or DirectX 12 driver"
};

pub(super) fn instance() -> wgpu::Instance {
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    wgpu::Instance::new(wgpu::InstanceDescriptor { backends: BACKENDS, ..descriptor })
}

pub(super) fn found(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    pollster::block_on(instance.enumerate_adapters(BACKENDS))
}

pub(super) fn summary(adapter: &wgpu::Adapter) -> AdapterSummary {
    let info = adapter.get_info();
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "cpu",
        wgpu::DeviceType::Other => "other",
    };
    let driver = format!("{} {}", info.driver, info.driver_info);
    AdapterSummary {
        name: info.name,
        backend: info.backend.to_str().into(),
        driver: driver.trim().into(),
        kind: kind.into(),
    }
}

/// The adapter asked for, or the most capable one.
pub(super) fn choose(wanted: Option<&str>) -> Result<wgpu::Adapter, EngineError> {
    let found = found(&instance());
    let none = |problem: String| EngineError::NoAdapter { problem };
    let names: Vec<String> = found.iter().map(|adapter| summary(adapter).name).collect();
    let index = match wanted {
        None => (0..found.len()).min_by_key(|&i| match found[i].get_info().device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            wgpu::DeviceType::Other => 3,
            wgpu::DeviceType::Cpu => 4,
        }),
        Some(wanted) => match wanted.parse::<usize>() {
            Ok(index) => Some(index).filter(|&index| index < found.len()),
            Err(_) => names.iter().position(|name| name.to_lowercase().contains(&wanted.to_lowercase())),
        },
    };
    match (index, wanted) {
        (Some(index), _) => found.into_iter().nth(index).ok_or_else(|| none("it went away".into())),
        (None, None) => Err(none(NO_DRIVER.into())),
        (None, Some(wanted)) => {
            Err(none(format!("none is number or has the name `{wanted}`; there are: {}", names.join(", "))))
        }
    }
}
