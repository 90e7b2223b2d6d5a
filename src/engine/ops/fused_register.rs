use super::kernel::Dispatch;
use crate::engine::fused::{Piece, PlannedLayer, Source};

/// Sums that an invocation holds at most, in quads: more leave the registers of a CPU.
const MOST_SUMS: usize = 8;

/// How a workgroup shares a piece in `fused_score_register`: its lanes own positions, rows and quads of columns, and sum so many
/// positions and quads each at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    position_lanes: usize,
    row_lanes: usize,
    quad_lanes: usize,
    positions: usize,
    quads: usize,
}

impl Tile {
    /// The tile that should take the shortest time for so many images; none for a piece that does not divide into quads
    /// everywhere. Sums are taken in an order that does not depend on the number of images.
    pub fn of(planned: &PlannedLayer, piece: &Piece, images: usize, lanes: usize) -> Option<Self> {
        if !in_quads(planned, piece) {
            return None;
        }
        let fastest = |images: usize, row_lanes: Option<usize>| {
            let sizes = [images * piece.grid[0] * piece.grid[1], piece.rows / 4, piece.columns / 4];
            let tiles = Self::all(sizes, lanes).filter(|tile| row_lanes.is_none_or(|lanes| tile.row_lanes == lanes));
            tiles.min_by_key(|tile| tile.nanoseconds(planned.from, sizes))
        };
        fastest(images, Some(fastest(1, None)?.row_lanes))
    }

    /// All that divide so many positions, quads of rows and quads of columns.
    fn all([grid, steps, columns]: [usize; 3], lanes: usize) -> impl Iterator<Item = Self> {
        let mut tiles = Vec::new();
        // Of equals the first counts, whose lanes own more positions: they share weights.
        for position_lanes in divisors(lanes).rev().filter(|&n| grid.is_multiple_of(n)) {
            for row_lanes in divisors(lanes / position_lanes).filter(|&n| steps.is_multiple_of(n)) {
                let quad_lanes = lanes / position_lanes / row_lanes;
                for positions in divisors(grid / position_lanes) {
                    for quads in divisors(columns / quad_lanes).filter(|_| columns.is_multiple_of(quad_lanes)) {
                        tiles.push(Self { position_lanes, row_lanes, quad_lanes, positions, quads });
                    }
                }
            }
        }
        tiles.into_iter().filter(|tile| tile.positions * tile.quads <= MOST_SUMS)
    }

    /// About what llvmpipe takes for a piece of so many positions, quads of rows and quads of columns: a load is a loop over
    /// lanes, arithmetic is not.
    fn nanoseconds(&self, from: Source, [grid, steps, columns]: [usize; 3]) -> usize {
        let (sums, load) = (self.positions * self.quads, if let Source::Memory(_) = from { 16 } else { 25 });
        let step = 10 + load * self.positions + 4 * 6 * self.quads + 11 * sums;
        let end = sums * (23 + 4 * 2 * self.row_lanes.ilog2() as usize);
        let rounds = grid / (self.position_lanes * self.positions) * (columns / (self.quad_lanes * self.quads));
        rounds * (20 + steps / self.row_lanes * step + end)
    }

    /// Adds the kernel of the piece of a number, whose constants are declared.
    pub fn instance(&self, dispatch: Dispatch, number: usize) -> Dispatch {
        let name = |constant: &str| format!("P{number}_{constant}");
        dispatch
            .with(&name("LP"), self.position_lanes)
            .with(&name("LR"), self.row_lanes)
            .with(&name("LQ"), self.quad_lanes)
            .with(&name("TP"), self.positions)
            .with(&name("TQ"), self.quads)
            .part("fused_register", number)
    }
}

fn divisors(n: usize) -> impl DoubleEndedIterator<Item = usize> {
    (1..=n).filter(move |&divisor| n.is_multiple_of(divisor))
}

/// Whether all that a piece reads or writes lies in whole quads, and no window reaches into padding.
fn in_quads(planned: &PlannedLayer, piece: &Piece) -> bool {
    let layer = &planned.layer;
    let ([inputs, height, width], outputs) = (layer.input, layer.output[0]);
    let inside = |axis: usize| {
        let last = (piece.grid[axis] - 1) * piece.stride + piece.window[axis];
        piece.padding[axis] == 0 && last <= [height, width][axis]
    };
    let flat = |place: Source, channels: usize| match place {
        Source::Memory(start) => start.is_multiple_of(4),
        // Channels of an image lie apart.
        Source::Image | Source::Reconstruction => channels == 1,
    };
    // Whole runs of columns make whole rows of output, too.
    let lengths = [
        piece.window[1] * inputs,
        // No second position, no step to it.
        if piece.grid[1] == 1 { 0 } else { piece.stride * inputs },
        width * inputs,
        piece.spread * outputs,
    ];
    layer.norm.is_none()
        && piece.rows > 0
        && inside(0)
        && inside(1)
        && flat(planned.from, inputs)
        && flat(planned.to, outputs)
        && (outputs == 1 || outputs.is_multiple_of(4))
        && lengths.iter().all(|length| length.is_multiple_of(4))
}
