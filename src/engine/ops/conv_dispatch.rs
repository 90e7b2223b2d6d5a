//! From the geometry of a convolution to its kernels: variant, tile constants, workgroups.

use super::conv_geometry::Geometry;
use super::conv2d::Epilogue;
use super::kernel::{ConvVariant, Dispatch, Slot, Tuning};

/// Most workgroups in one dimension that every adapter allows.
const MOST: usize = 65_535;
/// Invocations in a workgroup of the register kernels: one vector of a CPU driver.
const LANES: usize = 8;

/// Sizes as the kernels name them; `i*` is what the kernel reads, `o*` what it writes.
#[derive(Clone, Copy)]
struct Sizes {
    n: usize,
    ci: usize,
    ih: usize,
    iw: usize,
    co: usize,
    oh: usize,
    ow: usize,
    kh: usize,
    kw: usize,
    sy: usize,
    sx: usize,
    py: usize,
    px: usize,
}

impl Sizes {
    /// Of a convolution, from wide to narrow, or of its transpose.
    fn new(geometry: &Geometry, transposed: bool) -> Self {
        let (from, to) =
            if transposed { (geometry.narrow, geometry.wide) } else { (geometry.wide, geometry.narrow) };
        let ([n, ci, ih, iw], [_, co, oh, ow]) = (from, to);
        let ([kh, kw], [sy, sx], [py, px]) = (geometry.kernel, geometry.window.stride, geometry.window.padding);
        Self { n, ci, ih, iw, co, oh, ow, kh, kw, sy, sx, py, px }
    }

