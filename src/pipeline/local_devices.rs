//! The devices of this machine. The command line has a choice of its own, with a fallback and messages.

use std::cell::OnceCell;
use std::time::Duration;

use super::Devices;
use crate::engine::{
    AdapterSummary, Cpu, DEVICE_TIMEOUT, DeviceKind, EngineError, Executor, Gpu, GpuOptions, adapters,
};

/// How long drivers may take to say what adapters there are, where nobody asked for one.
const SEARCH: Duration = Duration::from_secs(10);

/// The GPU of this machine, if it has one: software drivers are none. No driver may take longer than `timeout`.
///
/// # Errors
/// [`EngineError::TimedOut`] if a driver does not come back in time.
pub fn find_gpu(timeout: Duration) -> Result<Option<AdapterSummary>, EngineError> {
    Ok(adapters(SEARCH.min(timeout))?.into_iter().find(|adapter| !adapter.is_software()))
}

/// The kinds to choose from, best first: the one that is fixed, else a GPU where there is one, and the CPU.
pub fn kinds(fixed: Option<DeviceKind>, has_gpu: impl FnOnce() -> bool) -> Vec<DeviceKind> {
    match fixed {
        Some(kind) => vec![kind],
        None if has_gpu() => vec![DeviceKind::Gpu, DeviceKind::Cpu],
        None => vec![DeviceKind::Cpu],
    }
}

/// The devices of this machine, or one kind of them.
pub(crate) struct LocalDevices {
    fixed: Option<DeviceKind>,
    gpu: GpuOptions,
    found: OnceCell<bool>,
}

impl LocalDevices {
    /// A GPU is opened with these options. An adapter that they name is taken.
    pub(crate) fn new(kind: Option<DeviceKind>, gpu: GpuOptions) -> Self {
        let fixed = kind.or_else(|| gpu.adapter.is_some().then_some(DeviceKind::Gpu));
        Self { fixed, gpu, found: OnceCell::new() }
    }

    fn has_gpu(&self) -> bool {
        let search = || match find_gpu(self.gpu.timeout.unwrap_or(DEVICE_TIMEOUT)) {
            Ok(found) => found.is_some(),
            Err(error) => {
                tracing::warn!("{error}");
                false
            }
        };
        *self.found.get_or_init(search)
    }
}

impl Devices for LocalDevices {
    fn fixed(&self) -> Option<DeviceKind> {
        self.fixed
    }

    fn kinds(&self) -> Vec<DeviceKind> {
        kinds(self.fixed, || self.has_gpu())
    }

    fn open(&self, kind: Option<DeviceKind>) -> Result<Box<dyn Executor>, EngineError> {
        Ok(match kind.or_else(|| self.kinds().first().copied()) {
            Some(DeviceKind::Gpu) => Box::new(Gpu::open(&self.gpu)?),
            Some(DeviceKind::Cpu) | None => Box::new(Cpu::new()),
        })
    }
}
