//! Numbers on their way from the device to the host, through staging buffers.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};

use super::context::DeviceContext;
use crate::engine::error::EngineError;
use crate::engine::executor::InFlight;

/// A staging buffer that fills once the submission before it is done.
pub(super) struct Mapping {
    context: DeviceContext,
    staging: wgpu::Buffer,
    submission: wgpu::SubmissionIndex,
    mapped: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
    /// Number of `f32` of each thing asked for.
    lens: Vec<usize>,
    /// What was run before, for errors.
    during: Arc<str>,
}

impl Mapping {
    /// Submits what was recorded and, after it, the copying of ranges of buffers, given in `f32`; `during` was the last
    /// that ran.
    pub(super) fn begin(
        context: &DeviceContext,
        mut encoder: wgpu::CommandEncoder,
        sources: &[(&wgpu::Buffer, usize, usize)],
        during: Arc<str>,
    ) -> Result<Self, EngineError> {
        let lens: Vec<usize> = sources.iter().map(|&(_, _, len)| len).collect();
        let size = 4 * lens.iter().sum::<usize>().max(1) as u64;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = match idle(context, size) {
            Some(staging) => staging,
            None => context.buffer("a read-back", size, usage)?,
        };
        let mut end = 0;
        for &(buffer, offset, len) in sources {
            encoder.copy_buffer_to_buffer(buffer, 4 * offset as u64, &staging, 4 * end as u64, Some(4 * len as u64));
            end += len;
        }
        let submission = context.submit(encoder.finish(), &during)?;
        let (sender, mapped) = mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            // Nobody waits for a read-back that was dropped.
            let _ = sender.send(result);
        });
        Ok(Self { context: context.clone(), staging, submission, mapped, lens, during })
    }

    /// Waits for the numbers, one vector for each range.
    pub(super) fn wait(self) -> Result<Vec<Vec<f32>>, EngineError> {
        let Self { context, staging, submission, mapped, lens, during } = self;
        let failed = |problem: String| EngineError::Device { during: format!("a read-back after {during}"), problem };
        context.wait(&submission, &during)?;
        let mapped = mapped.recv_timeout(context.timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => context.timed_out(&during),
            RecvTimeoutError::Disconnected => failed(error.to_string()),
        })?;
        mapped.map_err(|error| failed(error.to_string()))?;
        let view = staging.get_mapped_range(..).map_err(|error| failed(error.to_string()))?;
        let mut rest: &[f32] = bytemuck::cast_slice(&view);
        let values = lens.iter().map(|&len| {
            let (values, after) = rest.split_at(len);
            rest = after;
            values.to_vec()
        });
        let values = values.collect();
        drop(view);
        staging.unmap();
        if let Ok(mut idle) = context.staging.lock()
            && idle.len() < IDLE
        {
            idle.push(staging);
        }
        Ok(values)
    }
}

impl InFlight for Mapping {
    fn wait(self: Box<Self>) -> Result<Vec<Vec<f32>>, EngineError> {
        Self::wait(*self)
    }
}

/// Staging buffers that are kept for later read-backs.
const IDLE: usize = 4;

/// An idle staging buffer of exactly this size.
fn idle(context: &DeviceContext, size: u64) -> Option<wgpu::Buffer> {
    let mut idle = context.staging.lock().ok()?;
    let index = idle.iter().position(|buffer| buffer.size() == size)?;
    Some(idle.swap_remove(index))
}
