use super::device::Gpu;
use super::loaded::Loaded;
use super::readback::Mapping;
use crate::engine::error::EngineError;
use crate::engine::executor::ProgramId;

/// The time that one kernel of a program took.
#[derive(Clone, Debug)]
pub struct Timed {
    /// Scope and op.
    pub label: String,
    /// File under `shaders/`.
    pub shader: &'static str,
    /// Multiply-accumulates of the op.
    pub macs: u64,
    /// Seconds on the device.
    pub seconds: f64,
}

impl Gpu {
    /// Runs a program once and times each kernel by the device's clock. `None` where the adapter
    /// cannot.
    pub fn profile(&mut self, program: ProgramId) -> Result<Option<Vec<Timed>>, EngineError> {
        let shared = &self.shared;
        if !shared.device.features().contains(wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES) {
            return Ok(None);
        }
        let Loaded { name, launches, program, .. } = self.programs.get(program)?;
        let marks = launches.len() as u32 + 1;
        let queries = shared.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("profile"),
            ty: wgpu::QueryType::Timestamp,
            count: marks,
        });
        let resolved = shared.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("profile"),
            size: 8 * u64::from(marks),
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let mut encoder = shared.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.write_timestamp(&queries, 0);
            for (mark, launch) in (1..).zip(launches) {
                launch.encode(&mut pass);
                pass.write_timestamp(&queries, mark);
            }
        }
        encoder.resolve_query_set(&queries, 0..marks, &resolved, 0);
        let words = Mapping::begin(shared, encoder, &[(&resolved, 0, 2 * marks as usize)], name.clone())?.wait()?;
        let ticks: Vec<u64> = words[0]
            .chunks_exact(2)
            .map(|pair| u64::from(pair[0].to_bits()) | u64::from(pair[1].to_bits()) << 32)
            .collect();
        let period = f64::from(shared.queue.get_timestamp_period()) * 1e-9;
        let timed = launches.iter().zip(ticks.windows(2)).map(|(launch, marks)| Timed {
            label: program.steps[launch.step].label.clone(),
            shader: launch.shader,
            macs: program.steps[launch.step].macs(),
            seconds: marks[1].saturating_sub(marks[0]) as f64 * period,
        });
        Ok(Some(timed.collect()))
    }
}
