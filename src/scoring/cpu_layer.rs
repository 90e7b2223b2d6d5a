//! A layer of the CPU scoring path. Everything here is inlined into one function, compiled for the vectors that the processor
//! has.

use pulp::Simd;

use super::tanh::tanh;
use crate::engine::{Activation, Piece, PlannedLayer};

/// Activations `[H, W, C]` with a border of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bordered {
    pub channels: usize,
    height: usize,
    width: usize,
    /// Rows above, below, and columns to the left and right.
    above: usize,
    below: usize,
    left: usize,
    right: usize,
}

impl Bordered {
    /// `[C, H, W]` without a border.
    pub fn without([channels, height, width]: [usize; 3]) -> Self {
        Self { channels, height, width, above: 0, below: 0, left: 0, right: 0 }
    }

    /// A layer's input, with the border that its windows reach into.
    pub fn read_by(planned: &PlannedLayer) -> Self {
        let input = Self::without(planned.layer.input);
        planned.pieces.iter().fold(input, |input, piece| {
            let [before, after] = [0, 1].map(|side| {
                [0, 1].map(|axis| {
                    let size = [input.height, input.width][axis] as isize;
                    let end = ((piece.grid[axis] - 1) * piece.stride + piece.window[axis]) as isize;
                    let out = if side == 0 { piece.padding[axis] } else { end - piece.padding[axis] - size };
                    out.max(0) as usize
                })
            });
            Self {
                above: input.above.max(before[0]),
                left: input.left.max(before[1]),
                below: input.below.max(after[0]),
                right: input.right.max(after[1]),
                ..input
            }
        })
    }

    /// Numbers in all.
    pub fn len(&self) -> usize {
        (self.above + self.height + self.below) * self.row()
    }

    /// Numbers of a row.
    fn row(&self) -> usize {
        (self.left + self.width + self.right) * self.channels
    }

    /// Where a pixel starts.
    fn at(&self, y: usize, x: usize) -> usize {
        (y + self.above) * self.row() + (x + self.left) * self.channels
    }

    /// Sets the inside from `[C, H, W]`.
    #[inline(always)]
    pub fn fill(&self, inside: &mut [f32], planes: &[f32]) {
        for (channel, plane) in planes.chunks_exact(self.height * self.width).enumerate() {
            for (y, row) in plane.chunks_exact(self.width).enumerate() {
                let pixels = inside[self.at(y, 0)..][..self.width * self.channels].chunks_exact_mut(self.channels);
                pixels.zip(row).for_each(|(pixel, &v)| pixel[channel] = v);
            }
        }
    }

    /// Copies the inside to `[C, H, W]`.
    pub fn take(&self, inside: &[f32], planes: &mut [f32]) {
        for (channel, plane) in planes.chunks_exact_mut(self.height * self.width).enumerate() {
            for (y, row) in plane.chunks_exact_mut(self.width).enumerate() {
                let pixels = inside[self.at(y, 0)..][..self.width * self.channels].chunks_exact(self.channels);
                pixels.zip(row).for_each(|(pixel, v)| *v = pixel[channel]);
            }
        }
    }
}

/// A layer with its weights.
pub(super) struct CpuLayer {
    pub input: Bordered,
    pub output: Bordered,
    pieces: Vec<CpuPiece>,
    activation: Activation,
    norm: Option<Norm>,
}

struct Norm {
    epsilon: f32,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

struct CpuPiece {
    piece: Piece,
    matrix: Vec<f32>,
    /// Columns of the matrix, those that pad it included.
    columns: usize,
    /// A bias for each column.
    bias: Vec<f32>,
    /// What is done to a sum before it is stored; norms come later.
    activation: Activation,
}

impl CpuLayer {
    pub fn new(planned: &PlannedLayer, weights: &[f32], input: Bordered, output: Bordered) -> Self {
        let channels = planned.layer.output[0];
        let vector = |start: usize| weights[start..][..channels].to_vec();
        let (norm, activation) = match planned.layer.norm {
            Some(epsilon) => {
                let (scale, shift) = (vector(planned.bias), vector(planned.bias + planned.padded_channels()));
                (Some(Norm { epsilon, scale, shift }), Activation::Identity)
            }
            None => (None, planned.layer.activation),
        };
        let pieces = planned.pieces.iter().map(|piece| {
            let columns = piece.columns.next_multiple_of(LANES);
            let mut matrix = vec![0.0; piece.rows * columns];
            let packed = weights[piece.weights..][..piece.matrix_len()].chunks_exact(piece.padded_columns());
            for (row, packed) in matrix.chunks_exact_mut(columns).zip(packed) {
                row[..piece.columns].copy_from_slice(&packed[..piece.columns]);
            }
            let column = |column: usize| match norm {
                None if column < piece.columns => weights[planned.bias + column % channels],
                _ => 0.0,
            };
            CpuPiece { matrix, bias: (0..columns).map(column).collect(), columns, activation, piece: piece.clone() }
        });
        let pieces = pieces.collect();
        Self { input, output, pieces, activation: planned.layer.activation, norm }
    }

