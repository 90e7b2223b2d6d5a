//! Which kernels can compute a convolution, and what each is called.

use std::fmt;

use super::register_tile::{MAX_MACS_OF_ONE_THREAD, MIN_WORKGROUPS, RegisterTile, weight_grad_tiles};
use super::shape::{ConvKind, ConvShape};
use super::sizes::Sizes;
use super::tile::{WorkgroupSides, workgroup_sides};

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
    Tiled(WorkgroupSides),
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
            Self::Tiled(WorkgroupSides(x, y)) => f.pad(&format!("tiled {x}x{y}")),
        }
    }
}

/// The kernels that can compute a convolution: of each variant some, that which is taken unless another was measured to
/// be faster first; and first of all the variant that suits an adapter that is a CPU, if `software`, or a GPU.
pub(crate) fn candidates(shape: &ConvShape, software: bool) -> Vec<ConvKernel> {
    let sizes = Sizes::new(&shape.geometry, shape.kind == ConvKind::Transposed);
    let enough = if shape.macs() < MAX_MACS_OF_ONE_THREAD { 1 } else { MIN_WORKGROUPS };
    let (tiles, columns) = match shape.kind {
        ConvKind::Forward => {
            (RegisterTile::all(sizes.n * sizes.oh, sizes.ow, 1, &sizes, enough), sizes.n * sizes.oh * sizes.ow)
        }
        ConvKind::Transposed => {
            let folded = sizes.fold_taps_into_output();
            let class = |sizes: &Sizes| [sizes.n * sizes.oh.div_ceil(sizes.sy), sizes.ow.div_ceil(sizes.sx)];
            let ([rows, columns], [all_rows, all_columns]) = (class(&folded), class(&sizes));
            (RegisterTile::all(rows, columns, folded.sy, &folded, enough), all_rows * all_columns)
        }
        ConvKind::WeightGradient => (weight_grad_tiles(&sizes), sizes.ci * sizes.kh * sizes.kw),
    };
    let register = tiles.into_iter().map(ConvKernel::Register);
    let tiled = workgroup_sides(sizes.co, columns).map(ConvKernel::Tiled);
    let mut all: Vec<ConvKernel> = Vec::new();
    let add = |kernel| {
        if !all.contains(&kernel) {
            all.push(kernel);
        }
    };
    if software {
        register.chain([ConvKernel::Naive]).chain(tiled).for_each(add);
    } else {
        tiled.into_iter().chain(register).chain([ConvKernel::Naive]).for_each(add);
    }
    all
}
