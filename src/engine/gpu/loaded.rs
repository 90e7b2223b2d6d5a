use super::device::{Groups, Shared, storage};
use super::pipelines::{Pipeline, Pipelines};
use crate::engine::error::EngineError;
use crate::engine::ops::kernel::{Dispatch, Slot, Tuning};
use crate::engine::ops::{GpuCall, Rule};
use crate::engine::place::{Buffer, Place};
use crate::engine::program::{Program, Step};

/// A program with its buffers, pipelines and bind groups.
pub(super) struct Loaded {
    pub program: Program,
    locals: Vec<wgpu::Buffer>,
    pub launches: Vec<Launch>,
}

/// One kernel with everything bound.
pub(super) struct Launch {
    /// Index of the program's step that it belongs to.
    pub step: usize,
    pub shader: &'static str,
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    workgroups: [u32; 3],
}

impl Launch {
    pub fn encode(&self, pass: &mut wgpu::ComputePass) {
        pass.set_pipeline(&self.pipeline);
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
    pub fn new(
        shared: &Shared,
        pipelines: &mut Pipelines,
        tuning: &Tuning,
        groups: &Groups,
        program: Program,
    ) -> Result<Self, EngineError> {
        let locals: Vec<wgpu::Buffer> = program
            .locals
            .iter()
            .map(|local| match &local.content {
                Some(content) => storage(shared, "constant", content),
                // An element that no kernel writes shows as NaN.
                None => storage(shared, "tensor", &vec![f32::NAN; local.len]),
            })
            .collect::<Result<_, _>>()?;
        let mut dispatches = Vec::new();
        let mut owners = Vec::new();
        for (index, step) in program.steps.iter().enumerate() {
            let call = GpuCall { inputs: &step.input_shapes(), outputs: &step.output_shapes(), tuning };
            for dispatch in step.op.gpu(&call) {
                shared.check_workgroups(&step.label, dispatch.workgroups)?;
                dispatches.push(dispatch);
                owners.push(index);
            }
        }
        let scratch = dispatches.iter().flat_map(|d| &d.bindings).map(|slot| match slot {
            Slot::Scratch(len) => *len,
            _ => 0,
        });
        let buffers = Buffers {
            groups,
            locals: &locals,
            scratch: storage(shared, "scratch", &vec![f32::NAN; scratch.max().unwrap_or(0).max(4)])?,
            unused: [storage(shared, "unused", &[0.0; 4])?, storage(shared, "unused", &[0.0; 4])?],
        };
        let ready = pipelines.of(&shared.device, &dispatches);
        shared.check("the compilation of the kernels")?;
        let launches = dispatches
            .iter()
            .zip(owners)
            .zip(ready)
            .map(|((dispatch, owner), pipeline)| {
                launch(shared, &buffers, dispatch, (owner, &program.steps[owner]), pipeline)
            })
            .collect();
        shared.check("the binding of buffers to kernels")?;
        Ok(Self { program, locals, launches })
    }

    /// The buffer behind a place.
    pub fn buffer<'a>(&'a self, groups: &'a Groups, place: Place) -> &'a wgpu::Buffer {
        match place.buffer {
            Buffer::Group(group) => &groups[&group],
            Buffer::Local(local) => &self.locals[local],
        }
    }
}

fn launch(
    shared: &Shared,
    buffers: &Buffers,
    dispatch: &Dispatch,
    (index, step): (usize, &Step),
    Pipeline { pipeline, layout }: Pipeline,
) -> Launch {
    let at = |place: Place| {
        let buffer = match place.buffer {
            Buffer::Group(group) => &buffers.groups[&group],
            Buffer::Local(local) => &buffers.locals[local],
        };
        (buffer, 4 * place.offset as u64, Some(4 * place.len.next_multiple_of(4) as u64))
    };
    let entries: Vec<wgpu::BindGroupEntry> = dispatch
        .bindings
        .iter()
        .enumerate()
        .map(|(binding, slot)| {
            let (buffer, offset, size) = match *slot {
                Slot::Input(i) => at(step.inputs[i].place),
                Slot::Output(i) => at(step.outputs[i].place),
                Slot::Mutated(i) => at(step.mutated[i]),
                Slot::Scratch(_) | Slot::Parts(_) => (&buffers.scratch, 0, None),
                Slot::Unused => (&buffers.unused[0], 0, None),
                Slot::UnusedOutput => (&buffers.unused[1], 0, None),
            };
            let size = size.and_then(wgpu::BufferSize::new);
            let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size });
            wgpu::BindGroupEntry { binding: binding as u32, resource }
        })
        .collect();
    let descriptor = wgpu::BindGroupDescriptor { label: Some(&step.label), layout: &layout, entries: &entries };
    let bindings = shared.device.create_bind_group(&descriptor);
    Launch { step: index, shader: dispatch.shader, pipeline, bindings, workgroups: dispatch.workgroups }
}