    /// Numbers that it needs room for beside input and output.
    pub fn sums(&self) -> usize {
        let columns = self.pieces.iter().map(|piece| MOST_PIXELS * piece.columns).max().unwrap_or(0);
        columns.max(2 * self.output.channels)
    }

    #[inline(always)]
    pub fn run<S: Simd>(&self, simd: S, input: &[f32], output: &mut [f32], sums: &mut [f32]) {
        for piece in &self.pieces {
            // Enough sums at once that each has time to finish before it is added to again.
            if piece.columns <= S::F32_LANES {
                self.positions::<S, MOST_PIXELS>(simd, piece, input, output, sums);
            } else {
                self.positions::<S, PIXELS>(simd, piece, input, output, sums);
            }
        }
        if let Some(norm) = &self.norm {
            self.normalise(norm, output, sums);
        }
    }

    /// All positions of a piece, `P` neighbours of a row at a time where there are as many.
    #[inline(always)]
    fn positions<S: Simd, const P: usize>(
        &self,
        simd: S,
        piece: &CpuPiece,
        input: &[f32],
        output: &mut [f32],
        sums: &mut [f32],
    ) {
        let [rows, columns] = piece.piece.grid;
        for gy in 0..rows {
            let mut gx = 0;
            while gx + P <= columns {
                self.neighbours::<S, P>(simd, piece, [gy, gx], input, output, sums);
                gx += P;
            }
            while gx < columns {
                self.neighbours::<S, 1>(simd, piece, [gy, gx], input, output, sums);
                gx += 1;
            }
        }
    }

    #[inline(always)]
    fn neighbours<S: Simd, const P: usize>(
        &self,
        simd: S,
        piece: &CpuPiece,
        [gy, gx]: [usize; 2],
        input: &[f32],
        output: &mut [f32],
        sums: &mut [f32],
    ) {
        let Piece { step, offset, spread, stride, padding, columns: real, .. } = piece.piece;
        let start = |p: usize| {
            let y = (gy * stride + self.input.above) as isize - padding[0];
            let x = ((gx + p) * stride + self.input.left) as isize - padding[1];
            y as usize * self.input.row() + x as usize * self.input.channels
        };
        let mut starts = [0; P];
        for (p, at) in starts.iter_mut().enumerate() {
            *at = start(p);
        }
        let vectors = piece.columns / S::F32_LANES;
        let mut first = 0;
        while first < vectors {
            first += match vectors - first {
                8.. if P == 1 => self.block::<S, P, 8>(simd, piece, &starts, first, input, sums),
                6.. if P == 1 => self.block::<S, P, 6>(simd, piece, &starts, first, input, sums),
                4.. if P == 1 => self.block::<S, P, 4>(simd, piece, &starts, first, input, sums),
                2.. if P <= PIXELS => self.block::<S, P, 2>(simd, piece, &starts, first, input, sums),
                _ => self.block::<S, P, 1>(simd, piece, &starts, first, input, sums),
            };
        }
        activate(piece.activation, &mut sums[..P * piece.columns]);
        let segment = real / spread;
        for p in 0..P {
            let sums = &sums[p * piece.columns..][..real];
            for (sy, sums) in sums.chunks_exact(segment).enumerate() {
                let at = self.output.at(gy * step + offset[0] + sy, (gx + p) * step + offset[1]);
                copy(&mut output[at..][..segment], sums);
            }
        }
    }

