//! A whole planned generator as one op, from image to score. The plan is `engine/fused/`'s.

use std::sync::Arc;

use super::unit_rms::{MIN_NORM, scale};
use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::cpu::CpuKernel;
use crate::engine::error::EngineError;
use crate::engine::fused::{FusedNetworks, ImplicitGemm, PlannedLayer, Precision, Source, half_at};
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::{Dispatch, Slot, Target, Weights};
use crate::engine::number::Real;
use crate::engine::shape::{Shape, count};

/// Bytes of workgroup memory that a kernel may take: what every WebGPU adapter has.
const WORKGROUP_MEMORY: usize = 16 * 1024;

/// A whole generator and the distance of its latent vectors. Inputs: images, packed weights. Outputs: score,
/// reconstruction, and the images' latent vectors.
#[derive(Clone, Debug)]
pub(crate) struct FusedScore {
    pub plan: Arc<FusedNetworks>,
    pub precision: Precision,
}

impl Rule for FusedScore {
    fn name(&self) -> &'static str {
        "fused_score"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [channels, height, width] = self.plan.image();
        let images = inputs[0][0];
        if inputs[0] != [images, channels, height, width] {
            return Err(format!("the plan is for images of {:?}, not {:?}", self.plan.image(), inputs[0]));
        }
        let words = self.words();
        if count(inputs[1]) != words {
            return Err(format!("the plan takes {words} packed weights, not {:?}", inputs[1]));
        }
        let needed = 4 * self.plan.memory();
        if needed > WORKGROUP_MEMORY {
            return Err(format!(
                "its activations need {needed} bytes of workgroup memory, but a kernel has {WORKGROUP_MEMORY}; score \
                 this network op by op, or use one with fewer channels"
            ));
        }
        Ok(vec![[images, 1, 1, 1], inputs[0], [images, self.plan.latents(), 1, 1]])
    }

    fn macs(&self, inputs: &[Shape], _outputs: &[Shape]) -> u64 {
        self.plan.macs() * inputs[0][0] as u64
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let weights: Vec<T> = match self.precision {
            Precision::Single => call.inputs[1].to_vec(),
            Precision::Half => {
                let words: Vec<f32> = call.inputs[1].iter().map(|word| word.to_single()).collect();
                (0..self.plan.weights()).map(|index| T::of(half_at(&words, index).into())).collect()
            }
        };
        let [channels, height, width] = self.plan.image();
        let (len, latents) = (channels * height * width, self.plan.latents());
        for (index, image) in call.inputs[0].chunks_exact(len).enumerate() {
            let mut held = turned(image, channels);
            let mut vectors = Vec::new();
            for (network, layers) in self.plan.layers().iter().enumerate() {
                for planned in layers {
                    held = forward(planned, &held, &weights);
                }
                if network == 1 {
                    let turned = turned(&held, height * width);
                    call.outputs[1][index * len..][..len].copy_from_slice(&turned);
                } else {
                    if self.plan.unit_rms() {
                        let factor = scale(&held);
                        held.iter_mut().for_each(|v| *v *= factor);
                    }
                    vectors.push(held.clone());
                }
            }
            call.outputs[2][index * latents..][..latents].copy_from_slice(&vectors[0]);
            let squares = vectors[0].iter().zip(&vectors[1]).map(|(&a, &b)| (a - b) * (a - b));
            call.outputs[0][index] = squares.sum::<T>().sqrt();
        }
    }

    /// The CPU scoring path runs the plan itself, see [`crate::engine::CpuScorer`].
    fn cpu(&self, inputs: &[Shape], outputs: &[Shape]) -> CpuKernel {
        CpuKernel::reference(self, inputs, outputs)
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let [channels, height, width] = self.plan.image();
        let weights = match self.precision {
            Precision::Single => Weights::Single,
            Precision::Half if call.target.half_precision => Weights::Half,
            Precision::Half => Weights::HalfPacked,
        };
        let bindings = [Slot::Input(0), Slot::Input(1), Slot::Output(0), Slot::Output(1), Slot::Output(2)];
        let mut dispatch = Dispatch::new("fused_score", &bindings)
            .weights(weights)
            .with("WIDTH", call.target.adapter.width)
            .with("MEMORY", self.plan.memory())
            .with("IMAGE", channels * height * width)
            .with("LATENTS", self.plan.latents())
            .with("UNIT_RMS", self.plan.unit_rms())
            .with("MIN_NORM", MIN_NORM);
        let mut text = String::new();
        let vector = |layers: &[PlannedLayer]| place(layers[layers.len() - 1].to).1;
        let [encoder1, _, encoder2] = self.plan.layers();
        dispatch = dispatch.with("LATENT1", vector(encoder1)).with("LATENT2", vector(encoder2));
        let mut number = 0;
        for (network, layers) in self.plan.layers().iter().enumerate() {
            text += &format!("fn network{network}(image: u32, lane: u32) {{\n");
            for planned in layers {
                for gemm in &planned.gemms {
                    dispatch = instance(dispatch, planned, gemm, call.target, number);
                    text += &format!("    gemm{number}(image, lane);\n");
                    number += 1;
                }
                text += "    workgroupBarrier();\n";
                if let Some(epsilon) = planned.layer.norm {
                    dispatch = norm_instance(dispatch, planned, epsilon, number);
                    text += &format!("    norm{number}(lane);\n    workgroupBarrier();\n");
                    number += 1;
                }
            }
            text += "}\n";
        }
        vec![dispatch.text(text).workgroups(call.inputs[0][0], 1, 1)]
    }
}

