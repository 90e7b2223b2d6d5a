//! Launches of the register kernels.

use super::register_tile::RegisterTile;
use crate::engine::conv::{Epilogue, Sizes, forward, spread};
use crate::engine::kernel::Dispatch;

/// A convolution.
pub(in crate::engine) fn conv2d(sizes: &Sizes, epilogue: &Epilogue, tile: RegisterTile) -> Dispatch {
    let blocks = (sizes.n * sizes.oh).div_ceil(tile.y) * sizes.ow.div_ceil(tile.x);
    let (x, z) = spread(blocks.div_ceil(tile.lanes / tile.lanes_c));
    let dispatch = sizes.declare(forward("conv2d_register", epilogue, element(sizes.ow, tile.x)));
    tile.declare(dispatch, "TY").workgroups(x, sizes.co.div_ceil(tile.lanes_c * tile.c), z)
}

/// A transposed convolution.
pub(in crate::engine) fn conv_transpose2d(sizes: &Sizes, epilogue: &Epilogue, tile: RegisterTile) -> Dispatch {
    let folded = sizes.fold_taps_into_output();
    let (rows, columns) = (folded.n * folded.oh.div_ceil(folded.sy), folded.ow.div_ceil(folded.sx));
    let blocks = rows.div_ceil(tile.y) * columns.div_ceil(tile.x);
    let (x, z) = spread(blocks.div_ceil(tile.lanes / tile.lanes_c));
    let element = element(folded.ow, tile.x * folded.sx);
    let dispatch = folded.declare(forward("conv_transpose2d_register", epilogue, element));
    let channels = folded.co.div_ceil(tile.lanes_c * tile.c);
    tile.declare(dispatch, "TY").workgroups(x, channels * folded.sy, z)
}

/// A weight gradient, from a launch that binds its tensors.
pub(in crate::engine) fn conv2d_weight_grad(sizes: &Sizes, dispatch: Dispatch, tile: RegisterTile) -> Dispatch {
    let blocks = sizes.ci * sizes.kh.div_ceil(tile.y);
    let channels = sizes.co.div_ceil(tile.lanes_c * tile.c);
    let (x, z) = (blocks.div_ceil(tile.lanes / tile.lanes_c), weight_grad_splits(sizes));
    tile.declare(sizes.declare(dispatch), "TK").workgroups(x, channels, z)
}

/// How many partial sums a weight gradient has: enough workgroups for the cores.
pub(in crate::engine) fn weight_grad_splits(sizes: &Sizes) -> usize {
    if sizes.ci == 1 { sizes.n.min(8) } else { 1 }
}

/// What the columns of an image are stored as, where an invocation owns so many.
fn element(columns: usize, owned: usize) -> &'static str {
    if columns.is_multiple_of(4) && owned.is_multiple_of(4) { "vec4" } else { "single" }
}
