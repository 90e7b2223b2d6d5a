//! Which kernels can compute a convolution, and what each is called.

use std::fmt;

use super::shape::{ConvKind, ConvShape};
use super::sizes::Sizes;
use super::tile::WorkgroupTile;
use crate::engine::kernel::AdapterKind;
use crate::engine::software::RegisterTile;

/// How convolutions are computed on a device. All variants give the same numbers up to rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConvVariant {
    /// One invocation an output element: the plainest.
    Naive,
    /// Register tiles without workgroup memory: fast where a barrier is slow, as on CPU adapters.
    Register,
    /// Tiles shared by a workgroup: fast on GPUs.
    Tiled,
}

/// One way to compute a convolution: a variant, with what its constants are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConvKernel {
    Naive,
    Register(RegisterTile),
    Tiled(WorkgroupTile),
}

impl ConvKernel {
    pub(crate) fn variant(&self) -> ConvVariant {
        match self {
            Self::Naive => ConvVariant::Naive,
            Self::Register(_) => ConvVariant::Register,
            Self::Tiled(_) => ConvVariant::Tiled,
        }
    }
}

impl fmt::Display for ConvKernel {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Naive => f.pad("naive"),
            Self::Register(tile) => f.pad(&format!("register {tile}")),
            Self::Tiled(tile) => f.pad(&format!("tiled {tile}")),
        }
    }
}

/// The kernels that can compute a convolution: of each variant some, that which is taken unless another was measured to
/// be faster first; and the variants in the order that suits a kind of adapter.
pub(crate) fn candidates(shape: &ConvShape, adapter: &AdapterKind) -> Vec<ConvKernel> {
    let sizes = Sizes::new(&shape.geometry, shape.kind == ConvKind::Transposed);
    let sizes = if shape.kind == ConvKind::Transposed { sizes.fold_taps_into_output() } else { sizes };
    let taps = sizes.ci * sizes.kh * sizes.kw;
    let classes = sizes.sy * sizes.sx;
    let (products, columns, terms) = match shape.kind {
        ConvKind::Forward => (1, sizes.n * sizes.oh * sizes.ow, taps),
        ConvKind::Transposed => {
            (classes, sizes.n * sizes.oh.div_ceil(sizes.sy) * sizes.ow.div_ceil(sizes.sx), taps.div_ceil(classes))
        }
        ConvKind::WeightGradient => (1, taps, sizes.n * sizes.oh * sizes.ow),
    };
    let mut all: Vec<ConvKernel> = Vec::new();
    let mut variants = adapter.convolutions;
    // The rows of a tile would be computed in vain, or its sum be long and shared by few.
    let single = shape.kind == ConvKind::Forward && sizes.oh * sizes.ow == 1;
    if shape.kind != ConvKind::WeightGradient && (sizes.co <= adapter.few_channels || single) {
        variants.sort_by_key(|&variant| variant != ConvVariant::Register);
    }
    for variant in variants {
        let kernels = match variant {
            ConvVariant::Naive => vec![ConvKernel::Naive],
            ConvVariant::Register => {
                let tiles = (adapter.register_tiles)(shape.kind, &sizes, shape.macs());
                tiles.into_iter().map(ConvKernel::Register).collect()
            }
            ConvVariant::Tiled => {
                WorkgroupTile::candidates(products, [sizes.co, columns], terms).map(ConvKernel::Tiled).into()
            }
        };
        for kernel in kernels {
            if !all.contains(&kernel) {
                all.push(kernel);
            }
        }
    }
    all
}