    /// `V` vectors of columns of `P` positions, from vector `first` on; returns `V`.
    #[inline(always)]
    fn block<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        piece: &CpuPiece,
        starts: &[usize; P],
        first: usize,
        input: &[f32],
        sums: &mut [f32],
    ) -> usize {
        let vectors = piece.columns / S::F32_LANES;
        let (bias, _) = S::as_simd_f32s(&piece.bias);
        let mut held = [*part::<_, V>(&bias[first..]); P];
        // The pixels of a row of the window lie together.
        let len = piece.piece.window[1] * self.input.channels;
        // A window without pixels lies anywhere.
        let window = if len == 0 { 0 } else { piece.piece.window[0] };
        let (matrix, _) = S::as_simd_f32s(&piece.matrix);
        for ky in 0..window {
            let mut pixels: [&[f32]; P] = [&[]; P];
            for (pixels, start) in pixels.iter_mut().zip(starts) {
                *pixels = &input[start + ky * self.input.row()..][..len];
            }
            let rows = matrix[ky * len * vectors..][..len * vectors].chunks_exact(vectors);
            for (index, row) in rows.enumerate() {
                let weights: &[S::f32s; V] = part(&row[first..]);
                for p in 0..P {
                    let value = simd.splat_f32s(pixels[p][index]);
                    for v in 0..V {
                        held[p][v] = simd.mul_add_e_f32s(value, weights[v], held[p][v]);
                    }
                }
            }
        }
        let (sums, _) = S::as_mut_simd_f32s(sums);
        for (p, held) in held.iter().enumerate() {
            sums[p * vectors + first..][..V].copy_from_slice(held);
        }
        V
    }

    /// The norm of each channel by its own statistics, then the activation.
    #[inline(always)]
    fn normalise(&self, norm: &Norm, output: &mut [f32], sums: &mut [f32]) {
        let Bordered { channels, height, width, .. } = self.output;
        let pixels = (height * width) as f32;
        let (factors, rest) = sums.split_at_mut(channels);
        let offsets = &mut rest[..channels];
        let rows = (0..height).map(|y| self.output.at(y, 0)..self.output.at(y, 0) + width * channels);
        // Means first, in place of the offsets.
        offsets.fill(0.0);
        for pixel in rows.clone().flat_map(|row| output[row].chunks_exact(channels)) {
            offsets.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += v);
        }
        offsets.iter_mut().for_each(|sum| *sum /= pixels);
        factors.fill(0.0);
        for pixel in rows.clone().flat_map(|row| output[row].chunks_exact(channels)) {
            let pairs = pixel.iter().zip(offsets.iter());
            factors.iter_mut().zip(pairs).for_each(|(sum, (&v, &mean))| *sum += (v - mean) * (v - mean));
        }
        for ((factor, offset), (scale, shift)) in
            factors.iter_mut().zip(offsets.iter_mut()).zip(norm.scale.iter().zip(&norm.shift))
        {
            *factor = scale / (*factor / pixels + norm.epsilon).sqrt();
            *offset = shift - *offset * *factor;
        }
        for row in rows {
            for pixel in output[row.clone()].chunks_exact_mut(channels) {
                let pairs = factors.iter().zip(offsets.iter());
                pixel.iter_mut().zip(pairs).for_each(|(v, (&factor, &offset))| *v = *v * factor + offset);
            }
            activate(self.activation, &mut output[row]);
        }
    }
}

/// Positions of a row that share each load of weights, and where a position has a single vector of columns.
const PIXELS: usize = 4;
const MOST_PIXELS: usize = 8;

/// Columns are padded to whole vectors of this many: the longest that any processor is given.
const LANES: usize = 8;

/// The first `N` of at least as many.
#[inline(always)]
fn part<T, const N: usize>(all: &[T]) -> &[T; N] {
    match all.first_chunk() {
        Some(part) => part,
        None => unreachable!("blocks are chosen to fit"),
    }
}

/// Copies few numbers faster than a call of `memcpy` would.
#[inline(always)]
fn copy(to: &mut [f32], from: &[f32]) {
    let (to, to_rest) = to.as_chunks_mut::<4>();
    let (from, from_rest) = from.as_chunks::<4>();
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    to_rest.iter_mut().zip(from_rest).for_each(|(to, from)| *to = *from);
}

#[inline(always)]
fn activate(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Identity => {}
        Activation::Relu => values.iter_mut().for_each(|v| *v = if *v < 0.0 { 0.0 } else { *v }),
        Activation::LeakyRelu(slope) => values.iter_mut().for_each(|v| *v = if *v > 0.0 { *v } else { slope * *v }),
        Activation::Tanh => values.iter_mut().for_each(|v| *v = tanh(*v)),
        Activation::Sigmoid => values.iter_mut().for_each(|v| *v = 1.0 / (1.0 + (-*v).exp())),
    }
}
