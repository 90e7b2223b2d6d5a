//! What the driver reports, from where it happens to where it is asked for.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::engine::error::EngineError;

/// What a device's driver has reported by itself.
#[derive(Clone, Default)]
pub(super) struct Reports(Arc<Mutex<Reported>>);

#[derive(Default)]
struct Reported {
    /// Why the device was lost, which it stays.
    lost: Option<String>,
    /// The first error that nobody has seen yet.
    error: Option<wgpu::Error>,
}

impl Reports {
    /// Listens to a device.
    pub(super) fn of(device: &wgpu::Device) -> Self {
        let reports = Self::default();
        let to = reports.clone();
        device.on_uncaptured_error(Arc::new(move |error| {
            to.lock().error.get_or_insert(error);
        }));
        let to = reports.clone();
        device.set_device_lost_callback(move |_, words| {
            to.lock().lost.get_or_insert(if words.is_empty() { "the driver says no more".into() } else { words });
        });
        reports
    }

    /// Passes on what has been reported since the last check.
    pub(super) fn check(&self, during: &str) -> Result<(), EngineError> {
        let mut reported = self.lock();
        if let Some(problem) = reported.lost.clone() {
            // wgpu gives a device up that has no memory for a copy, and these are its words.
            return Err(if problem.contains("Out of memory") {
                EngineError::OutOfMemory { what: during.into(), problem }
            } else {
                EngineError::Lost { during: during.into(), problem }
            });
        }
        reported.error.take().map_or(Ok(()), |error| Err(named(during, &error)))
    }

    fn lock(&self) -> MutexGuard<'_, Reported> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Does `work` on a device, of which the driver may disapprove.
pub(super) fn with_error_scope<T>(device: &wgpu::Device, work: impl FnOnce() -> T) -> Result<T, wgpu::Error> {
    let filters = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Internal];
    let scopes = filters.map(|filter| device.push_error_scope(filter));
    let made = work();
    // The scopes are a stack, and each must be popped.
    let errors: Vec<_> = scopes.into_iter().rev().map(|scope| pollster::block_on(scope.pop())).collect();
    errors.into_iter().flatten().next().map_or(Ok(made), Err)
}

/// An error of the driver in what was being done.
pub(super) fn named(during: &str, error: &wgpu::Error) -> EngineError {
    let problem = words(error);
    match error {
        wgpu::Error::OutOfMemory { .. } => EngineError::OutOfMemory { what: during.into(), problem },
        _ => EngineError::Device { during: during.into(), problem },
    }
}

/// The driver's words, in one line.
pub(super) fn words(error: &wgpu::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
