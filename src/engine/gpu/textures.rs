//! Weights that kernels read from textures.
//!
//! llvmpipe gathers texels: 4 to 6 nanoseconds for eight lanes' quads, each at an index of its own, where a storage buffer takes 18, or
//! 155 without AVX-512 (Mesa 22.3.6). A texture holds a copy, so it serves weights that a program does not change.

use std::collections::HashSet;

use super::device::Shared;
use super::reports::{heard, named};
use crate::engine::error::EngineError;
use crate::engine::ops::kernel::{Dispatch, Slot, Tuning, Weights};
use crate::engine::place::{Buffer, Place};
use crate::engine::program::Step;

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

/// Lets a kernel read weights from a texture on adapters that are CPUs, if they are variables that no step of the program writes;
/// those are `written`.
pub(crate) fn with_textures(
    step: &Step,
    mut dispatch: Dispatch,
    tuning: &Tuning,
    written: &HashSet<Buffer>,
) -> Dispatch {
    let (true, Some(weights)) = (tuning.software, dispatch.weights) else { return dispatch };
    let Slot::Input(input) = dispatch.bindings[Weights::BINDING] else { return dispatch };
    let Place { buffer, len, .. } = step.inputs[input].place;
    let rows = len.div_ceil(4).div_ceil(tuning.texels);
    let variable = matches!(buffer, Buffer::Group(_)) && !written.contains(&buffer);
    match weights.in_texture(rows).filter(|_| variable && rows <= tuning.texels) {
        Some(weights) => {
            dispatch.bindings[Weights::BINDING] = Slot::Texture { input, rows };
            let dispatch = dispatch.weights(weights);
            if rows == 1 { dispatch } else { dispatch.with("ROW", tuning.texels) }
        }
        None => dispatch,
    }
}

/// A copy of a part of a buffer, made anew before a run if the buffer has changed.
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
    pub fn fill(&mut self, buffer: &wgpu::Buffer, of: Place, encoder: &mut wgpu::CommandEncoder) {
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
        self.fresh = true;
    }
}

fn extent(width: usize, rows: usize) -> wgpu::Extent3d {
    wgpu::Extent3d { width: width as u32, height: rows as u32, depth_or_array_layers: 1 }
}
