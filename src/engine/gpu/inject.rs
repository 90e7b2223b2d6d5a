//! Faults that a device meets while it runs.

use super::context::DeviceContext;
use super::faults::Fault;
use crate::engine::error::EngineError;

impl Fault {
    /// Comes before each run; `number` counts them from 1.
    pub(super) fn before_run(&self, context: &DeviceContext, number: u64, during: &str) -> Result<(), EngineError> {
        match *self {
            Self::Lost(run) if run == number => context.device.destroy(),
            Self::Hang(run) if run == number => hang(context, during)?,
            _ => {}
        }
        Ok(())
    }
}

/// Submits a kernel that takes many minutes.
fn hang(context: &DeviceContext, during: &str) -> Result<(), EngineError> {
    let device = &context.device;
    const TEXT: &str = "@group(0) @binding(0) var<storage, read_write> y: array<u32>;
        @compute @workgroup_size(1) fn main() {
            var x = y[0];
            for (var i = 0u; i < 60000u; i++) {
                x = (x ^ i) * 747796405u + (x >> 7u);
            }
            y[0] = x;
        }";
    let source = wgpu::ShaderSource::Wgsl(TEXT.into());
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some("hang"), source });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("hang"),
        layout: None,
        module: &module,
        entry_point: None,
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("hang"),
        size: 16,
        usage: wgpu::BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
    let entry = wgpu::BindGroupEntry { binding: 0, resource: buffer.as_entire_binding() };
    let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("hang"),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[entry],
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        // Software drivers end loops after 65,535 rounds, so it takes many workgroups.
        pass.dispatch_workgroups(65_535, 65_535, 1);
    }
    context.submit(encoder.finish(), during).map(|_| ())
}
