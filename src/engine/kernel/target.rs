//! What kernels are made for: the kind of adapter, and what was chosen or measured for it. Ops ask it for
//! widths, never which adapter it is.

use crate::engine::conv::{ConvKernel, ConvKind, ConvShape, ConvVariant, Sizes, candidates};
use crate::engine::software::{FEW_CHANNELS, RegisterTile, SOFTWARE};
use crate::engine::tuning::KernelChoices;

/// What the kernels of a kind of adapter are shaped by.
#[derive(Debug)]
pub(crate) struct AdapterKind {
    /// Invocations in a workgroup of element-wise kernels.
    pub width: u32,
    /// Invocations in a workgroup that reduces many elements together.
    pub reduction_width: u32,
    /// How many workgroups share so many loads of an element at most.
    pub max_workgroups: fn(usize) -> usize,
    /// The variants of convolutions: that which suits first.
    pub convolutions: [ConvVariant; 3],
    /// Convolutions of so many output channels or fewer are computed in registers, whatever suits first.
    pub(in crate::engine) few_channels: usize,
    /// The tiles of register kernels, for a convolution of so many multiply-accumulates: that which suits first.
    pub(in crate::engine) register_tiles: fn(ConvKind, &Sizes, u64) -> Vec<RegisterTile>,
    /// Most workgroups of a kernel that runs beside others in one launch.
    pub max_workgroups_beside: u64,
}

/// Invocations in a workgroup on GPUs.
const WIDTH: u32 = 64;

/// GPUs.
const GPU: AdapterKind = AdapterKind {
    width: WIDTH,
    reduction_width: 256,
    max_workgroups: |_| 16_384,
    convolutions: [ConvVariant::Tiled, ConvVariant::Register, ConvVariant::Naive],
    few_channels: FEW_CHANNELS,
    register_tiles: |kind, sizes, _| RegisterTile::on_gpu(kind, sizes, WIDTH as usize),
    // With more a kernel fills a large GPU by itself, and would only pay for the registers that its neighbours take.
    max_workgroups_beside: 1024,
};

impl AdapterKind {
    /// The kind of an adapter, which may run kernels on the CPU.
    pub(crate) fn of(software: bool) -> &'static Self {
        if software { &SOFTWARE } else { &GPU }
    }

    /// Invocations in a workgroup that reduces so many elements: few, so that other kernels can run beside it, where each
    /// then takes a few elements only.
    pub(crate) fn width_to_reduce(&self, elements: usize) -> u32 {
        const FEW: usize = 4;
        if elements <= FEW * self.width as usize { self.width } else { self.reduction_width }
    }
}

/// What kernels are made for: the kind of adapter, and what was found out about it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// What the kind of adapter wants.
    pub adapter: &'static AdapterKind,
    /// How to compute convolutions, whatever was chosen.
    pub convolution: Option<ConvVariant>,
    /// The kernels of convolutions, where those are not the ones that the kind of adapter suggests.
    pub choices: KernelChoices,
    /// Whether kernels may hold numbers in half precision.
    pub half_precision: bool,
    /// Most buffers that a launch of several kernels may bind.
    pub max_bindings: usize,
}

/// Most buffers that a launch of several kernels binds, where the adapter allows as many: enough for all of a training step.
pub(crate) const MAX_BINDINGS: usize = 24;

impl Target {
    /// The kernel for a convolution. A choice that is no candidate counts for none.
    pub(crate) fn kernel(&self, shape: &ConvShape) -> ConvKernel {
        let candidates = candidates(shape, self.adapter);
        let wanted = match self.convolution {
            Some(variant) => candidates.iter().find(|kernel| kernel.variant() == variant),
            None => {
                let name = self.choices.of(shape);
                candidates.iter().find(|kernel| name.is_some_and(|name| kernel.to_string() == name))
            }
        };
        wanted.or(candidates.first()).copied().unwrap_or(ConvKernel::Naive)
    }
}
