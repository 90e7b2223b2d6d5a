//! One channel per SIMD lane: one image goes through a layer, and the lanes of a vector are columns of the weights.
//! Everything here is inlined into one function, compiled for the vectors that the processor has.

#![allow(clippy::needless_range_loop, reason = "what is held by indices known to the compiler stays in registers")]

use pulp::Simd;

use super::layer::{CpuGemm, CpuLayer, Norm, part};
use crate::engine::cpu::activation::{activate, curve, rectified};

/// What a layer reads and writes, and room for its sums.
pub(super) struct Memory<'a> {
    pub input: &'a [f32],
    pub output: &'a mut [f32],
    pub sums: &'a mut [f32],
}

impl CpuLayer {
    /// Numbers that [`Self::run`] needs room for beside input and output.
    pub(super) fn sums(&self) -> usize {
        let columns = self.gemms.iter().map(|gemm| MAX_PIXELS * gemm.columns).max().unwrap_or(0);
        columns.max(2 * self.output.channels)
    }

    /// Computes the layer for one image.
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, simd: S, memory: &mut Memory) {
        for gemm in &self.gemms {
            // Enough sums at once that each has time to finish before it is added to again.
            if gemm.columns <= S::F32_LANES {
                self.positions::<S, MAX_PIXELS>(simd, gemm, memory);
            } else {
                self.positions::<S, PIXELS>(simd, gemm, memory);
            }
        }
        if let Some(norm) = &self.norm {
            self.normalise(simd, norm, memory.output, memory.sums);
        }
    }

    /// All positions of a matrix product, `P` neighbours of a row at a time where there are as many.
    #[inline(always)]
    fn positions<S: Simd, const P: usize>(&self, simd: S, gemm: &CpuGemm, memory: &mut Memory) {
        let [across, further] = self.strides(&gemm.gemm);
        let [rows, columns] = gemm.gemm.grid;
        for gy in 0..rows {
            let [mut from, mut to] = self.row_of(&gemm.gemm, gy);
            let mut left = columns;
            while left >= P {
                self.neighbours::<S, P>(simd, gemm, [from, to], memory);
                (from, to, left) = (from + P * across, to + P * further, left - P);
            }
            while left > 0 {
                self.neighbours::<S, 1>(simd, gemm, [from, to], memory);
                (from, to, left) = (from + across, to + further, left - 1);
            }
        }
    }

    /// `P` neighbours of a row, whose windows begin at `from` and whose outputs at `to`.
    #[inline(always)]
    fn neighbours<S: Simd, const P: usize>(
        &self,
        simd: S,
        gemm: &CpuGemm,
        [from, to]: [usize; 2],
        memory: &mut Memory,
    ) {
        let vectors = gemm.columns / S::F32_LANES;
        let mut first = 0;
        while first < vectors {
            let place = [from, to, first];
            first += match vectors - first {
                8.. if P == 1 => self.block::<S, P, 8>(simd, gemm, place, memory),
                6.. if P == 1 => self.block::<S, P, 6>(simd, gemm, place, memory),
                4.. if P == 1 => self.block::<S, P, 4>(simd, gemm, place, memory),
                2.. if P <= PIXELS => self.block::<S, P, 2>(simd, gemm, place, memory),
                _ => self.block::<S, P, 1>(simd, gemm, place, memory),
            };
        }
        if gemm.together {
            return;
        }
        curve(simd, gemm.activation, &mut memory.sums[..P * gemm.columns]);
        let [_, further] = self.strides(&gemm.gemm);
        for p in 0..P {
            let to = to + p * further;
            for sy in 0..gemm.gemm.spread {
                let sums = &memory.sums[p * gemm.columns + sy * gemm.segment..][..gemm.segment];
                copy(&mut memory.output[to + sy * self.output.row()..][..gemm.segment], sums);
            }
        }
    }

    /// `V` vectors of columns of `P` positions, from vector `first` on; returns `V`. Those that lie together in the
    /// output go there, others among the sums.
    #[inline(always)]
    fn block<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        gemm: &CpuGemm,
        [from, to, first]: [usize; 3],
        memory: &mut Memory,
    ) -> usize {
        let [across, further] = self.strides(&gemm.gemm);
        let [height, len] = self.window(&gemm.gemm);
        let vectors = gemm.columns / S::F32_LANES;
        let (bias, _) = S::as_simd_f32s(&gemm.bias);
        let mut held = [*part::<_, V>(&bias[first..]); P];
        let (matrix, _) = S::as_simd_f32s(&gemm.matrix);
        for ky in 0..height {
            let mut pixels: [&[f32]; P] = [&[]; P];
            for (p, pixels) in pixels.iter_mut().enumerate() {
                *pixels = &memory.input[from + p * across + ky * self.input.row()..][..len];
            }
            let mut rows = &matrix[ky * len * vectors + first..];
            for index in 0..len {
                let weights: &[S::f32s; V] = part(rows);
                rows = rows.get(vectors..).unwrap_or_default();
                for p in 0..P {
                    let value = simd.splat_f32s(pixels[p][index]);
                    for v in 0..V {
                        held[p][v] = simd.mul_add_e_f32s(value, weights[v], held[p][v]);
                    }
                }
            }
        }
        for p in 0..P {
            let to = to + p * further;
            for v in 0..V {
                let vector = rectified(simd, gemm.activation, held[p][v]);
                let column = (first + v) * S::F32_LANES;
                let room = if gemm.together {
                    &mut memory.output[to + gemm.places[column]..]
                } else {
                    &mut memory.sums[p * gemm.columns + column..]
                };
                let (room, _) = S::as_mut_simd_f32s(&mut room[..S::F32_LANES]);
                room[0] = vector;
            }
        }
        V
    }

    /// The norm of each channel by its own statistics, then the activation.
    #[inline(always)]
    fn normalise<S: Simd>(&self, simd: S, norm: &Norm, output: &mut [f32], sums: &mut [f32]) {
        let channels = self.output.channels;
        let pixels = self.output.pixels() as f32;
        let (factors, rest) = sums.split_at_mut(channels);
        let offsets = &mut rest[..channels];
        let rows = self.output.rows();
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
            activate(simd, self.activation, &mut output[row]);
        }
    }
}

/// Positions of a row that share each load of weights, and where a position has a single vector of columns.
const PIXELS: usize = 4;
const MAX_PIXELS: usize = 8;

/// Copies few numbers faster than a call of `memcpy` would.
#[inline(always)]
fn copy(to: &mut [f32], from: &[f32]) {
    let (to, to_rest) = to.as_chunks_mut::<4>();
    let (from, from_rest) = from.as_chunks::<4>();
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    to_rest.iter_mut().zip(from_rest).for_each(|(to, from)| *to = *from);
}
