//! What kernels are made for: the kind of adapter, and what was chosen or measured for it. Ops ask it for
//! widths, never which adapter it is.

use super::software;
use crate::engine::conv::{ConvKernel, ConvShape, ConvVariant, candidates};
use crate::engine::tuning::KernelChoices;

/// What kernels are shaped by: the kind of adapter, and what was found out about it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Whether the adapter runs kernels on the CPU.
    pub software: bool,
    /// How to compute convolutions, whatever was chosen.
    pub convolution: Option<ConvVariant>,
    /// The kernels of convolutions, where those are not the ones that the kind of adapter suggests.
    pub choices: KernelChoices,
    /// Whether kernels may hold numbers in half precision.
    pub half_precision: bool,
}

impl Target {
    /// The kernel for a convolution. A choice that is no candidate counts for none.
    pub(crate) fn kernel(&self, shape: &ConvShape) -> ConvKernel {
        let candidates = candidates(shape, self.software);
        let wanted = match self.convolution {
            Some(variant) => candidates.iter().find(|kernel| kernel.variant() == variant),
            None => {
                let name = self.choices.of(shape);
                candidates.iter().find(|kernel| name.is_some_and(|name| kernel.to_string() == name))
            }
        };
        wanted.or(candidates.first()).copied().unwrap_or(ConvKernel::Naive)
    }

    /// Invocations in a workgroup of element-wise kernels.
    pub(crate) fn width(&self) -> u32 {
        if self.software { software::WIDTH } else { 64 }
    }

    /// How many workgroups share so many loads of an element at most.
    pub(super) fn max_workgroups(&self, loads: usize) -> usize {
        if self.software { software::max_workgroups(loads) } else { 16_384 }
    }

    /// Invocations in a workgroup that reduces together.
    pub(crate) fn reduction_width(&self) -> u32 {
        if self.software { software::WIDTH } else { 256 }
    }
}
