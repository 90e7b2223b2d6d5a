//! Batch norm: by statistics of sets of images, with or without running averages, or by fixed ones.

use super::batch_norm_grad::BatchNormGrad;
use super::{Fusible, GpuCall, ReferenceCall, Rule};
use crate::engine::activation::Activation;
use crate::engine::autograd::Arrived;
use crate::engine::cpu::{self, CpuKernel};
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Mutation, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::Shape;
use crate::engine::variables::VarId;

/// What batch norm takes mean and variance from.
#[derive(Clone, Copy, Debug)]
pub enum Statistics {
    /// The batch itself, cut into so many equal sets of images, each with statistics of its own: 1
    /// for the whole batch, the batch size for per-image statistics.
    Batch {
        /// Number of sets; must divide the batch size.
        sets: usize,
        /// Running averages to bring up to date, if any.
        running: Option<Running>,
    },
    /// A tensor `[1, 2, C, 1]` of means and variances, as [`Running`] holds them.
    Fixed(Tensor),
}

/// Running averages of mean and unbiased variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Running {
    /// Variable `[1, 2, C, 1]`: means, then variances.
    pub variable: VarId,
    /// Weight of the newest batch.
    pub momentum: f32,
}

/// `y = activation((x - mean) / sqrt(variance + epsilon) * scale + shift)` by channel.
/// Inputs: x, scale, shift, and the statistics where they are fixed. Outputs: y, and `[sets, 2, C, 1]`
/// of means and inverse standard deviations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchNorm {
    pub sets: usize,
    pub running: Option<Running>,
    pub fixed: bool,
    pub epsilon: f32,
    pub activation: Activation,
}

/// Why statistics of a single value are refused.
const DEGENERATE: &str = "one image of 1 x 1 has one value per channel, whose variance is always 0; take the statistics \
                          of more images at once (a larger batch, not each image by itself), or give the layer larger \
                          maps";

impl BatchNorm {
    /// Mean and inverse standard deviation of a set of elements; brings the running averages up to date.
    fn statistics<T: Real>(&self, values: &[T], running: Option<(&mut T, &mut T)>) -> (T, T) {
        let n = T::of(values.len() as f64);
        let mean = values.iter().copied().sum::<T>() / n;
        let squares = values.iter().map(|&v| (v - mean) * (v - mean)).sum::<T>();
        if let (Some(Running { momentum, .. }), Some((running_mean, running_variance))) = (self.running, running) {
            let momentum = T::of(momentum.into());
            *running_mean += momentum * (mean - *running_mean);
            *running_variance += momentum * (squares / (n - T::one()) - *running_variance);
        }
        (mean, T::one() / (squares / n + T::of(self.epsilon.into())).sqrt())
    }
}

