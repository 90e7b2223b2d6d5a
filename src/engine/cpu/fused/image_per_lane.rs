//! One image per SIMD lane: as many images go through a layer at once as a vector has lanes. Sums are made
//! in the order of [`CpuLayer::run`], so that scores are the same to the last bit. Everything here is inlined into one
//! function, compiled for the vectors that the processor has.

#![allow(clippy::needless_range_loop, reason = "what is held by indices known to the compiler stays in registers")]

use pulp::Simd;

use super::layer::{CpuGemm, CpuLayer, Norm, part};
use crate::engine::Activation;
use crate::engine::cpu::activation::{curve, rectified};

impl CpuLayer {
    /// Computes the layer for as many images as a vector has numbers.
    #[inline(always)]
    pub(super) fn run_image_per_lane<S: Simd>(&self, simd: S, input: &[S::f32s], output: &mut [S::f32s]) {
        for gemm in &self.gemms {
            let [across, further] = self.strides(&gemm.gemm);
            let [rows, columns] = gemm.gemm.grid;
            for gy in 0..rows {
                let [mut from, mut to] = self.row_of(&gemm.gemm, gy);
                let mut left = columns;
                while left >= POSITIONS {
                    self.positions_image_per_lane::<S, POSITIONS>(simd, gemm, [from, to], input, output);
                    (from, to, left) = (from + POSITIONS * across, to + POSITIONS * further, left - POSITIONS);
                }
                while left > 0 {
                    self.positions_image_per_lane::<S, 1>(simd, gemm, [from, to], input, output);
                    (from, to, left) = (from + across, to + further, left - 1);
                }
            }
        }
        match &self.norm {
            Some(norm) => self.normalise_image_per_lane(simd, norm, output),
            None => self.curve_image_per_lane(simd, output),
        }
    }

    /// `P` neighbours of a row, whose windows begin at `from` and whose outputs at `to`.
    #[inline(always)]
    fn positions_image_per_lane<S: Simd, const P: usize>(
        &self,
        simd: S,
        gemm: &CpuGemm,
        [from, to]: [usize; 2],
        input: &[S::f32s],
        output: &mut [S::f32s],
    ) {
        let columns = gemm.places.len();
        let mut first = 0;
        while first < columns {
            let place = [from, to, first];
            first += match columns - first {
                8.. if P == 1 => self.block_image_per_lane::<S, P, 8>(simd, gemm, place, input, output),
                2.. => self.block_image_per_lane::<S, P, 2>(simd, gemm, place, input, output),
                _ => self.block_image_per_lane::<S, P, 1>(simd, gemm, place, input, output),
            };
        }
    }

    /// `Q` columns of `P` positions, from column `first` on; returns `Q`.
    #[inline(always)]
    fn block_image_per_lane<S: Simd, const P: usize, const Q: usize>(
        &self,
        simd: S,
        gemm: &CpuGemm,
        [from, to, first]: [usize; 3],
        input: &[S::f32s],
        output: &mut [S::f32s],
    ) -> usize {
        let [across, further] = self.strides(&gemm.gemm);
        let [height, len] = self.window(&gemm.gemm);
        let bias: &[f32; Q] = part(&gemm.bias[first..]);
        let mut held = [[simd.splat_f32s(0.0); Q]; P];
        for p in 0..P {
            for q in 0..Q {
                held[p][q] = simd.splat_f32s(bias[q]);
            }
        }
        for ky in 0..height {
            let mut pixels: [&[S::f32s]; P] = [&[]; P];
            for (p, pixels) in pixels.iter_mut().enumerate() {
                *pixels = &input[from + p * across + ky * self.input.row()..][..len];
            }
            let mut rows = &gemm.matrix[ky * len * gemm.columns + first..];
            for index in 0..len {
                let weights: &[f32; Q] = part(rows);
                rows = rows.get(gemm.columns..).unwrap_or_default();
                for q in 0..Q {
                    let weight = simd.splat_f32s(weights[q]);
                    for p in 0..P {
                        held[p][q] = simd.mul_add_e_f32s(pixels[p][index], weight, held[p][q]);
                    }
                }
            }
        }
        let places: &[usize; Q] = part(&gemm.places[first..]);
        for p in 0..P {
            for q in 0..Q {
                output[to + p * further + places[q]] = rectified(simd, gemm.activation, held[p][q]);
            }
        }
        Q
    }

    /// The norm of each image's channels by its own statistics, then the activation.
    #[inline(always)]
    fn normalise_image_per_lane<S: Simd>(&self, simd: S, norm: &Norm, output: &mut [S::f32s]) {
        let channels = self.output.channels;
        let pixels = simd.splat_f32s(self.output.pixels() as f32);
        let epsilon = simd.splat_f32s(norm.epsilon);
        for channel in 0..channels {
            let places = self.output.rows().flat_map(|row| row.skip(channel).step_by(channels));
            let mut mean = simd.splat_f32s(0.0);
            for place in places.clone() {
                mean = simd.add_f32s(mean, output[place]);
            }
            mean = simd.div_f32s(mean, pixels);
            let mut variance = simd.splat_f32s(0.0);
            for place in places.clone() {
                let off = simd.sub_f32s(output[place], mean);
                variance = simd.add_f32s(variance, simd.mul_f32s(off, off));
            }
            let deviation = simd.sqrt_f32s(simd.add_f32s(simd.div_f32s(variance, pixels), epsilon));
            let factor = simd.div_f32s(simd.splat_f32s(norm.scale[channel]), deviation);
            let offset = simd.sub_f32s(simd.splat_f32s(norm.shift[channel]), simd.mul_f32s(mean, factor));
            for place in places {
                let v = simd.add_f32s(simd.mul_f32s(output[place], factor), offset);
                output[place] = rectified(simd, self.activation, v);
            }
        }
        self.curve_image_per_lane(simd, output);
    }

    /// Activations that are no rectifiers.
    #[inline(always)]
    fn curve_image_per_lane<S: Simd>(&self, simd: S, output: &mut [S::f32s]) {
        if matches!(self.activation, Activation::Tanh | Activation::Sigmoid) {
            for row in self.output.rows() {
                curve(simd, self.activation, bytemuck::cast_slice_mut(&mut output[row]));
            }
        }
    }
}

/// Positions of a row that share each load of weights.
const POSITIONS: usize = 4;