    fn declare(&self, dispatch: Dispatch) -> Dispatch {
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

    /// A kernel that covers its whole input makes a matrix product: its taps become input channels.
    fn fold_taps_into_input(self) -> Self {
        let whole = [self.oh, self.ow, self.py, self.px, self.kh, self.kw] == [1, 1, 0, 0, self.ih, self.iw];
        if !whole {
            return self;
        }
        Self { ci: self.ci * self.kh * self.kw, ih: 1, iw: 1, kh: 1, kw: 1, sy: 1, sx: 1, ..self }
    }

    /// So does the transpose of a single pixel: its taps become output channels.
    fn fold_taps_into_output(self) -> Self {
        let single = [self.ih, self.iw, self.py, self.px, self.kh, self.kw] == [1, 1, 0, 0, self.oh, self.ow];
        if !single {
            return self;
        }
        Self { co: self.co * self.kh * self.kw, oh: 1, ow: 1, kh: 1, kw: 1, sy: 1, sx: 1, ..self }
    }
}

/// The kernel of a convolution.
pub(super) fn conv2d(geometry: &Geometry, epilogue: &Epilogue, tuning: &Tuning) -> Dispatch {
    let sizes = Sizes::new(geometry, false);
    match tuning.convolution {
        ConvVariant::Naive => naive(forward("conv2d_naive", epilogue), &sizes, outputs(&sizes)),
        ConvVariant::Register => {
            let sizes = sizes.fold_taps_into_input();
            let (columns, channels) = (sizes.ow.min(8), channel_tile(sizes.co, 16));
            let (x, z) = spread((sizes.n * sizes.oh * sizes.ow.div_ceil(columns)).div_ceil(LANES));
            sizes
                .declare(forward("conv2d_register", epilogue))
                .with("LANES", LANES)
                .with("TY", 1u32)
                .with("TX", columns)
                .with("TC", channels)
                .with("CHANNEL_SPAN", 1u32)
                .workgroups(x, sizes.co.div_ceil(channels), z)
        }
        ConvVariant::Tiled => {
            let pixels = sizes.n * sizes.oh * sizes.ow;
            let (wx, wy) = workgroup_sides(sizes.co, pixels);
            let (x, z) = spread(pixels.div_ceil(4 * wx));
            sizes
                .declare(forward("conv2d_tiled", epilogue))
                .with("WX", wx)
                .with("WY", wy)
                .workgroups(x, sizes.co.div_ceil(4 * wy), z)
        }
    }
}

/// The kernel of a transposed convolution.
pub(super) fn conv_transpose2d(geometry: &Geometry, epilogue: &Epilogue, tuning: &Tuning) -> Dispatch {
    let sizes = Sizes::new(geometry, true);
    match tuning.convolution {
        ConvVariant::Naive => naive(forward("conv_transpose2d_naive", epilogue), &sizes, outputs(&sizes)),
        ConvVariant::Register => {
            let folded = sizes.fold_taps_into_output();
            let span = folded.co / sizes.co.max(1);
            let (columns, channels) = (folded.ow.div_ceil(folded.sx).min(8), channel_tile(folded.co, 16));
            let rows = folded.oh.div_ceil(folded.sy);
            let (x, z) =
                spread((folded.n * rows * folded.ow.div_ceil(folded.sx * columns)).div_ceil(LANES));
            folded
                .declare(forward("conv_transpose2d_register", epilogue))
                .with("LANES", LANES)
                .with("TY", 1u32)
                .with("TX", columns)
                .with("TC", channels)
                .with("CHANNEL_SPAN", span)
                .workgroups(x, folded.co.div_ceil(channels) * folded.sy, z)
        }
        ConvVariant::Tiled => {
            let pixels = sizes.n * sizes.oh.div_ceil(sizes.sy) * sizes.ow.div_ceil(sizes.sx);
            let (wx, wy) = workgroup_sides(sizes.co, pixels);
            let (x, z) = spread(pixels.div_ceil(4 * wx));
            sizes
                .declare(forward("conv_transpose2d_tiled", epilogue))
                .with("WX", wx)
                .with("WY", wy)
                .workgroups(x, sizes.co.div_ceil(4 * wy) * sizes.sy * sizes.sx, z)
        }
    }
}

/// The kernels of a convolution's weight gradient: partial sums, and their sum where there are several.
pub(super) fn conv2d_weight_grad(geometry: &Geometry, tuning: &Tuning) -> Vec<Dispatch> {
    let sizes = Sizes::new(geometry, false);
    let weights = sizes.co * sizes.ci * sizes.kh * sizes.kw;
    let splits = match tuning.convolution {
        ConvVariant::Naive => 1,
        // Enough workgroups for the cores.
        ConvVariant::Register => {
            if sizes.ci == 1 {
                sizes.n.min(8)
            } else {
                1
            }
        }
        // Enough workgroups for a GPU: a part for each image, up to a limit.
        ConvVariant::Tiled => sizes.n.min(16),
    };
    let target = if splits == 1 { Slot::Output(0) } else { Slot::Scratch(splits * weights) };
    let dispatch = |shader| Dispatch::new(shader, &[Slot::Input(0), Slot::Input(1), target]).with("SPLITS", splits);
    let main = match tuning.convolution {
        ConvVariant::Naive => naive(dispatch("conv2d_weight_grad_naive"), &sizes, splits * weights),
        ConvVariant::Register => {
            let rows = if sizes.ci == 1 { 1 } else { sizes.kh.min(4) };
            let channels = channel_tile(sizes.co, 16);
            sizes
                .declare(dispatch("conv2d_weight_grad_register"))
                .with("LANES", LANES)
                .with("TK", rows)
                .with("TX", sizes.ow.min(2))
                .with("TC", channels)
                .workgroups((sizes.ci * sizes.kh.div_ceil(rows)).div_ceil(LANES), sizes.co.div_ceil(channels), splits)
        }
        ConvVariant::Tiled => {
            let taps = sizes.ci * sizes.kh * sizes.kw;
            let (wx, wy) = workgroup_sides(sizes.co, taps);
            sizes
                .declare(dispatch("conv2d_weight_grad_tiled"))
                .with("WX", wx)
                .with("WY", wy)
                .workgroups(taps.div_ceil(4 * wx), sizes.co.div_ceil(4 * wy), splits)
        }
    };
    let mut dispatches = vec![main];
    if splits > 1 {
        let sum = Dispatch::new("sum_parts", &[Slot::Parts(splits * weights), Slot::Output(0)]).with("PARTS", splits);
        dispatches.push(sum.over(weights, tuning));
    }
    dispatches
}

/// A launch with image, weight, bias, gate and result bound.
fn forward(shader: &'static str, epilogue: &Epilogue) -> Dispatch {
    let bias = if epilogue.bias { Slot::Input(2) } else { Slot::Unused };
    let gate = match epilogue.gate {
        Some(_) => Slot::Input(2 + usize::from(epilogue.bias)),
        None => Slot::Unused,
    };
    let dispatch = Dispatch::new(shader, &[Slot::Input(0), Slot::Input(1), bias, gate, Slot::Output(0)])
        .with("HAS_BIAS", epilogue.bias)
        .with("GATED", epilogue.gate.is_some());
    // Fusion opens one or the other, never both, so that one activation serves.
    epilogue.gate.unwrap_or(epilogue.activation).declare(dispatch)
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

/// Sides of the workgroup for `rows` x `columns` outputs, of which an invocation owns 4x4.
fn workgroup_sides(rows: usize, columns: usize) -> (usize, usize) {
    if rows >= 64 && columns >= 64 * 64 { (16, 16) } else { (8, 8) }
}

/// Channels of an invocation: `most` where there are that many, else the largest divisor above half of it.
fn channel_tile(channels: usize, most: usize) -> usize {
    let most = most.min(channels);
    (most / 2 + 1..=most).rev().find(|tile| channels % tile == 0).unwrap_or(most)
}