impl Rule for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [n, channels, h, w] = inputs[0];
        if inputs[1..3] != [[1, channels, 1, 1]; 2] {
            return Err(format!("scale {:?} and shift {:?} must be [1, {channels}, 1, 1]", inputs[1], inputs[2]));
        }
        if self.fixed {
            if inputs[3] != [1, 2, channels, 1] {
                return Err(format!("the statistics {:?} must be [1, 2, {channels}, 1]", inputs[3]));
            }
        } else if self.sets == 0 || n % self.sets != 0 {
            return Err(format!("a batch of {n} cannot be cut into {} sets", self.sets));
        } else if n / self.sets * h * w < 2 {
            return Err(DEGENERATE.into());
        }
        Ok(vec![inputs[0], [self.sets, 2, channels, 1]])
    }

    fn backward(&self, graph: &mut Graph, at: &Arrived) -> Result<Vec<Option<Tensor>>, EngineError> {
        let op = BatchNormGrad { sets: self.sets, fixed: self.fixed };
        let gradients = graph.push_many(op, &[at.gradient()?, at.inputs[0], at.inputs[1], at.outputs[1]])?;
        Ok(gradients.into_iter().map(Some).collect())
    }

    fn mutates(&self) -> Vec<Mutation> {
        self.running.iter().map(|running| Mutation::Variable(running.variable)).collect()
    }

    fn absorb(&mut self, next: Fusible) -> bool {
        match next {
            Fusible::Activation(activation) if self.activation == Activation::Identity => self.activation = activation,
            _ => return false,
        }
        true
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let [_, channels, ..] = call.input_shapes[0];
        let (x, scale, shift) = (call.inputs[0], call.inputs[1], call.inputs[2]);
        for set in 0..self.sets {
            for c in 0..channels {
                let elements = elements(call.input_shapes[0], self.sets, set, c);
                let (mean, inverse) = if self.fixed {
                    let variance = call.inputs[3][channels + c];
                    (call.inputs[3][c], T::one() / (variance + T::of(self.epsilon.into())).sqrt())
                } else {
                    let values: Vec<T> = elements.clone().map(|i| x[i]).collect();
                    let running = call.mutated.first_mut().map(|running| {
                        let (means, variances) = running.split_at_mut(channels);
                        (&mut means[c], &mut variances[c])
                    });
                    self.statistics(&values, running)
                };
                for i in elements {
                    call.outputs[0][i] = self.activation.of((x[i] - mean) * inverse * scale[c] + shift[c]);
                }
                call.outputs[1][2 * set * channels + c] = mean;
                call.outputs[1][(2 * set + 1) * channels + c] = inverse;
            }
        }
    }

    fn cpu(&self, inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        cpu::batch_norm(self, inputs[0])
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let [n, channels, h, w] = call.inputs[0];
        let statistics = if self.fixed { Slot::Input(3) } else { Slot::Unused };
        let running = if self.running.is_some() { Slot::Mutated(0) } else { Slot::UnusedOutput };
        let bindings = [Slot::Input(0), Slot::Input(1), Slot::Input(2), statistics].into_iter().chain([
            Slot::Output(0),
            Slot::Output(1),
            running,
        ]);
        // Sets bring running averages up to date one after the other, in one workgroup.
        let rows = if self.running.is_some() { 1 } else { self.sets };
        let dispatch = Dispatch::new("batch_norm", &bindings.collect::<Vec<_>>())
            .channels([n, channels, h * w], rows, call.target)
            .with("SETS", self.sets)
            .with("IMAGES", n / self.sets)
            .with("ROWS", rows)
            .with("FIXED", self.fixed)
            .with("TRACKED", self.running.is_some())
            .with("MOMENTUM", self.running.map_or(0.0, |running| running.momentum))
            .with("EPSILON", self.epsilon);
        vec![self.activation.declare(dispatch)]
    }
}

/// Indices of channel `c` in the images of one set.
pub(super) fn elements(
    [n, channels, h, w]: Shape,
    sets: usize,
    set: usize,
    c: usize,
) -> impl Iterator<Item = usize> + Clone {
    let (images, plane) = (n / sets, h * w);
    (set * images..(set + 1) * images).flat_map(move |n| {
        let start = (n * channels + c) * plane;
        start..start + plane
    })
}

impl Graph {
    /// Batch norm of `x` `[N, C, H, W]` with `scale` and `shift` `[1, C, 1, 1]` (Ioffe and Szegedy
    /// 2015, algorithm 1). Refused where a channel has a single value to take statistics from.
    pub fn batch_norm(
        &mut self,
        x: Tensor,
        scale: Tensor,
        shift: Tensor,
        statistics: Statistics,
        epsilon: f32,
    ) -> Result<Tensor, EngineError> {
        let activation = Activation::Identity;
        match statistics {
            Statistics::Batch { sets, running } => {
                self.push(BatchNorm { sets, running, fixed: false, epsilon, activation }, &[x, scale, shift])
            }
            Statistics::Fixed(fixed) => {
                let op = BatchNorm { sets: 1, running: None, fixed: true, epsilon, activation };
                self.push(op, &[x, scale, shift, fixed])
            }
        }
    }
}
