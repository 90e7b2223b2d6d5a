//! A program on the device: its buffers, pipelines and bind groups, and the recording of its runs. It knows no op.

use std::sync::Arc;

use super::context::{DeviceContext, Groups};
use super::pipelines::{Kernel, Pipelines, SharedPipeline};
use super::reports::{named, with_error_scope};
use crate::engine::error::EngineError;
use crate::engine::kernel::{Dispatch, Slot, Target};
use crate::engine::program::{Buffer, Place, Program, Step};

/// A program with its buffers, pipelines and bind groups.
pub(super) struct Loaded {
    /// What its runs are called in errors.
    pub name: Arc<str>,
    pub program: Program,
    locals: Vec<wgpu::Buffer>,
    pub launches: Vec<Launch>,
}

/// One kernel with everything bound.
pub(super) struct Launch {
    /// Index of the program's step that it belongs to.
    pub step: usize,
    pub shader: &'static str,
    pipeline: SharedPipeline,
    bindings: wgpu::BindGroup,
    pub workgroups: [u32; 3],
}

impl Launch {
    fn encode(&self, pass: &mut wgpu::ComputePass) {
        pass.set_pipeline(&self.pipeline.value.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        let [x, y, z] = self.workgroups;
        pass.dispatch_workgroups(x, y, z);
    }
}

/// Buffers that a step may bind.
struct Buffers<'a> {
    groups: &'a Groups,
    locals: &'a [wgpu::Buffer],
    scratch: wgpu::Buffer,
    /// Bound where nothing is read, and where nothing is written.
    unused: [wgpu::Buffer; 2],
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
        let (owners, dispatches): (Vec<usize>, Vec<Dispatch>) = program.dispatches(target).into_iter().unzip();
        for (dispatch, &owner) in dispatches.iter().zip(&owners) {
            context.check_launch(&program.steps[owner].label, dispatch)?;
        }
        let scratch = dispatches.iter().flat_map(|d| &d.bindings).map(|slot| match slot {
            Slot::Scratch(len) => *len,
            _ => 0,
        });
        let buffers = Buffers {
            groups,
            locals: &locals,
            scratch: context.poisoned("partial sums", scratch.max().unwrap_or(0))?,
            unused: [context.storage("nothing", 4)?, context.storage("nothing", 4)?],
        };
        let kernels = dispatches.iter().zip(&owners);
        let kernels = kernels.map(|(dispatch, &owner)| Kernel { dispatch, op: &program.steps[owner].label });
        let ready = pipelines.of(context, &kernels.collect::<Vec<_>>())?;
        let launches = dispatches
            .iter()
            .zip(owners.iter().copied())
            .zip(ready)
            .map(|((dispatch, owner), pipeline)| {
                launch(context, &buffers, dispatch, (owner, &program.steps[owner]), pipeline)
            })
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
        self.launches.into_iter().map(|launch| launch.pipeline).collect()
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

fn launch(
    context: &DeviceContext,
    buffers: &Buffers,
    dispatch: &Dispatch,
    (index, step): (usize, &Step),
    pipeline: SharedPipeline,
) -> Result<Launch, EngineError> {
    let at = |place: Place| {
        let buffer = buffer(buffers.groups, buffers.locals, place);
        let size = wgpu::BufferSize::new(4 * place.len.next_multiple_of(4) as u64);
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: 4 * place.offset as u64, size })
    };
    let entries: Vec<wgpu::BindGroupEntry> = dispatch
        .bindings
        .iter()
        .enumerate()
        .map(|(binding, slot)| {
            let resource = match *slot {
                Slot::Input(i) => at(step.inputs[i].place),
                Slot::Output(i) => at(step.outputs[i].place),
                Slot::Mutated(i) => at(step.mutated[i]),
                Slot::Scratch(_) | Slot::Parts(_) => buffers.scratch.as_entire_binding(),
                Slot::Unused => buffers.unused[0].as_entire_binding(),
                Slot::UnusedOutput => buffers.unused[1].as_entire_binding(),
            };
            wgpu::BindGroupEntry { binding: binding as u32, resource }
        })
        .collect();
    let descriptor =
        wgpu::BindGroupDescriptor { label: Some(&step.label), layout: &pipeline.value.layout, entries: &entries };
    let bindings = with_error_scope(&context.device, || context.device.create_bind_group(&descriptor))
        .map_err(|error| named(&format!("the binding of buffers to {}", step.label), &error))?;
    Ok(Launch { step: index, shader: dispatch.shader, pipeline, bindings, workgroups: dispatch.workgroups })
}
