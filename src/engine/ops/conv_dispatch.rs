//! From the geometry of a convolution to its kernels: those there are, tile constants, workgroups.

use std::fmt;

use super::conv_geometry::Geometry;
use super::conv_kernel::{ConvKernel, ConvKind, ConvShape, WorkgroupSides};
use super::conv2d::Epilogue;
use super::kernel::{Dispatch, Slot, Tuning};

/// Most workgroups in one dimension that every adapter allows.
const MOST: usize = 65_535;
/// Invocations in a workgroup of the register kernels: one vector of a CPU driver.
const LANES: usize = 8;

/// Sizes as the kernels name them; `i*` is what the kernel reads, `o*` what it writes.
#[derive(Clone, Copy)]
struct Sizes {
    pub n: usize,
    pub ci: usize,
    pub ih: usize,
    pub iw: usize,
    pub co: usize,
    pub oh: usize,
    pub ow: usize,
    pub kh: usize,
    pub kw: usize,
    pub sy: usize,
    pub sx: usize,
    pub py: usize,
    pub px: usize,
}

impl Sizes {
    /// Of a convolution, from wide to narrow, or of its transpose.
    pub fn new(geometry: &Geometry, transposed: bool) -> Self {
        let (from, to) = if transposed { (geometry.narrow, geometry.wide) } else { (geometry.wide, geometry.narrow) };
        let ([n, ci, ih, iw], [_, co, oh, ow]) = (from, to);
        let ([kh, kw], [sy, sx], [py, px]) = (geometry.kernel, geometry.window.stride, geometry.window.padding);
        Self { n, ci, ih, iw, co, oh, ow, kh, kw, sy, sx, py, px }
    }

    pub fn declare(&self, dispatch: Dispatch) -> Dispatch {
        [
            ("N", self.n),
            ("CI", self.ci),
            ("IH", self.ih),
            ("IW", self.iw),
            ("CO", self.co),
            ("OH", self.oh),
            ("OW", self.ow),
            ("KH", self.kh),
            ("KW", self.kw),
            ("SY", self.sy),
            ("SX", self.sx),
            ("PY", self.py),
            ("PX", self.px),
        ]
        .into_iter()
        .fold(dispatch, |dispatch, (name, value)| dispatch.with(name, value))
    }

    /// The transpose of a single pixel is a matrix product: its taps become output channels.
    fn fold_taps_into_output(self) -> Self {
        let single = [self.ih, self.iw, self.py, self.px, self.kh, self.kw] == [1, 1, 0, 0, self.oh, self.ow];
        if !single {
            return self;
        }
        Self { co: self.co * self.kh * self.kw, oh: 1, ow: 1, kh: 1, kw: 1, sy: 1, sx: 1, ..self }
    }
}

