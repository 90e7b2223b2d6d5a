//! What all parts of the GPU executor share: device and queue, buffers, limits, submission and waiting with a time
//! limit. It knows no program.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::faults::Fault;
use super::reports::{Reports, named, with_error_scope};
use super::submitter::Submitter;
use super::watchdog::mark_driver_hung;
use crate::engine::error::EngineError;
use crate::engine::kernel::Launch;
use crate::engine::variables::GroupId;

/// The device buffer of each group of variables.
pub(super) type Groups = HashMap<GroupId, wgpu::Buffer>;

/// What the parts of the executor have in common.
#[derive(Clone)]
pub(super) struct DeviceContext {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub submitter: Submitter,
    pub reports: Reports,
    /// How long the device may take for what is waited for.
    pub timeout: Duration,
    pub fault: Option<Fault>,
    /// Staging buffers that no read-back uses at present.
    pub staging: Arc<Mutex<Vec<wgpu::Buffer>>>,
}

impl DeviceContext {
    /// A buffer of so many bytes for `what`, filled with zeros.
    ///
    /// # Errors
    /// [`EngineError::Limit`] and [`EngineError::OutOfMemory`]; nothing else was given memory for it.
    pub(super) fn buffer(&self, what: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer, EngineError> {
        self.expect_allowed(what, size, usage)?;
        let descriptor = wgpu::BufferDescriptor { label: Some(what), size, usage, mapped_at_creation: false };
        with_error_scope(&self.device, || self.device.create_buffer(&descriptor)).map_err(|error| named(what, &error))
    }

    /// Refuses a buffer of more bytes than the adapter allows.
    fn expect_allowed(&self, what: &str, size: u64, usage: wgpu::BufferUsages) -> Result<(), EngineError> {
        let limits = self.device.limits();
        let bound = usage.contains(wgpu::BufferUsages::STORAGE);
        let limit = if bound { limits.max_storage_buffer_binding_size } else { limits.max_buffer_size };
        let limit = limit.min(limits.max_buffer_size);
        if size > limit {
            let what = what.into();
            return Err(EngineError::Limit { what, needed: in_words(size), limit: in_words(limit) });
        }
        Ok(())
    }

    /// A buffer of so many `f32` that kernels read and write, padded to whole `vec4`.
    pub(super) fn storage(&self, what: &str, len: usize) -> Result<wgpu::Buffer, EngineError> {
        self.buffer(what, padded(len), STORAGE)
    }

    /// Refuses what [`Self::storage`] would.
    pub(super) fn expect_storage(&self, what: &str, len: usize) -> Result<(), EngineError> {
        self.expect_allowed(what, padded(len), STORAGE)
    }

    /// As [`Self::storage`], filled with NaN, so that an element which no kernel writes shows.
    pub(super) fn poisoned(&self, what: &str, len: usize) -> Result<wgpu::Buffer, EngineError> {
        const CHUNK: usize = 1 << 20;
        let buffer = self.storage(what, len)?;
        let numbers = vec![f32::NAN; len.min(CHUNK)];
        for start in (0..len).step_by(CHUNK) {
            let chunk = &numbers[..(len - start).min(CHUNK)];
            self.queue.write_buffer(&buffer, 4 * start as u64, bytemuck::cast_slice(chunk));
        }
        Ok(buffer)
    }

    /// Refuses a launch that is too large for the adapter.
    pub(super) fn check_launch(&self, label: &str, launch: &Launch) -> Result<(), EngineError> {
        let limits = self.device.limits();
        let (most, bindings) = (limits.max_compute_workgroups_per_dimension, launch.bindings.len() as u32);
        let refused = |needed: String, limit: u32| {
            Err(EngineError::Limit { what: label.into(), needed, limit: limit.to_string() })
        };
        if let Some(n) = launch.workgroups().into_iter().find(|&n| n > most) {
            return refused(format!("{n} workgroups in a row"), most);
        }
        if bindings > limits.max_storage_buffers_per_shader_stage {
            return refused(format!("{bindings} buffers at once"), limits.max_storage_buffers_per_shader_stage);
        }
        Ok(())
    }

    /// Hands work to the driver, but does not wait for ever until it has taken it.
    pub(super) fn submit(
        &self,
        commands: wgpu::CommandBuffer,
        during: &str,
    ) -> Result<wgpu::SubmissionIndex, EngineError> {
        self.submitter.submit(commands, self.timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => self.timed_out(during),
            RecvTimeoutError::Disconnected => driver_failed(during),
        })
    }

    /// Waits until a submission is done, but not for ever.
    pub(super) fn wait(&self, submission: &wgpu::SubmissionIndex, during: &str) -> Result<(), EngineError> {
        let wait = wgpu::PollType::Wait { submission_index: Some(submission.clone()), timeout: Some(self.timeout) };
        // wgpu panics where the driver loses the device while it is waited for.
        match catch_unwind(AssertUnwindSafe(|| self.device.poll(wait))) {
            Ok(Ok(_)) => self.reports.check(during),
            Ok(Err(wgpu::PollError::Timeout)) => Err(self.timed_out(during)),
            // The submission was refused, and the driver's reason is on its way.
            Ok(Err(error)) => {
                let _ = self.device.poll(wgpu::PollType::Poll);
                self.reports.check(during)?;
                Err(EngineError::Device { during: during.into(), problem: error.to_string() })
            }
            Err(_) => {
                self.leak();
                self.reports.check(during)?;
                Err(EngineError::Lost { during: during.into(), problem: "its driver failed".into() })
            }
        }
    }

    /// The error of a device that did not finish `during` in time.
    pub(super) fn timed_out(&self, during: &str) -> EngineError {
        self.leak();
        EngineError::TimedOut { during: during.into(), seconds: self.timeout.as_secs_f64() }
    }

    /// Keeps a device that hangs from being dropped: that waits until it has done all its work.
    fn leak(&self) {
        std::mem::forget((self.device.clone(), self.queue.clone()));
        mark_driver_hung();
    }
}

/// What buffers are for that kernels read and write.
const STORAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// Bytes of so many `f32`, padded to whole `vec4`.
fn padded(len: usize) -> u64 {
    4 * len.max(1).next_multiple_of(4) as u64
}

/// The error of a thread that the system does not start.
pub(super) fn no_thread(during: &str, error: &std::io::Error) -> EngineError {
    EngineError::OutOfMemory { what: format!("a thread for {during}"), problem: error.to_string() }
}

pub(super) fn driver_failed(during: &str) -> EngineError {
    EngineError::Device { during: during.into(), problem: "its driver failed".into() }
}

/// A number of bytes.
fn in_words(bytes: u64) -> String {
    if bytes < 1 << 20 { format!("{bytes} bytes") } else { format!("{} MiB", bytes >> 20) }
}
