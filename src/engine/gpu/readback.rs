use std::sync::mpsc;

use super::device::Shared;
use crate::engine::error::EngineError;

/// A staging buffer that fills once the submission before it is done.
pub(crate) struct Mapping {
    shared: Shared,
    staging: wgpu::Buffer,
    submission: wgpu::SubmissionIndex,
    mapped: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
    /// Number of `f32` of each thing asked for.
    lens: Vec<usize>,
}

impl Mapping {
    /// Submits what was recorded and, after it, the copying of ranges of buffers, given in `f32`.
    pub(super) fn begin(
        shared: &Shared,
        mut encoder: wgpu::CommandEncoder,
        sources: &[(&wgpu::Buffer, usize, usize)],
    ) -> Self {
        let lens: Vec<usize> = sources.iter().map(|&(_, _, len)| len).collect();
        let size = 4 * lens.iter().sum::<usize>().max(1) as u64;
        let staging = idle(shared, size).unwrap_or_else(|| {
            shared.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("read-back"),
                size,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        });
        let mut end = 0;
        for &(buffer, offset, len) in sources {
            encoder.copy_buffer_to_buffer(buffer, 4 * offset as u64, &staging, 4 * end as u64, Some(4 * len as u64));
            end += len;
        }
        let submission = shared.queue.submit([encoder.finish()]);
        let (sender, mapped) = mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            // Nobody waits for a read-back that was dropped.
            let _ = sender.send(result);
        });
        Self { shared: shared.clone(), staging, submission, mapped, lens }
    }

    /// Waits for the numbers, one vector for each range.
    pub fn wait(self) -> Result<Vec<Vec<f32>>, EngineError> {
        let failed = |problem: String| EngineError::Device { during: "a read-back".into(), problem };
        let wait = wgpu::PollType::Wait { submission_index: Some(self.submission), timeout: None };
        self.shared.device.poll(wait).map_err(|e| failed(e.to_string()))?;
        self.shared.check("the kernels before a read-back")?;
        self.mapped.recv().map_err(|e| failed(e.to_string()))?.map_err(|e| failed(e.to_string()))?;
        let view = self.staging.get_mapped_range(..).map_err(|e| failed(e.to_string()))?;
        let mut rest: &[f32] = bytemuck::cast_slice(&view);
        let values = self.lens.iter().map(|&len| {
            let (values, after) = rest.split_at(len);
            rest = after;
            values.to_vec()
        });
        let values = values.collect();
        drop(view);
        self.staging.unmap();
        if let Ok(mut idle) = self.shared.staging.lock()
            && idle.len() < IDLE
        {
            idle.push(self.staging);
        }
        Ok(values)
    }
}

/// Staging buffers that are kept for later read-backs.
const IDLE: usize = 4;

/// An idle staging buffer of exactly this size.
fn idle(shared: &Shared, size: u64) -> Option<wgpu::Buffer> {
    let mut idle = shared.staging.lock().ok()?;
    let index = idle.iter().position(|buffer| buffer.size() == size)?;
    Some(idle.swap_remove(index))
}
