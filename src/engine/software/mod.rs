//! Everything that exists for adapters that are CPUs: software drivers, which run a workgroup's invocations as the lanes
//! of vectors. Its kernels are `shaders/*_register.wgsl`. GPUs take them for layers of few channels.
//!
//! The rest of the engine knows [`SOFTWARE`] and the register kernels, which any adapter may run. No wgpu here.

mod launch;
mod register_tile;

pub(super) use launch::{conv_transpose2d, conv2d, conv2d_weight_grad, weight_grad_splits};
pub(super) use register_tile::FEW_CHANNELS;
pub(crate) use register_tile::RegisterTile;

use super::conv::ConvVariant;
use super::kernel::AdapterKind;

/// Invocations in a workgroup: eight fill a CPU's vector unit.
const WIDTH: u32 = 8;

/// What the kernels of software drivers are shaped by.
pub(super) const SOFTWARE: AdapterKind = AdapterKind {
    width: WIDTH,
    reduction_width: WIDTH,
    // A workgroup costs a CPU as much as five loads of its lanes.
    max_workgroups: |loads| (loads / (16 * WIDTH as usize)).clamp(1, 16),
    convolutions: [ConvVariant::Register, ConvVariant::Naive, ConvVariant::Tiled],
    few_channels: 0,
    register_tiles: RegisterTile::candidates,
    // A launch costs a CPU little, and the compilation of one of several kernels much: they are compiled once for each neighbour.
    max_workgroups_beside: 0,
};