impl FusedScore {
    /// Words of the packed weights.
    fn words(&self) -> usize {
        match self.precision {
            Precision::Single => self.plan.weights(),
            Precision::Half => self.plan.weights() / 2,
        }
    }
}

/// `[C, P]` as `[P, C]`, of so many rows in.
fn turned<T: Real>(x: &[T], rows: usize) -> Vec<T> {
    let columns = x.len() / rows;
    (0..x.len()).map(|i| x[i % rows * columns + i / rows]).collect()
}

/// The plain reference of a layer's kernels, on `[H, W, C]`.
fn forward<T: Real>(planned: &PlannedLayer, x: &[T], weights: &[T]) -> Vec<T> {
    let layer = &planned.layer;
    let ([inputs, height, width], [outputs, out_height, out_width]) = (layer.input, layer.output);
    let finish = |v: T, channel: usize| match layer.norm {
        None => layer.activation.of(v + weights[planned.bias + channel]),
        Some(_) => v,
    };
    let mut y = vec![T::nan(); outputs * out_height * out_width];
    for gemm in &planned.gemms {
        for at in 0..gemm.grid[0] * gemm.grid[1] {
            let position = [at / gemm.grid[1], at % gemm.grid[1]];
            let mut sums = vec![T::zero(); gemm.columns];
            for row in 0..gemm.rows {
                let (pixel, channel) = (row / inputs, row % inputs);
                let tap = [pixel / gemm.window[1], pixel % gemm.window[1]];
                let [iy, ix] = [0, 1]
                    .map(|axis| (position[axis] * gemm.stride + tap[axis]).checked_add_signed(-gemm.padding[axis]));
                let (Some(iy), Some(ix)) = (iy.filter(|&y| y < height), ix.filter(|&x| x < width)) else { continue };
                let value = x[(iy * width + ix) * inputs + channel];
                let matrix_row = &weights[gemm.weights + row * gemm.padded_columns()..];
                sums.iter_mut().zip(matrix_row).for_each(|(sum, &weight)| *sum += value * weight);
            }
            for (column, sum) in sums.into_iter().enumerate() {
                let [oy, ox, channel] = gemm.target(position, column, outputs);
                y[(oy * out_width + ox) * outputs + channel] = finish(sum, channel);
            }
        }
    }
    if let Some(epsilon) = layer.norm {
        let pixels = T::of((out_height * out_width) as f64);
        for channel in 0..outputs {
            let values = || y.iter().skip(channel).step_by(outputs).copied();
            let mean = values().sum::<T>() / pixels;
            let variance = values().map(|v| (v - mean) * (v - mean)).sum::<T>() / pixels;
            let scale = weights[planned.bias + channel] / (variance + T::of(epsilon.into())).sqrt();
            let shift = weights[planned.bias + planned.padded_channels() + channel];
            for v in y.iter_mut().skip(channel).step_by(outputs) {
                *v = layer.activation.of((*v - mean) * scale + shift);
            }
        }
    }
    y
}

/// Positions or vec4s of columns that an invocation sums at once at most: each load of a weight or an input serves as
/// many.
const MAX_SHARED: usize = 8;

/// Sums that an invocation holds at most: vec4s of columns at so many positions.
const MAX_SUMS: usize = 8;

