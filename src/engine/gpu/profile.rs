//! Times of kernels by the device's own clock, where it has one.

use super::device::Gpu;
use super::loaded::{Loaded, Ready};
use super::readback::Mapping;
use crate::engine::error::EngineError;
use crate::engine::executor::ProgramId;
use crate::engine::profile::{Timed, median};

/// Marks that a query set may have.
const MAX_TIMESTAMPS: usize = 4096;

impl Gpu {
    /// Runs a program so many times and times each kernel by the device's clock: medians. `None` where the adapter has
    /// no such clock.
    pub(crate) fn profile(&mut self, program: ProgramId, runs: usize) -> Result<Option<Vec<Timed>>, EngineError> {
        let Some(seconds) = self.clocked(program, runs)? else { return Ok(None) };
        let kernels = self.launched(program)?.into_iter().enumerate().map(|(kernel, launched)| {
            let mut of_runs: Vec<f64> = seconds.iter().map(|run| run[kernel]).collect();
            Timed { seconds: median(&mut of_runs), ..launched }
        });
        Ok(Some(kernels.collect()))
    }

    /// The kernels of a program, with no time taken.
    pub(crate) fn launched(&self, program: ProgramId) -> Result<Vec<Timed>, EngineError> {
        let Loaded { launches, program, .. } = self.programs.get(program)?;
        let of = |Ready { launch, .. }: &Ready| Timed {
            label: launch.label(program),
            shader: launch.shader(),
            macs: launch.macs(program),
            workgroups: launch.workgroups(),
            seconds: 0.0,
        };
        Ok(launches.iter().map(of).collect())
    }

    /// Seconds of each kernel in each of at most so many runs of a program, one at least, by the device's clock.
    pub(in crate::engine) fn clocked(
        &mut self,
        program: ProgramId,
        runs: usize,
    ) -> Result<Option<Vec<Vec<f64>>>, EngineError> {
        let context = &self.context;
        if !context.device.features().contains(wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES) {
            return Ok(None);
        }
        let loaded = self.programs.get(program)?;
        let marks_of_run = loaded.launches.len() + 1;
        let runs = runs.min(MAX_TIMESTAMPS / marks_of_run).max(1);
        let marks = runs * marks_of_run;
        if marks > MAX_TIMESTAMPS {
            return Ok(None);
        }
        let queries = context.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("profile"),
            ty: wgpu::QueryType::Timestamp,
            count: marks as u32,
        });
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = context.buffer("a profile", 8 * marks as u64, usage)?;
        let mut encoder = context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut mark = 0..marks as u32;
        loaded.encode(&mut encoder, runs, |pass| {
            if let Some(mark) = mark.next() {
                pass.write_timestamp(&queries, mark);
            }
        });
        encoder.resolve_query_set(&queries, 0..marks as u32, &resolved, 0);
        let words = Mapping::begin(context, encoder, &[(&resolved, 0, 2 * marks)], loaded.name.clone())?.wait()?;
        let ticks: Vec<u64> = words[0]
            .chunks_exact(2)
            .map(|pair| u64::from(pair[0].to_bits()) | u64::from(pair[1].to_bits()) << 32)
            .collect();
        let period = f64::from(context.queue.get_timestamp_period()) * 1e-9;
        let between = |marks: &[u64]| marks[1].saturating_sub(marks[0]) as f64 * period;
        Ok(Some(ticks.chunks_exact(marks_of_run).map(|run| run.windows(2).map(between).collect()).collect()))
    }
}
