//! Tiles of the register kernels, which are there for adapters that are CPUs, and for layers of few channels on GPUs.

use std::fmt;

use super::WIDTH;
use crate::engine::conv::{ConvKind, Sizes};
use crate::engine::kernel::Dispatch;

/// Invocations in a workgroup of the register kernels on a CPU: one of its vectors.
const LANES: usize = WIDTH as usize;

/// What an invocation of a register kernel owns, and how a workgroup's lanes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegisterTile {
    /// Rows of outputs; of the kernel in a weight gradient.
    pub(super) y: usize,
    /// Columns of outputs, of one class in a transposed convolution; pixels a step in a weight gradient.
    pub(super) x: usize,
    /// Output channels.
    pub(super) c: usize,
    /// Lanes along the channels; the others lie along pixels, or rows of kernels in a weight gradient.
    pub(super) lanes_c: usize,
    /// Lanes in all, of each slice.
    pub(super) lanes: usize,
    /// Slices that a workgroup cuts the input channels into.
    slices: usize,
}

/// Pixels of a tile, in order of falling speed.
const PIXELS: [usize; 4] = [8, 4, 16, 1];
/// Products that an invocation adds for each input channel and kernel row, or for each row of outputs in a weight
/// gradient. Software drivers unroll the loops over so many; with more the sums leave the registers, which takes three
/// times as long.
const UNROLLED: usize = 192;
/// Rounds of a loop that such drivers unroll.
const ROUNDS: usize = 32;
/// Output channels, so few that they fill no tile of a GPU's workgroup. An invocation owns them all.
pub(in crate::engine) const FEW_CHANNELS: usize = 4;
/// Workgroups that keep two threads evenly busy.
const MIN_WORKGROUPS: usize = 4;
/// Multiply-accumulates of a convolution that is over before another thread has woken up.
const MAX_MACS_OF_ONE_THREAD: u64 = 1_000_000;

/// Of a weight gradient: rows of kernels, some of each, by as many channels as are unrolled.
fn weight_grad_tiles(sizes: &Sizes) -> Vec<RegisterTile> {
    let x = sizes.ow.min(8);
    let tile = |rows: usize| {
        let y = rows.min(sizes.kh);
        let c = channel_tile(sizes.co, UNROLLED / (rows.max(2) * x * sizes.kw));
        let lanes_c = lanes_along_channels(sizes.ci * sizes.kh.div_ceil(y), sizes.co, c);
        RegisterTile { y, x, c, lanes_c, lanes: LANES, slices: 1 }
    };
    [2, 4, 1].map(tile).into()
}

impl RegisterTile {
    /// For a convolution of so many multiply-accumulates: the fastest first.
    pub(in crate::engine) fn candidates(kind: ConvKind, sizes: &Sizes, macs: u64) -> Vec<Self> {
        let enough = if macs < MAX_MACS_OF_ONE_THREAD { 1 } else { MIN_WORKGROUPS };
        match kind {
            ConvKind::Forward => Self::all(sizes.n * sizes.oh, sizes.ow, 1, sizes, enough),
            ConvKind::Transposed => {
                let folded = sizes.fold_taps_into_output();
                let (rows, columns) = (folded.n * folded.oh.div_ceil(folded.sy), folded.ow.div_ceil(folded.sx));
                Self::all(rows, columns, folded.sy, &folded, enough)
            }
            ConvKind::WeightGradient => weight_grad_tiles(sizes),
        }
    }

    /// For a GPU, by the lanes of its workgroups: few sums an invocation. Where there are too few outputs for a GPU, slices of a
    /// workgroup share the input channels.
    pub(in crate::engine) fn on_gpu(kind: ConvKind, sizes: &Sizes, width: usize) -> Vec<Self> {
        /// Invocations that keep a large GPU busy while others wait for memory.
        const ENOUGH: usize = 1 << 16;
        /// Input channels that are worth a slice.
        const MIN_CHANNELS: usize = 4;
        let (rows, columns) = match kind {
            ConvKind::Forward => (sizes.n * sizes.oh, sizes.ow),
            ConvKind::Transposed => (sizes.n * sizes.oh.next_multiple_of(sizes.sy), sizes.ow.div_ceil(sizes.sx)),
            ConvKind::WeightGradient => return weight_grad_tiles(sizes),
        };
        let tile = |x: usize| {
            let (x, c) = (x.min(columns), channel_tile(sizes.co, FEW_CHANNELS));
            let owners = rows * columns.div_ceil(x) * sizes.co.div_ceil(c);
            let slices = ENOUGH.div_ceil(owners).min(sizes.ci / MIN_CHANNELS).clamp(1, width);
            let slices = 1 << slices.ilog2();
            Self { y: 1, x, c, lanes_c: 1, lanes: width / slices, slices }
        };
        [2, 4, 1].map(tile).into()
    }

    /// For so many rows and columns of outputs: first the fastest that leaves enough workgroups of full lanes, or the
    /// smallest if none does, then the others.
    fn all(rows: usize, columns: usize, classes: usize, sizes: &Sizes, enough: usize) -> Vec<Self> {
        let tile = |pixels: usize| {
            let x = columns.min(8).min(pixels);
            let y = rows.min((pixels / x.next_power_of_two()).max(1));
            let c = channel_tile(sizes.co, UNROLLED / (y * x * sizes.kw));
            let blocks = rows.div_ceil(y) * columns.div_ceil(x);
            let lanes_c = lanes_along_channels(blocks, sizes.co, c);
            let groups = blocks.div_ceil(LANES / lanes_c) * sizes.co.div_ceil(c * lanes_c) * classes;
            (
                Self { y, x, c, lanes_c, lanes: LANES, slices: 1 },
                blocks * sizes.co.div_ceil(c) >= LANES && groups >= enough,
            )
        };
        let tiles = PIXELS.map(tile);
        let first = tiles.iter().position(|&(_, fills)| fills).unwrap_or(tiles.len() - 1);
        let mut tiles = tiles.map(|(tile, _)| tile);
        tiles[..=first].rotate_right(1);
        tiles.into()
    }

    /// Declares the tile, its rows under the name that the kernel has for them.
    pub(super) fn declare(&self, dispatch: Dispatch, rows: &str) -> Dispatch {
        dispatch
            .with("LANES", self.lanes)
            .with("SLICES", self.slices)
            // As of the small tiles.
            .with("STAGED", 8usize)
            .with("LANES_C", self.lanes_c)
            .with(rows, self.y)
            .with("TX", self.x)
            .with("TC", self.c)
    }
}

impl fmt::Display for RegisterTile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { y, x, c, lanes_c, slices, .. } = self;
        write!(f, "{y}x{x}x{c} lanes {lanes_c}")?;
        if *slices > 1 { write!(f, " slices {slices}") } else { Ok(()) }
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
