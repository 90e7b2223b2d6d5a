//! What kernels read from textures.
//!
//! llvmpipe gathers texels: 4 to 6 nanoseconds for eight lanes' quads, each at an index of its own, where a storage buffer takes 18, or
//! 155 without AVX-512 (Mesa 22.3.6). A texture holds a copy, which is filled before a run if the buffer has changed. To fill it takes
//! half a millisecond for 8 MiB, so that where loads are dear (`loads.rs`) what a program itself writes is copied too, between its kernels.

use std::collections::{BTreeMap, HashSet};

use super::declarations::{Declaration, reads_quads, with_calls};
use super::device::Shared;
use super::reports::{heard, named};
use crate::engine::error::EngineError;
use crate::engine::ops::kernel::{Copied, Dispatch, Slot, Tuning, Weights};
use crate::engine::place::{Buffer, Place};
use crate::engine::program::{Program, Step};

/// Any words, by fours.
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba32Uint;
/// Bytes of a texel.
const TEXEL: usize = 16;

/// How a texture of so many rows is bound.
pub(super) fn binding(rows: usize) -> wgpu::BindingType {
    wgpu::BindingType::StorageTexture {
        access: wgpu::StorageTextureAccess::ReadOnly,
        format: FORMAT,
        view_dimension: if rows == 1 { wgpu::TextureViewDimension::D1 } else { wgpu::TextureViewDimension::D2 },
    }
}

/// Lets a kernel read from textures, on adapters that are CPUs: weights that are variables which no step of the program writes; and where
/// loads are dear, all quads of the program's own that are too many for a uniform buffer, and weights that are. `written` is what
/// the program writes.
pub(crate) fn with_textures(
    step: &Step,
    mut dispatch: Dispatch,
    tuning: &Tuning,
    written: &HashSet<Buffer>,
) -> Dispatch {
    for binding in 0..dispatch.bindings.len() {
        let Slot::Input(input) = dispatch.bindings[binding] else { continue };
        let Place { buffer, len, .. } = step.inputs[input].place;
        let refill = tuning.refill && len.div_ceil(4) > tuning.uniform_quads;
        let weights = dispatch.weights.filter(|_| binding == Weights::BINDING);
        let wanted = match buffer {
            Buffer::Group(_) => weights.is_some() && tuning.software && (refill || !written.contains(&buffer)),
            Buffer::Local(_) => refill && reads_quads(&dispatch, binding),
        };
        let Some(rows) = tuning.texture_rows(len).filter(|_| wanted) else { continue };
        if let Some(weights) = weights {
            let Some(in_texture) = weights.in_texture(rows) else { continue };
            dispatch.weights = Some(in_texture);
        }
        dispatch.bindings[binding] = Slot::Texture { of: Copied::Input(input), rows };
    }
    dispatch
}

/// Whether a program has anything that is read from textures only where loads are dear.
pub(super) fn could_refill(program: &Program, tuning: &Tuning) -> bool {
    let variables = program.written().iter().any(|buffer| matches!(buffer, Buffer::Group(_)));
    let mut inputs = program.steps.iter().flat_map(|step| &step.inputs).map(|x| x.place);
    let large = |place: Place| place.len.div_ceil(4) > tuning.uniform_quads;
    variables || inputs.any(|place| matches!(place.buffer, Buffer::Local(_)) && large(place))
}

/// The kernel's text with what it reads from textures declared so.
pub(super) fn declared(mut text: String, dispatch: &Dispatch, tuning: &Tuning) -> String {
    for (binding, slot) in dispatch.bindings.iter().enumerate() {
        let &Slot::Texture { rows, .. } = slot else { continue };
        let Some(Declaration { line, name }) = Declaration::of_quads(&text, binding) else { continue };
        let row = tuning.texels;
        let (dimension, at) = match rows {
            1 => (1, "quad".into()),
            _ => (2, format!("vec2<u32>(quad % {row}u, quad / {row}u)")),
        };
        let texture = format!(
            "@group(0) @binding({binding}) var {name}: texture_storage_{dimension}d<rgba32uint, read>;\n\
             fn {name}_texel(quad: u32) -> vec4<f32> {{ return bitcast<vec4<f32>>(textureLoad({name}, {at})); }}"
        );
        text = with_calls(&text.replacen(line, &texture, 1), name, &format!("{name}_texel"));
    }
    text
}

/// After each step of a program the textures to be filled: those of which something was written and will be read, in this run or in the
/// next, before anything else is written. `read` says what each step reads from textures.
pub(super) fn refills(program: &Program, read: &[Vec<Place>]) -> Vec<Vec<Place>> {
    let mut after = vec![Vec::new(); read.len()];
    // Of a place, the step that wrote to it last since it was copied.
    let mut written: BTreeMap<Place, usize> = BTreeMap::new();
    for (index, step) in program.steps.iter().enumerate().chain(program.steps.iter().enumerate()) {
        for place in &read[index] {
            if let Some(writer) = written.remove(place).filter(|&writer| !after[writer].contains(place)) {
                after[writer].push(*place);
            }
        }
        for target in step.written() {
            let copied = read.iter().flatten().filter(|place| place.overlaps(&target));
            written.extend(copied.map(|&place| (place, index)));
        }
    }
    after
}

/// A copy of a part of a buffer.
pub(super) struct TextureCopy {
    texture: wgpu::Texture,
    /// What is bound.
    pub view: wgpu::TextureView,
    /// Whether it is what the buffer holds.
    pub fresh: bool,
    texels: usize,
}

impl TextureCopy {
    /// One for so many texels in rows of `row`, to be filled before it is read.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn new(shared: &Shared, what: &str, texels: usize, rows: usize, row: usize) -> Result<Self, EngineError> {
        let descriptor = wgpu::TextureDescriptor {
            label: Some(what),
            size: extent(texels.min(row), rows),
            mip_level_count: 1,
            sample_count: 1,
            dimension: if rows == 1 { wgpu::TextureDimension::D1 } else { wgpu::TextureDimension::D2 },
            format: FORMAT,
            usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        };
        let texture = heard(&shared.device, || shared.device.create_texture(&descriptor));
        let texture = texture.map_err(|error| named(what, &error))?;
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        Ok(Self { texture, view, fresh: false, texels })
    }

    /// Fills it with what lies at a place of a buffer.
    pub fn fill(&self, buffer: &wgpu::Buffer, of: Place, encoder: &mut wgpu::CommandEncoder) {
        let row = self.texture.width() as usize;
        let (full, rest) = (self.texels / row, self.texels % row);
        let mut copy = |first: usize, width: usize, rows: usize| {
            let layout = wgpu::TexelCopyBufferLayout {
                offset: (4 * of.offset + first * row * TEXEL) as u64,
                bytes_per_row: (rows > 1).then_some((row * TEXEL) as u32),
                rows_per_image: None,
            };
            let mut target = self.texture.as_image_copy();
            target.origin.y = first as u32;
            encoder.copy_buffer_to_texture(wgpu::TexelCopyBufferInfo { buffer, layout }, target, extent(width, rows));
        };
        copy(0, row, full);
        if rest > 0 {
            copy(full, rest, 1);
        }
    }
}

fn extent(width: usize, rows: usize) -> wgpu::Extent3d {
    wgpu::Extent3d { width: width as u32, height: rows as u32, depth_or_array_layers: 1 }
}
