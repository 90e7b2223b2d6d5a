use std::collections::hash_map::{Entry, HashMap};
use std::mem;
use std::sync::Arc;

use super::device::{Groups, Shared};
use super::pipelines::{Kernel, Pipeline, Pipelines};
use super::reports::{heard, named};
use super::textures::{TextureCopy, refills};
use crate::engine::error::EngineError;
use crate::engine::ops::kernel::{Dispatch, Slot, Tuning};
use crate::engine::place::{Buffer, Place};
use crate::engine::program::{Program, Step};

/// Copies of what lies at some places.
type Textures = HashMap<Place, TextureCopy>;

/// A program with its buffers, pipelines and bind groups.
pub(super) struct Loaded {
    /// What its runs are called in errors.
    pub name: Arc<str>,
    pub program: Program,
    locals: Vec<wgpu::Buffer>,
    pub launches: Vec<Launch>,
    textures: Textures,
    /// Groups of variables that a run changes.
    pub changes: Arc<[Buffer]>,
}

/// One kernel with everything bound.
pub(super) struct Launch {
    /// Index of the program's step that it belongs to.
    pub step: usize,
    pub shader: &'static str,
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    pub workgroups: [u32; 3],
    /// Of which places textures are filled after it.
    pub refills: Vec<Place>,
}

impl Launch {
    fn encode(&self, pass: &mut wgpu::ComputePass) {
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
    textures: &'a Textures,
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
            .zip(program.users())
            .map(|(local, user)| match &local.content {
                Some(content) => {
                    let buffer = shared.storage(&format!("a constant of {user}"), content.len())?;
                    shared.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(content));
                    Ok(buffer)
                }
                None => shared.poisoned(&format!("a tensor of {user}"), local.len),
            })
            .collect::<Result<_, EngineError>>()?;
        let (owners, dispatches): (Vec<usize>, Vec<Dispatch>) = program.dispatches(tuning).into_iter().unzip();
        for (dispatch, &owner) in dispatches.iter().zip(&owners) {
            shared.check_launch(&program.steps[owner].label, dispatch)?;
        }
        let scratch = dispatches.iter().flat_map(|d| &d.bindings).map(|slot| match slot {
            Slot::Scratch(len) => *len,
            _ => 0,
        });
        let written = program.written();
        let mut read = vec![Vec::new(); program.steps.len()];
        for (dispatch, &owner) in dispatches.iter().zip(&owners) {
            read[owner].extend(copied(dispatch, &program.steps[owner]).map(|(place, _)| place));
        }
        let mut refills = refills(&program, &read);
        let textures = textures(shared, tuning, &program, &dispatches, &owners)?;
        let buffers = Buffers {
            groups,
            locals: &locals,
            textures: &textures,
            scratch: shared.poisoned("partial sums", scratch.max().unwrap_or(0))?,
            unused: [shared.storage("nothing", 4)?, shared.storage("nothing", 4)?],
        };
        let kernels = dispatches.iter().zip(&owners);
        let kernels = kernels.map(|(dispatch, &owner)| Kernel { dispatch, op: &program.steps[owner].label });
        let ready = pipelines.of(shared, tuning, &kernels.collect::<Vec<_>>())?;
        let launches = dispatches
            .iter()
            .zip(owners.iter().copied())
            .zip(ready)
            .enumerate()
            .map(|(index, ((dispatch, owner), pipeline))| {
                let mut launch = launch(shared, &buffers, dispatch, (owner, &program.steps[owner]), pipeline)?;
                if owners.get(index + 1) != Some(&owner) {
                    launch.refills = mem::take(&mut refills[owner]);
                }
                Ok(launch)
            })
            .collect::<Result<_, EngineError>>()?;
        let name = program.name().into();
        shared.reports.check(&format!("the loading of {name}"))?;
        let changes = written.into_iter().filter(|buffer| matches!(buffer, Buffer::Group(_))).collect();
        Ok(Self { name, program, locals, launches, textures, changes })
    }

    /// Brings its textures up to date, before a run.
    pub fn fill_textures(&mut self, groups: &Groups, encoder: &mut wgpu::CommandEncoder) {
        for (&of, texture) in self.textures.iter_mut().filter(|(_, texture)| !texture.fresh) {
            texture.fill(buffer(groups, &self.locals, of), of, encoder);
            texture.fresh = true;
        }
    }

    /// Records so many runs, in one compute pass, or in several with textures filled in between. `mark` is called at the start of each
    /// run, after each kernel, and after textures are filled.
    pub fn encode(
        &self,
        groups: &Groups,
        encoder: &mut wgpu::CommandEncoder,
        times: usize,
        mut mark: impl FnMut(&mut wgpu::ComputePass),
    ) {
        let begin = |encoder: &mut wgpu::CommandEncoder| {
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()).forget_lifetime()
        };
        let mut pass = begin(encoder);
        for _ in 0..times {
            mark(&mut pass);
            for launch in &self.launches {
                launch.encode(&mut pass);
                mark(&mut pass);
                if !launch.refills.is_empty() {
                    drop(pass);
                    for of in &launch.refills {
                        self.textures[of].fill(buffer(groups, &self.locals, *of), *of, encoder);
                    }
                    pass = begin(encoder);
                    mark(&mut pass);
                }
            }
        }
    }

    /// Marks copies of buffers that have changed.
    pub fn outdate(&mut self, changed: &[Buffer]) {
        for (_, texture) in self.textures.iter_mut().filter(|(of, _)| changed.contains(&of.buffer)) {
            texture.fresh = false;
        }
    }

    /// The buffer behind a place.
    pub fn buffer<'a>(&'a self, groups: &'a Groups, place: Place) -> &'a wgpu::Buffer {
        buffer(groups, &self.locals, place)
    }
}