/// The kernels that can compute a convolution: of each variant some, that which is taken unless another was measured to be
/// faster first; and first of all the variant that suits an adapter that is a CPU, if `software`, or a GPU.
pub(crate) fn candidates(shape: &ConvShape, software: bool) -> Vec<ConvKernel> {
    let sizes = Sizes::new(&shape.geometry, shape.kind == ConvKind::Transposed);
    let enough = if shape.macs() < SMALL { 1 } else { ENOUGH };
    let (tiles, columns) = match shape.kind {
        ConvKind::Forward => {
            (Tile::all(sizes.n * sizes.oh, sizes.ow, 1, &sizes, enough), sizes.n * sizes.oh * sizes.ow)
        }
        ConvKind::Transposed => {
            let folded = sizes.fold_taps_into_output();
            let class = |sizes: &Sizes| [sizes.n * sizes.oh.div_ceil(sizes.sy), sizes.ow.div_ceil(sizes.sx)];
            let ([rows, columns], [all_rows, all_columns]) = (class(&folded), class(&sizes));
            (Tile::all(rows, columns, folded.sy, &folded, enough), all_rows * all_columns)
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

/// The kernel of a convolution.
pub(super) fn conv2d(geometry: &Geometry, epilogue: &Epilogue, kernel: ConvKernel) -> Dispatch {
    let sizes = Sizes::new(geometry, false);
    match kernel {
        ConvKernel::Naive => naive(forward("conv2d_naive", epilogue, "single"), &sizes, outputs(&sizes)),
        ConvKernel::Register(tile) => {
            let blocks = (sizes.n * sizes.oh).div_ceil(tile.y) * sizes.ow.div_ceil(tile.x);
            let (x, z) = spread(blocks.div_ceil(LANES / tile.lanes_c));
            let dispatch = sizes.declare(forward("conv2d_register", epilogue, element(sizes.ow, tile.x)));
            tile.declare(dispatch, "TY").workgroups(x, sizes.co.div_ceil(tile.lanes_c * tile.c), z)
        }
        ConvKernel::Tiled(WorkgroupSides(wx, wy)) => {
            let pixels = sizes.n * sizes.oh * sizes.ow;
            let (x, z) = spread(pixels.div_ceil(4 * wx));
            sizes.declare(forward("conv2d_tiled", epilogue, "single")).with("WX", wx).with("WY", wy).workgroups(
                x,
                sizes.co.div_ceil(4 * wy),
                z,
            )
        }
    }
}

/// The kernel of a transposed convolution.
pub(super) fn conv_transpose2d(geometry: &Geometry, epilogue: &Epilogue, kernel: ConvKernel) -> Dispatch {
    let sizes = Sizes::new(geometry, true);
    match kernel {
        ConvKernel::Naive => naive(forward("conv_transpose2d_naive", epilogue, "single"), &sizes, outputs(&sizes)),
        ConvKernel::Register(tile) => {
            let folded = sizes.fold_taps_into_output();
            let span = folded.co / sizes.co.max(1);
            let (rows, columns) = (folded.n * folded.oh.div_ceil(folded.sy), folded.ow.div_ceil(folded.sx));
            let blocks = rows.div_ceil(tile.y) * columns.div_ceil(tile.x);
            let (x, z) = spread(blocks.div_ceil(LANES / tile.lanes_c));
            let dispatch =
                folded.declare(forward("conv_transpose2d_register", epilogue, element(folded.ow, tile.x * folded.sx)));
            let dispatch = dispatch.with("CHANNEL_SPAN", span);
            let channels = folded.co.div_ceil(tile.lanes_c * tile.c);
            tile.declare(dispatch, "TY").workgroups(x, channels * folded.sy, z)
        }
        ConvKernel::Tiled(WorkgroupSides(wx, wy)) => {
            let pixels = sizes.n * sizes.oh.div_ceil(sizes.sy) * sizes.ow.div_ceil(sizes.sx);
            let (x, z) = spread(pixels.div_ceil(4 * wx));
            sizes
                .declare(forward("conv_transpose2d_tiled", epilogue, "single"))
                .with("WX", wx)
                .with("WY", wy)
                .workgroups(x, sizes.co.div_ceil(4 * wy) * sizes.sy * sizes.sx, z)
        }
    }
}

/// The kernels of a convolution's weight gradient: partial sums, and their sum where there are several.
pub(super) fn conv2d_weight_grad(geometry: &Geometry, kernel: ConvKernel, tuning: &Tuning) -> Vec<Dispatch> {
    let sizes = Sizes::new(geometry, false);
    let weights = sizes.co * sizes.ci * sizes.kh * sizes.kw;
    let splits = match kernel {
        ConvKernel::Naive => 1,
        // Enough workgroups for the cores.
        ConvKernel::Register(_) => {
            if sizes.ci == 1 {
                sizes.n.min(8)
            } else {
                1
            }
        }
        // Enough workgroups for a GPU: a part for each image, up to a limit.
        ConvKernel::Tiled(_) => sizes.n.min(16),
    };
    let target = if splits == 1 { Slot::Output(0) } else { Slot::Scratch(splits * weights) };
    let dispatch = |shader| Dispatch::new(shader, &[Slot::Input(0), Slot::Input(1), target]).with("SPLITS", splits);
    let main = match kernel {
        ConvKernel::Naive => naive(dispatch("conv2d_weight_grad_naive"), &sizes, splits * weights),
        ConvKernel::Register(tile) => {
            let blocks = sizes.ci * sizes.kh.div_ceil(tile.y);
            let dispatch = sizes.declare(dispatch("conv2d_weight_grad_register"));
            let channels = sizes.co.div_ceil(tile.lanes_c * tile.c);
            tile.declare(dispatch, "TK").workgroups(blocks.div_ceil(LANES / tile.lanes_c), channels, splits)
        }
        ConvKernel::Tiled(WorkgroupSides(wx, wy)) => {
            let taps = sizes.ci * sizes.kh * sizes.kw;
            sizes.declare(dispatch("conv2d_weight_grad_tiled")).with("WX", wx).with("WY", wy).workgroups(
                taps.div_ceil(4 * wx),
                sizes.co.div_ceil(4 * wy),
                splits,
            )
        }
    };
    let mut dispatches = vec![main];
    if splits > 1 {
        let sum = Dispatch::new("sum_parts", &[Slot::Parts(splits * weights), Slot::Output(0)]).with("PARTS", splits);
        dispatches.push(sum.over(weights, tuning));
    }
    dispatches
}

/// What the columns of an image are stored as, where an invocation owns so many.
fn element(columns: usize, owned: usize) -> &'static str {
    if columns.is_multiple_of(4) && owned.is_multiple_of(4) { "quad" } else { "single" }
}

/// A launch with image, weight, bias, gate, result and what is added bound.
fn forward(shader: &'static str, epilogue: &Epilogue, element: &'static str) -> Dispatch {
    let input = |used: bool, input: usize| if used { Slot::Input(input) } else { Slot::Unused };
    let bias = input(epilogue.bias, 2);
    let added = input(epilogue.adds, epilogue.added_input());
    let gate = input(epilogue.gate.is_some(), epilogue.gate_input());
    let dispatch = Dispatch::new(shader, &[Slot::Input(0), Slot::Input(1), bias, gate, Slot::Output(0), added])
        .with("HAS_BIAS", epilogue.bias)
        .with("ADDS", epilogue.adds)
        .with("GATED", epilogue.gate.is_some());
    // Fusion opens one or the other, never both, so that one activation serves.
    epilogue.gate.unwrap_or(epilogue.activation).declare(dispatch).element(element)
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
fn spread(count: usize) -> (usize, usize) {
    let rows = count.div_ceil(MOST).max(1);
    (count.div_ceil(rows), rows)
}

/// Sides of the workgroup for `rows` x `columns` outputs, of which an invocation owns 4x4: those that should suit, then others.
fn workgroup_sides(rows: usize, columns: usize) -> [WorkgroupSides; 2] {
    let (small, large) = (WorkgroupSides(8, 8), WorkgroupSides(16, 16));
    if rows >= 64 && columns >= 64 * 64 { [large, small] } else { [small, large] }
}

/// What an invocation of a register kernel owns, and how a workgroup's lanes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    /// Rows of outputs; of the kernel in a weight gradient.
    y: usize,
    /// Columns of outputs, of one class in a transposed convolution; pixels a step in a weight gradient.
    x: usize,
    /// Output channels.
    c: usize,
    /// Lanes along the channels; the others lie along pixels, or rows of kernels in a weight gradient.
    lanes_c: usize,
}

/// Pixels of a tile, in order of falling speed.
const PIXELS: [usize; 4] = [8, 4, 16, 1];
/// Products that an invocation adds for each input channel and kernel row, or for each row of outputs in a weight gradient. Software
/// drivers unroll the loops over so many; with more the sums leave the registers, which takes three times as long.
const UNROLLED: usize = 192;
/// Rounds of a loop that such drivers unroll.
const ROUNDS: usize = 32;
/// Workgroups that keep two threads evenly busy.
const ENOUGH: usize = 4;
/// Multiply-accumulates of a convolution that is over before another thread has woken up.
const SMALL: u64 = 1_000_000;

/// Of a weight gradient: rows of kernels, some of each, by as many channels as are unrolled.
fn weight_grad_tiles(sizes: &Sizes) -> Vec<Tile> {
    let x = sizes.ow.min(8);
    let tile = |rows: usize| {
        let y = rows.min(sizes.kh);
        let c = channel_tile(sizes.co, UNROLLED / (rows.max(2) * x * sizes.kw));
        let lanes_c = lanes_along_channels(sizes.ci * sizes.kh.div_ceil(y), sizes.co, c);
        Tile { y, x, c, lanes_c }
    };
    [2, 4, 1].map(tile).into()
}

impl Tile {
    /// For so many rows and columns of outputs: first the fastest that leaves enough workgroups of full lanes, or the smallest if
    /// none does, then the others.
    fn all(rows: usize, columns: usize, classes: usize, sizes: &Sizes, enough: usize) -> Vec<Self> {
        let tile = |pixels: usize| {
            let x = columns.min(8).min(pixels);
            let y = rows.min((pixels / x.next_power_of_two()).max(1));
            let c = channel_tile(sizes.co, UNROLLED / (y * x * sizes.kw));
            let blocks = rows.div_ceil(y) * columns.div_ceil(x);
            let lanes_c = lanes_along_channels(blocks, sizes.co, c);
            let groups = blocks.div_ceil(LANES / lanes_c) * sizes.co.div_ceil(c * lanes_c) * classes;
            (Self { y, x, c, lanes_c }, blocks * sizes.co.div_ceil(c) >= LANES && groups >= enough)
        };
        let tiles = PIXELS.map(tile);
        let first = tiles.iter().position(|&(_, fills)| fills).unwrap_or(tiles.len() - 1);
        let mut tiles = tiles.map(|(tile, _)| tile);
        tiles[..=first].rotate_right(1);
        tiles.into()
    }

    /// Declares the tile, its rows under the name that the kernel has for them.
    fn declare(&self, dispatch: Dispatch, rows: &str) -> Dispatch {
        dispatch
            .with("LANES", LANES)
            .with("LANES_C", self.lanes_c)
            .with(rows, self.y)
            .with("TX", self.x)
            .with("TC", self.c)
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { y, x, c, lanes_c } = self;
        write!(f, "{y}x{x}x{c} lanes {lanes_c}")
    }
}

/// Channels of an invocation: even parts of all, no more than `most` and than a loop that drivers unroll.
fn channel_tile(channels: usize, most: usize) -> usize {
    channels.div_ceil(channels.div_ceil(most.clamp(1, ROUNDS)).max(1)).max(1)
}

/// Lanes along the channels, where blocks of pixels do not fill a workgroup and there are channels
/// to take their place.
fn lanes_along_channels(blocks: usize, co: usize, c: usize) -> usize {
    let wanted = LANES / blocks.next_power_of_two().min(LANES);
    wanted.min(co.div_ceil(c).next_power_of_two())
}
