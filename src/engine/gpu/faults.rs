//! Trouble made on purpose, for tests of what comes of it. The driver's answers to it are real.

use std::str::FromStr;

use super::device::Shared;
use crate::engine::error::EngineError;

/// Trouble that a device is opened with; see `docs/reliability.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The device is destroyed before the run of this number, counted from 1.
    Lost(u64),
    /// A kernel that takes many minutes goes before the run of this number, counted from 1.
    Hang(u64),
    /// The device is opened with buffers of at most so many bytes.
    Limit(u64),
    /// The text of this kernel, a file under `shaders/`, is no WGSL.
    Kernel(String),
}

/// A text that names no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no fault `{0}`; say lost=RUN, hang=RUN, limit=BYTES or kernel=SHADER")]
pub struct UnknownFault(pub String);

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let (kind, value) = text.split_once('=').unwrap_or((text, ""));
        let fault = match kind {
            "lost" => value.parse().ok().map(Self::Lost),
            "hang" => value.parse().ok().map(Self::Hang),
            "limit" => value.parse().ok().map(Self::Limit),
            "kernel" if !value.is_empty() => Some(Self::Kernel(value.to_owned())),
            _ => None,
        };
        fault.ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

impl Fault {
    /// The limits that the device is asked for in place of the adapter's.
    pub(super) fn limits(&self, adapter: wgpu::Limits) -> wgpu::Limits {
        match *self {
            Self::Limit(bytes) => wgpu::Limits {
                max_buffer_size: bytes.min(adapter.max_buffer_size),
                max_storage_buffer_binding_size: bytes.min(adapter.max_storage_buffer_binding_size),
                ..adapter
            },
            _ => adapter,
        }
    }

    /// The text that is compiled in place of a kernel's.
    pub(super) fn text(&self, shader: &str, text: String) -> String {
        match self {
            Self::Kernel(name) if name == shader => format!("{text}\nfn broken( {{"),
            _ => text,
        }
    }

    /// Comes before each run; `number` counts them from 1.
    pub(super) fn before_run(&self, shared: &Shared, number: u64, during: &str) -> Result<(), EngineError> {
        match *self {
            Self::Lost(run) if run == number => shared.device.destroy(),
            Self::Hang(run) if run == number => hang(shared, during)?,
            _ => {}
        }
        Ok(())
    }
}

/// Submits a kernel that takes many minutes.
fn hang(shared: &Shared, during: &str) -> Result<(), EngineError> {
    let device = &shared.device;
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
    shared.submit(encoder.finish(), during).map(|_| ())
}