fn buffer<'a>(groups: &'a Groups, locals: &'a [wgpu::Buffer], place: Place) -> &'a wgpu::Buffer {
    match place.buffer {
        Buffer::Group(group) => &groups[&group],
        Buffer::Local(local) => &locals[local],
    }
}

/// A texture for each input that kernels read from one.
fn textures(
    shared: &Shared,
    tuning: &Tuning,
    program: &Program,
    dispatches: &[Dispatch],
    owners: &[usize],
) -> Result<Textures, EngineError> {
    let mut textures = Textures::new();
    for (dispatch, &owner) in dispatches.iter().zip(owners) {
        let step = &program.steps[owner];
        for (of, rows) in copied(dispatch, step) {
            if let Entry::Vacant(place) = textures.entry(of) {
                let what = format!("a texture of {}", step.label);
                place.insert(TextureCopy::new(shared, &what, of.len.div_ceil(4), rows, tuning.texels)?);
            }
        }
    }
    Ok(textures)
}

/// The places that a kernel reads from textures, each with the texture's rows.
fn copied(dispatch: &Dispatch, step: &Step) -> impl Iterator<Item = (Place, usize)> {
    dispatch.bindings.iter().filter_map(|slot| match *slot {
        Slot::Texture { of, rows } => Some((step.copied(of), rows)),
        _ => None,
    })
}

fn launch(
    shared: &Shared,
    buffers: &Buffers,
    dispatch: &Dispatch,
    (index, step): (usize, &Step),
    Pipeline { pipeline, layout }: Pipeline,
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
                Slot::Input(i) | Slot::Uniform { input: i, .. } => at(step.inputs[i].place),
                Slot::Texture { of, .. } => {
                    wgpu::BindingResource::TextureView(&buffers.textures[&step.copied(of)].view)
                }
                Slot::Output(i) => at(step.outputs[i].place),
                Slot::Mutated(i) => at(step.mutated[i]),
                Slot::Scratch(_) | Slot::Parts(_) => buffers.scratch.as_entire_binding(),
                Slot::Unused => buffers.unused[0].as_entire_binding(),
                Slot::UnusedOutput => buffers.unused[1].as_entire_binding(),
            };
            wgpu::BindGroupEntry { binding: binding as u32, resource }
        })
        .collect();
    let descriptor = wgpu::BindGroupDescriptor { label: Some(&step.label), layout: &layout, entries: &entries };
    let bindings = heard(&shared.device, || shared.device.create_bind_group(&descriptor))
        .map_err(|error| named(&format!("the binding of buffers to {}", step.label), &error))?;
    let workgroups = dispatch.workgroups;
    Ok(Launch { step: index, shader: dispatch.shader, pipeline, bindings, workgroups, refills: Vec::new() })
}
