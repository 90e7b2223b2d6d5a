//! From a convolution and the kernel chosen for it to launches: constants, bindings, workgroups.

use super::epilogue::Epilogue;
use super::geometry::Geometry;
use super::kernel::ConvKernel;
use super::sizes::Sizes;
use super::tile::WorkgroupTile;
use crate::engine::kernel::{Dispatch, Slot, Target};
use crate::engine::software;

/// Counts up when convolutions are launched in another way, so that times measured before count no more: when their
/// tiles, constants, bindings or workgroups change.
pub(crate) const LAUNCH_VERSION: u32 = 3;

/// Most workgroups in one dimension that every adapter allows.
const MAX_WORKGROUPS: usize = 65_535;

/// The kernel of a convolution.
pub(crate) fn conv2d(geometry: &Geometry, epilogue: &Epilogue, kernel: ConvKernel) -> Dispatch {
    let sizes = Sizes::new(geometry, false);
    match kernel {
        ConvKernel::Naive => naive(forward("conv2d_naive", epilogue, "single"), &sizes, outputs(&sizes)),
        ConvKernel::Register(tile) => software::conv2d(&sizes, epilogue, tile),
        ConvKernel::Tiled(tile) => {
            let pixels = sizes.n * sizes.oh * sizes.ow;
            let (x, z) = spread(pixels.div_ceil(tile.columns()));
            let dispatch = tile.declare(sizes.declare(forward("conv2d_tiled", epilogue, "single")));
            dispatch.workgroups(x, sizes.co.div_ceil(tile.rows()), z)
        }
    }
}

/// The kernel of a transposed convolution.
pub(crate) fn conv_transpose2d(geometry: &Geometry, epilogue: &Epilogue, kernel: ConvKernel) -> Dispatch {
    let sizes = Sizes::new(geometry, true);
    match kernel {
        ConvKernel::Naive => naive(forward("conv_transpose2d_naive", epilogue, "single"), &sizes, outputs(&sizes)),
        ConvKernel::Register(tile) => software::conv_transpose2d(&sizes, epilogue, tile),
        ConvKernel::Tiled(tile) => {
            let sizes = sizes.fold_taps_into_output();
            let pixels = sizes.n * sizes.oh.div_ceil(sizes.sy) * sizes.ow.div_ceil(sizes.sx);
            let (x, z) = spread(pixels.div_ceil(tile.columns()));
            let dispatch = tile.declare(sizes.declare(forward("conv_transpose2d_tiled", epilogue, "single")));
            dispatch.workgroups(x, sizes.co.div_ceil(tile.rows()) * sizes.sy * sizes.sx, z)
        }
    }
}

/// The kernels of a convolution's weight gradient: partial sums, and their sum where there are several.
pub(crate) fn conv2d_weight_grad(geometry: &Geometry, kernel: ConvKernel, target: &Target) -> Vec<Dispatch> {
    let sizes = Sizes::new(geometry, false);
    let weights = sizes.co * sizes.ci * sizes.kh * sizes.kw;
    let splits = match kernel {
        ConvKernel::Naive => 1,
        ConvKernel::Register(_) => software::weight_grad_splits(&sizes),
        ConvKernel::Tiled(tile) => tiled_splits(&sizes, tile),
    };
    let destination = if splits == 1 { Slot::Output(0) } else { Slot::Scratch(splits * weights) };
    let dispatch =
        |shader| Dispatch::new(shader, &[Slot::Input(0), Slot::Input(1), destination]).with("SPLITS", splits);
    let main = match kernel {
        ConvKernel::Naive => naive(dispatch("conv2d_weight_grad_naive"), &sizes, splits * weights),
        ConvKernel::Register(tile) => {
            software::conv2d_weight_grad(&sizes, dispatch("conv2d_weight_grad_register"), tile)
        }
        ConvKernel::Tiled(tile) => {
            let taps = sizes.ci * sizes.kh * sizes.kw;
            let dispatch = tile.declare(sizes.declare(dispatch("conv2d_weight_grad_tiled")));
            dispatch.workgroups(taps.div_ceil(tile.columns()), sizes.co.div_ceil(tile.rows()), splits)
        }
    };
    let mut dispatches = vec![main];
    if splits > 1 {
        let sum = Dispatch::new("sum_parts", &[Slot::Parts(splits * weights), Slot::Output(0)]).with("PARTS", splits);
        dispatches.push(sum.over(weights, target));
    }
    dispatches
}

/// How many parts the sum of a weight gradient has: enough workgroups for a GPU, as far as each part is long enough to be
/// worth the second launch that adds them.
fn tiled_splits(sizes: &Sizes, tile: WorkgroupTile) -> usize {
    const ENOUGH: usize = 1024;
    const MIN_TERMS: usize = 512;
    let tiles = (sizes.ci * sizes.kh * sizes.kw).div_ceil(tile.columns()) * sizes.co.div_ceil(tile.rows());
    let terms = sizes.n * sizes.oh * sizes.ow;
    ENOUGH.div_ceil(tiles).min(terms / MIN_TERMS).max(1)
}

/// A launch with image, weight, bias, activation output, result and what is added bound.
pub(in crate::engine) fn forward(shader: &'static str, epilogue: &Epilogue, element: &'static str) -> Dispatch {
    let input = |used: bool, input: usize| if used { Slot::Input(input) } else { Slot::Unused };
    let bias = input(epilogue.bias, 2);
    let added = input(epilogue.adds, epilogue.added_input());
    let activated = input(epilogue.activation_grad.is_some(), epilogue.activated_input());
    let dispatch = Dispatch::new(shader, &[Slot::Input(0), Slot::Input(1), bias, activated, Slot::Output(0), added])
        .with("HAS_BIAS", epilogue.bias)
        .with("ADDS", epilogue.adds)
        .with("ACTIVATION_GRAD", epilogue.activation_grad.is_some());
    // Fusion opens one or the other, never both, so that one activation serves.
    epilogue.activation_grad.unwrap_or(epilogue.activation).declare(dispatch).element(element)
}

fn outputs(sizes: &Sizes) -> usize {
    sizes.n * sizes.co * sizes.oh * sizes.ow
}

fn naive(dispatch: Dispatch, sizes: &Sizes, outputs: usize) -> Dispatch {
    const LANES: usize = 64;
    let (x, y) = spread(outputs.div_ceil(LANES));
    sizes.declare(dispatch).with("LANES", LANES).workgroups(x, y, 1)
}

/// `count` workgroups over two dimensions.
pub(in crate::engine) fn spread(count: usize) -> (usize, usize) {
    let rows = count.div_ceil(MAX_WORKGROUPS).max(1);
    (count.div_ceil(rows), rows)
}