/// Adds the kernel of a matrix product, `gemm{number}`.
fn instance(
    dispatch: Dispatch,
    planned: &PlannedLayer,
    gemm: &ImplicitGemm,
    target: &Target,
    number: usize,
) -> Dispatch {
    let dense = gemm.grid == [1, 1];
    let (width, vec4s) = (target.adapter.width as usize, gemm.padded_columns() / 4);
    let share = match dense {
        true => vec4s.div_ceil(width).min(MAX_SHARED),
        false => (gemm.grid[0] * gemm.grid[1] / width).min(MAX_SUMS / vec4s.max(1)).clamp(1, MAX_SHARED),
    };
    let dispatch = gemm_constants(dispatch, planned, gemm, number)
        .with(&format!("P{number}_SHARE"), share)
        .part("fused_place", number);
    dispatch.part(if dense { "fused_dense" } else { "fused_convolution" }, number)
}

/// Declares a matrix product and its activation, `P{number}_...`; weights are counted in vec4s.
fn gemm_constants(dispatch: Dispatch, planned: &PlannedLayer, gemm: &ImplicitGemm, number: usize) -> Dispatch {
    let layer = &planned.layer;
    let ([inputs, height, width], [outputs, out_height, out_width]) = (layer.input, layer.output);
    let name = |constant: &str| format!("P{number}_{constant}");
    let (from, read) = place(planned.from);
    let (to, write) = place(planned.to);
    let dispatch = dispatch
        .with(&name("FROM"), from)
        .with(&name("READ"), read)
        .with(&name("CI"), inputs)
        .with(&name("IH"), height)
        .with(&name("IW"), width)
        .with(&name("KH"), gemm.window[0])
        .with(&name("KW"), gemm.window[1])
        .with(&name("STRIDE"), gemm.stride)
        // May be negative: it wraps round, as does the difference that it is taken from.
        .with(&name("PY"), gemm.padding[0] as i32 as u32)
        .with(&name("PX"), gemm.padding[1] as i32 as u32)
        .with(&name("GH"), gemm.grid[0])
        .with(&name("GW"), gemm.grid[1])
        .with(&name("WEIGHTS"), gemm.weights / 4)
        .with(&name("VEC4S"), gemm.padded_columns() / 4)
        .with(&name("COLUMNS"), gemm.columns)
        .with(&name("TO"), to)
        .with(&name("WRITE"), write)
        .with(&name("CO"), outputs)
        .with(&name("OH"), out_height)
        .with(&name("OW"), out_width)
        .with(&name("SPREAD"), gemm.spread)
        .with(&name("STEP"), gemm.step)
        .with(&name("OY"), gemm.offset[0])
        .with(&name("OX"), gemm.offset[1])
        .with(&name("BIAS"), planned.bias / 4)
        .with(&name("NORMED"), layer.norm.is_some());
    let activation = if layer.norm.is_some() { Default::default() } else { layer.activation };
    activation.declare_as(dispatch, &format!("P{number}_")).part("fused_activation", number)
}

/// Adds the kernel of a norm, `norm{number}`.
fn norm_instance(dispatch: Dispatch, planned: &PlannedLayer, epsilon: f32, number: usize) -> Dispatch {
    let [channels, height, width] = planned.layer.output;
    let name = |constant: &str| format!("P{number}_{constant}");
    let (_, at) = place(planned.to);
    let dispatch = dispatch
        .with(&name("AT"), at)
        .with(&name("C"), channels)
        .with(&name("PIXELS"), height * width)
        .with(&name("SCALE"), planned.bias)
        .with(&name("SHIFT"), planned.bias + planned.padded_channels())
        .with(&name("EPSILON"), epsilon);
    planned
        .layer
        .activation
        .declare_as(dispatch, &format!("P{number}_"))
        .part("fused_activation", number)
        .part("fused_norm", number)
}

/// A place as the shader knows it: 0 image, 1 reconstruction, 2 memory; and where in the memory.
fn place(source: Source) -> (u32, usize) {
    match source {
        Source::Image => (0, 0),
        Source::Reconstruction => (1, 0),
        Source::Memory(start) => (2, start),
    }
}

impl Graph {
    /// Scores `images` `[N, C, H, W]` with a whole generator in one dispatch, a workgroup an image; `weights` are
    /// packed for the plan. Results: scores `[N, 1, 1, 1]`, reconstructions `[N, C, H, W]`, latent vectors of the
    /// images `[N, n, 1, 1]`.
    ///
    /// # Errors
    /// Shapes that do not go with the plan, and activations that workgroup memory of 16 KiB does not hold.
    pub(crate) fn fused_score(
        &mut self,
        images: Tensor,
        weights: Tensor,
        plan: Arc<FusedNetworks>,
        precision: Precision,
    ) -> Result<[Tensor; 3], EngineError> {
        let made = self.push_many(FusedScore { plan, precision }, &[images, weights])?;
        Ok([made[0], made[1], made[2]])
    }
}
