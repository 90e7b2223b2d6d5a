use std::collections::HashMap;
use std::sync::Mutex;

use super::shaders;
use crate::engine::ops::kernel::{Dispatch, Slot};

/// A kernel ready to run.
#[derive(Clone)]
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// Kernels by their text, each compiled once.
#[derive(Default)]
pub(super) struct Pipelines {
    compiled: HashMap<String, Pipeline>,
}

impl Pipelines {
    /// The pipelines of `dispatches`, in their order. New ones are compiled on all cores.
    pub fn of(&mut self, device: &wgpu::Device, dispatches: &[Dispatch]) -> Vec<Pipeline> {
        let sources: Vec<String> = dispatches.iter().map(shaders::source).collect();
        let mut missing: Vec<(&String, &Dispatch)> =
            sources.iter().zip(dispatches).filter(|(source, _)| !self.compiled.contains_key(*source)).collect();
        missing.sort_by_key(|(source, _)| *source);
        missing.dedup_by_key(|(source, _)| *source);
        let queue = Mutex::new(missing.into_iter());
        let made = Mutex::new(Vec::new());
        let next = || queue.lock().ok().and_then(|mut queue| queue.next());
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some((source, dispatch)) = next() {
                        let pipeline = compile(device, source, dispatch);
                        if let Ok(mut made) = made.lock() {
                            made.push((source.clone(), pipeline));
                        }
                    }
                });
            }
        });
        self.compiled.extend(made.into_inner().unwrap_or_default());
        sources.iter().filter_map(|source| self.compiled.get(source).cloned()).collect()
    }
}

fn compile(device: &wgpu::Device, source: &str, dispatch: &Dispatch) -> Pipeline {
    let descriptor =
        wgpu::ShaderModuleDescriptor { label: Some(dispatch.shader), source: wgpu::ShaderSource::Wgsl(source.into()) };
    let checks = wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..wgpu::ShaderRuntimeChecks::checked() };
    // SAFETY: all checks stay on but the bound on loops, and every loop of our kernels counts to a
    // limit that is fixed before it starts.
    let module = unsafe { device.create_shader_module_trusted(descriptor, checks) };
    let entries: Vec<wgpu::BindGroupLayoutEntry> =
        dispatch.bindings.iter().enumerate().map(|(binding, slot)| layout_entry(binding as u32, *slot)).collect();
    let layout = device
        .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(dispatch.shader), entries: &entries });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(dispatch.shader),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(dispatch.shader),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            // Kernels write workgroup memory before they read it.
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: None,
    });
    Pipeline { pipeline, layout }
}

fn layout_entry(binding: u32, slot: Slot) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage {
                read_only: matches!(slot, Slot::Input(_) | Slot::Parts(_) | Slot::Unused),
            },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    }
}
