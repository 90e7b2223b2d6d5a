//! A layer of the CPU scoring path. Everything here is inlined into one function, compiled for the vectors that the processor
//! has.

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
            let column = |column: usize| match norm {
                None if column < piece.columns => weights[planned.bias + column % channels],
                _ => 0.0,
            };
            CpuPiece {
                matrix: weights[piece.weights..][..piece.matrix_len()].to_vec(),
                bias: (0..piece.padded_columns()).map(column).collect(),
                activation,
                piece: piece.clone(),
            }
        });
        let pieces = pieces.collect();
        Self { input, output, pieces, activation: planned.layer.activation, norm }
    }

    /// Numbers that it needs room for beside input and output.
    pub fn sums(&self) -> usize {
        let columns = self.pieces.iter().map(|piece| PIXELS * piece.piece.padded_columns()).max().unwrap_or(0);
        columns.max(2 * self.output.channels)
    }

    #[inline(always)]
    pub fn run<const FMA: bool>(&self, input: &[f32], output: &mut [f32], sums: &mut [f32]) {
        for piece in &self.pieces {
            let [rows, columns] = piece.piece.grid;
            for gy in 0..rows {
                let mut gx = 0;
                while gx + PIXELS <= columns {
                    self.positions::<PIXELS, FMA>(piece, [gy, gx], input, output, sums);
                    gx += PIXELS;
                }
                while gx < columns {
                    self.positions::<1, FMA>(piece, [gy, gx], input, output, sums);
                    gx += 1;
                }
            }
        }
        if let Some(norm) = &self.norm {
            self.normalise(norm, output, sums);
        }
    }

    /// Neighbouring positions of a row of the grid.
    #[inline(always)]
    fn positions<const P: usize, const FMA: bool>(
        &self,
        piece: &CpuPiece,
        [gy, gx]: [usize; 2],
        input: &[f32],
        output: &mut [f32],
        sums: &mut [f32],
    ) {
        let columns = piece.piece.padded_columns();
        let start = |p: usize| {
            let [y, x] = [gy, gx + p].map(|at| (at * piece.piece.stride) as isize);
            let [above, left] = [self.input.above, self.input.left].map(|border| border as isize);
            let (y, x) = (y - piece.piece.padding[0] + above, x - piece.piece.padding[1] + left);
            y as usize * self.input.row() + x as usize * self.input.channels
        };
        let starts: [usize; P] = std::array::from_fn(start);
        let mut column = 0;
        while column < columns {
            let left = columns - column;
            let width = match left {
                32.. if P == 1 => self.block::<P, 32, FMA>(piece, starts, column, input, sums),
                16.. => self.block::<P, 16, FMA>(piece, starts, column, input, sums),
                8.. => self.block::<P, 8, FMA>(piece, starts, column, input, sums),
                _ => self.block::<P, 4, FMA>(piece, starts, column, input, sums),
            };
            column += width;
        }
        let Piece { step, offset, spread, columns: real, .. } = piece.piece;
        let segment = real / spread;
        for p in 0..P {
            let sums = &sums[p * columns..][..real];
            for (sy, sums) in sums.chunks_exact(segment).enumerate() {
                let at = self.output.at(gy * step + offset[0] + sy, (gx + p) * step + offset[1]);
                copy(&mut output[at..][..segment], sums);
            }
        }
    }

    /// `L` columns of `P` positions, from `column` on; returns `L`.
    #[inline(always)]
    fn block<const P: usize, const L: usize, const FMA: bool>(
        &self,
        piece: &CpuPiece,
        starts: [usize; P],
        column: usize,
        input: &[f32],
        sums: &mut [f32],
    ) -> usize {
        let columns = piece.piece.padded_columns();
        let bias: &[f32; L] = part(&piece.bias, column);
        let mut held = [*bias; P];
        // The pixels of a row of the window lie together.
        let len = piece.piece.window[1] * self.input.channels;
        // A window without pixels lies anywhere.
        let window = if len == 0 { 0 } else { piece.piece.window[0] };
        for ky in 0..window {
            let pixels: [&[f32]; P] = starts.map(|start| &input[start + ky * self.input.row()..][..len]);
            let rows = piece.matrix[ky * len * columns..][..len * columns].chunks_exact(columns);
            for (index, row) in rows.enumerate() {
                let weights: &[f32; L] = part(row, column);
                for p in 0..P {
                    let v = pixels[p][index];
                    for l in 0..L {
                        held[p][l] = if FMA { v.mul_add(weights[l], held[p][l]) } else { held[p][l] + v * weights[l] };
                    }
                }
            }
        }
        for (p, held) in held.iter_mut().enumerate() {
            activate(piece.activation, held);
            sums[p * columns + column..][..L].copy_from_slice(held);
        }
        L
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

/// Positions of a row that share each load of weights.
const PIXELS: usize = 4;

/// `L` numbers from `start` on.
#[inline(always)]
fn part<const L: usize>(numbers: &[f32], start: usize) -> &[f32; L] {
    // The rows are padded to whole quads, and blocks are chosen to fit.
    numbers[start..].first_chunk().unwrap_or(&[0.0; L])
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
