//! Inputs that kernels read from textures.

use super::device::Shared;
use super::reports::{heard, named};
use crate::engine::error::EngineError;
use crate::engine::ops::kernel::TEXELS;
use crate::engine::place::Place;

/// Any words, by fours.
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba32Uint;

/// How such a texture is bound.
pub(super) const BINDING: wgpu::BindingType = wgpu::BindingType::StorageTexture {
    access: wgpu::StorageTextureAccess::ReadOnly,
    format: FORMAT,
    view_dimension: wgpu::TextureViewDimension::D2,
};

/// A copy of a part of a buffer, made anew before a run if the buffer has changed.
pub(super) struct TextureCopy {
    texture: wgpu::Texture,
    /// What is bound.
    pub view: wgpu::TextureView,
    /// Whether it is what the buffer holds.
    pub fresh: bool,
}

impl TextureCopy {
    /// One for so many words, to be filled before it is read.
    ///
    /// # Errors
    /// [`EngineError::Limit`] and [`EngineError::OutOfMemory`].
    pub fn new(shared: &Shared, what: &str, len: usize) -> Result<Self, EngineError> {
        let rows = len.div_ceil(4 * TEXELS).max(1) as u32;
        let limit = shared.device.limits().max_texture_dimension_2d;
        if rows > limit {
            let needed = format!("a texture of {rows} rows");
            return Err(EngineError::Limit { what: what.into(), needed, limit: limit.to_string() });
        }
        let descriptor = wgpu::TextureDescriptor {
            label: Some(what),
            size: wgpu::Extent3d { width: TEXELS as u32, height: rows, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        };
        let texture = heard(&shared.device, || shared.device.create_texture(&descriptor));
        let texture = texture.map_err(|error| named(what, &error))?;
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        Ok(Self { texture, view, fresh: false })
    }

    /// Fills it with what lies at a place of a buffer.
    pub fn fill(&mut self, buffer: &wgpu::Buffer, of: Place, encoder: &mut wgpu::CommandEncoder) {
        let texels = of.len.div_ceil(4);
        let (rows, rest) = (texels / TEXELS, texels % TEXELS);
        for (first, rows, width) in [(0, rows, TEXELS), (rows, 1, rest)] {
            if rows == 0 || width == 0 {
                continue;
            }
            let offset = 4 * (of.offset + 4 * first * TEXELS) as u64;
            let layout =
                wgpu::TexelCopyBufferLayout { offset, bytes_per_row: Some(16 * TEXELS as u32), rows_per_image: None };
            let origin = wgpu::Origin3d { y: first as u32, ..wgpu::Origin3d::ZERO };
            encoder.copy_buffer_to_texture(
                wgpu::TexelCopyBufferInfo { buffer, layout },
                wgpu::TexelCopyTextureInfo { origin, ..self.texture.as_image_copy() },
                wgpu::Extent3d { width: width as u32, height: rows as u32, depth_or_array_layers: 1 },
            );
        }
        self.fresh = true;
    }
}
