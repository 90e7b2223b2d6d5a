//! A program on the device: its buffers, pipelines and bind groups, and the recording of its runs. It knows no op.

use std::sync::Arc;

use super::context::{DeviceContext, Groups};
use super::pipelines::{Kernel, Pipelines, SharedPipeline};
use super::reports::{named, with_error_scope};
use crate::engine::error::EngineError;
use crate::engine::kernel::{Binding, Launch, Storage, Target};
use crate::engine::program::{Buffer, Place, Program};

/// A program with its buffers, pipelines and bind groups.
pub(super) struct Loaded {
    /// What its runs are called in errors.
    pub name: Arc<str>,
    pub program: Program,
    locals: Vec<wgpu::Buffer>,
    pub launches: Vec<Ready>,
}

/// One launch with everything bound.
pub(super) struct Ready {
    pub launch: Launch,
    pipeline: SharedPipeline,
    bindings: wgpu::BindGroup,
}

impl Ready {
    fn encode(&self, pass: &mut wgpu::ComputePass) {
        pass.set_pipeline(&self.pipeline.value.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        let [x, y, z] = self.launch.workgroups();
        pass.dispatch_workgroups(x, y, z);
    }
}

/// Buffers that a launch may bind.
struct Buffers<'a> {
    groups: &'a Groups,
    locals: &'a [wgpu::Buffer],
    scratch: wgpu::Buffer,
}

impl Loaded {
    pub(super) fn new(
        context: &DeviceContext,
        pipelines: &mut Pipelines,
        target: &Target,
        groups: &Groups,
        program: Program,
    ) -> Result<Self, EngineError> {
        let locals: Vec<wgpu::Buffer> = program
            .locals
            .iter()
            .zip(program.users())
            .map(|(local, user)| match &local.content {
                Some(content) => {
                    let buffer = context.storage(&format!("a constant of {user}"), content.len())?;
                    context.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(content));
                    Ok(buffer)
                }
                None => context.poisoned(&format!("a tensor of {user}"), local.len),
            })
            .collect::<Result<_, EngineError>>()?;
        let launches = program.launches(target);
        let labels: Vec<String> = launches.iter().map(|launch| launch.label(&program)).collect();
        launches.iter().zip(&labels).try_for_each(|(launch, label)| context.check_launch(label, launch))?;
        let scratch = launches.iter().flat_map(|launch| &launch.bindings).map(|binding| match binding.storage {
            Storage::Scratch { offset, len } => offset + len,
            Storage::Place(_) => 0,
        });
        let scratch = context.poisoned("partial sums", scratch.max().unwrap_or(0))?;
        let buffers = Buffers { groups, locals: &locals, scratch };
        let kernels: Vec<Kernel> = launches.iter().zip(&labels).map(|(launch, op)| Kernel { launch, op }).collect();
        let compiled = pipelines.of(context, &kernels)?;
        let ready = launches.into_iter().zip(&labels).zip(compiled);
        let launches = ready
            .map(|((launch, label), pipeline)| ready_to_run(context, &buffers, launch, label, pipeline))
            .collect::<Result<_, EngineError>>()?;
        let name = program.name().into();
        context.reports.check(&format!("the loading of {name}"))?;
        Ok(Self { name, program, locals, launches })
    }

    /// Records so many runs, in one compute pass. `mark` is called at the start of each run and after each kernel.
    pub(super) fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        times: usize,
        mut mark: impl FnMut(&mut wgpu::ComputePass),
    ) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for _ in 0..times {
            mark(&mut pass);
            for launch in &self.launches {
                launch.encode(&mut pass);
                mark(&mut pass);
            }
        }
    }

    /// Gives up all but the kernels.
    pub(super) fn into_pipelines(self) -> Vec<SharedPipeline> {
        self.launches.into_iter().map(|ready| ready.pipeline).collect()
    }

    /// The buffer behind a place.
    pub(super) fn buffer<'a>(&'a self, groups: &'a Groups, place: Place) -> &'a wgpu::Buffer {
        buffer(groups, &self.locals, place)
    }
}

fn buffer<'a>(groups: &'a Groups, locals: &'a [wgpu::Buffer], place: Place) -> &'a wgpu::Buffer {
    match place.buffer {
        Buffer::Group(group) => &groups[&group],
        Buffer::Local(local) => &locals[local],
    }
}

fn ready_to_run(
    context: &DeviceContext,
    buffers: &Buffers,
    launch: Launch,
    label: &str,
    pipeline: SharedPipeline,
) -> Result<Ready, EngineError> {
    let resource = |storage: Storage| {
        let (buffer, offset, len) = match storage {
            Storage::Place(place) => (buffer(buffers.groups, buffers.locals, place), place.offset, place.len),
            Storage::Scratch { offset, len } => (&buffers.scratch, offset, len),
        };
        let size = wgpu::BufferSize::new(4 * len.next_multiple_of(4) as u64);
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: 4 * offset as u64, size })
    };
    let bound = launch.bindings.iter().enumerate();
    let entries: Vec<wgpu::BindGroupEntry> = bound
        .map(|(number, Binding { storage, .. })| wgpu::BindGroupEntry {
            binding: number as u32,
            resource: resource(*storage),
        })
        .collect();
    let descriptor =
        wgpu::BindGroupDescriptor { label: Some(label), layout: &pipeline.value.layout, entries: &entries };
    let bindings = with_error_scope(&context.device, || context.device.create_bind_group(&descriptor))
        .map_err(|error| named(&format!("the binding of buffers to {label}"), &error))?;
    Ok(Ready { launch, pipeline, bindings })
}
