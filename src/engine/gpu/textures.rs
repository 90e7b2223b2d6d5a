//! Inputs that kernels read from textures.

use super::device::Shared;
use super::reports::{heard, named};
use crate::engine::error::EngineError;
use crate::engine::place::Place;

/// Any words, by fours.
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba32Uint;

/// How such a texture is bound.
pub(super) const BINDING: wgpu::BindingType = wgpu::BindingType::StorageTexture {
    access: wgpu::StorageTextureAccess::ReadOnly,
    format: FORMAT,
    view_dimension: wgpu::TextureViewDimension::D1,
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
    /// [`EngineError::OutOfMemory`].
    pub fn new(shared: &Shared, what: &str, words: usize) -> Result<Self, EngineError> {
        let descriptor = wgpu::TextureDescriptor {
            label: Some(what),
            size: wgpu::Extent3d { width: words.div_ceil(4) as u32, height: 1, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D1,
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
        let offset = 4 * of.offset as u64;
        let layout = wgpu::TexelCopyBufferLayout { offset, bytes_per_row: None, rows_per_image: None };
        let source = wgpu::TexelCopyBufferInfo { buffer, layout };
        encoder.copy_buffer_to_texture(source, self.texture.as_image_copy(), self.texture.size());
        self.fresh = true;
    }
}
