//! Distances of pairs of samples (L1, mean squared, L2), and their gradients.

use pulp::Arch;

use super::{GpuCall, GradientInputs, LossOf, ReferenceCall, Rule};
use crate::engine::autograd::Arrived;
use crate::engine::cpu::{CpuKernel, each, sum};
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::{Shape, count};

/// A distance of two images or latent vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// `mean |a - b|`.
    L1,
    /// `mean (a - b)^2`.
    MeanSquared,
    /// `sqrt(sum (a - b)^2)`.
    L2,
}

/// Below this an L2 distance has no gradient.
const MIN_DISTANCE: f32 = 1e-12;

impl Measure {
    /// What the sum over a sample's `len` elements is multiplied by.
    fn factor(self, len: usize) -> f32 {
        if self == Self::L2 { 1.0 } else { 1.0 / len as f32 }
    }

    /// The gradient by `a` of a distance `y` of samples of `len` elements, where the difference of `a` and `b` is `d`.
    fn slope<T: Real>(self, d: T, y: T, len: usize) -> T {
        let factor = T::of(self.factor(len).into());
        match self {
            Self::L1 if d == T::zero() => T::zero(),
            Self::L1 => factor * d.signum(),
            Self::MeanSquared => T::of(2.0) * factor * d,
            Self::L2 => d / y.max(T::of(MIN_DISTANCE.into())),
        }
    }
}

/// The distance of each pair of samples: `[N, C, H, W]` twice to `[N, 1, 1, 1]`; with the work of [`DistanceGrad`] by
/// the first of both, or by each, as `gradients` says: then the gradient by the distance is a third input, and those
/// are further outputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Distance {
    pub measure: Measure,
    pub gradients: usize,
}

/// Declares the measure and the samples' length to a shader, and what `more` declares of the number of elements.
fn declare(
    dispatch: Dispatch,
    measure: Measure,
    shape: Shape,
    more: impl FnOnce(Dispatch, usize) -> Dispatch,
) -> Dispatch {
    let len = count(shape);
    let sample = len / shape[0];
    let dispatch = dispatch.with("MEASURE", measure as u32).with("FACTOR", measure.factor(sample));
    dispatch.elements(&[sample], |dispatch, each| more(dispatch.with("SAMPLE", sample / each), len / each))
}

impl Rule for Distance {
    fn name(&self) -> &'static str {
        "distance"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        if inputs[0] != inputs[1] {
            return Err(format!("{:?} and {:?} differ", inputs[0], inputs[1]));
        }
        let gradients = std::iter::repeat_n(inputs[0], self.gradients);
        Ok(std::iter::once([inputs[0][0], 1, 1, 1]).chain(gradients).collect())
    }

    fn backward(&self, graph: &mut Graph, at: &Arrived) -> Result<Vec<Option<Tensor>>, EngineError> {
        let (a, b, y, dy) = (at.inputs[0], at.inputs[1], at.outputs[0], at.gradient()?);
        Ok(vec![
            at.wants(0, || graph.push(DistanceGrad(self.measure), &[a, b, y, dy]))?,
            at.wants(1, || graph.push(DistanceGrad(self.measure), &[b, a, y, dy]))?,
        ])
    }

    fn absorb_gradient(&mut self, inputs: &mut Vec<Tensor>, gradient: GradientInputs, ready: bool) -> bool {
        let GradientInputs { x, other, dy } = gradient;
        match self.gradients {
            // A distance is the same both ways round: the first gradient is by whatever comes first.
            0 if ready => *inputs = vec![x, other, dy],
            1 if *inputs == [other, x, dy] => {}
            _ => return false,
        }
        self.gradients += 1;
        true
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let len = count(call.input_shapes[0]) / call.input_shapes[0][0];
        let factor = T::of(self.measure.factor(len).into());
        let (a, b) = (call.inputs[0], call.inputs[1]);
        let (distances, gradients) = call.outputs.split_at_mut(1);
        for (n, y) in distances[0].iter_mut().enumerate() {
            let differences = a[n * len..][..len].iter().zip(&b[n * len..][..len]).map(|(&a, &b)| a - b);
            *y = match self.measure {
                Measure::L1 => factor * differences.map(T::abs).sum(),
                Measure::MeanSquared => factor * differences.map(|d| d * d).sum(),
                Measure::L2 => differences.map(|d| d * d).sum::<T>().sqrt(),
            };
        }
        for (gradient, [a, b]) in gradients.iter_mut().zip([[a, b], [b, a]]) {
            for (i, dx) in gradient.iter_mut().enumerate() {
                *dx = call.inputs[2][i / len] * self.measure.slope(a[i] - b[i], distances[0][i / len], len);
            }
        }
    }

    fn cpu(&self, inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        let (measure, len) = (self.measure, count(inputs[0]) / inputs[0][0]);
        CpuKernel::new(move |call| {
            let (a, b) = (call.inputs[0], call.inputs[1]);
            let (distances, gradients) = call.outputs.split_at_mut(1);
            let samples = a.chunks_exact(len).zip(b.chunks_exact(len));
            for (y, (a, b)) in distances[0].iter_mut().zip(samples) {
                *y = match measure {
                    Measure::L1 => measure.factor(len) * sum(call.arch, [a, b], |[a, b]| (a - b).abs()),
                    Measure::MeanSquared => measure.factor(len) * squares(call.arch, a, b),
                    Measure::L2 => squares(call.arch, a, b).sqrt(),
                };
            }
            for (gradient, [a, b]) in gradients.iter_mut().zip([[a, b], [b, a]]) {
                gradients_by_first(call.arch, measure, len, [a, b, distances[0], call.inputs[2]], gradient);
            }
        })
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let gradient = |number| if number <= self.gradients { Slot::Output(number) } else { Slot::UnusedOutput };
        let dy = if self.gradients > 0 { Slot::Input(2) } else { Slot::Unused };
        let bindings = [Slot::Input(0), Slot::Input(1), dy, Slot::Output(0), gradient(1), gradient(2)];
        let dispatch = Dispatch::new("distance", &bindings)
            .with("WIDTH", call.target.adapter.width_to_reduce(count(call.inputs[0]) / call.inputs[0][0] / 4))
            .with("GRADIENTS", self.gradients)
            .with("MIN_DISTANCE", MIN_DISTANCE)
            .workgroups(call.outputs[0][0], 1, 1);
        vec![declare(dispatch, self.measure, call.inputs[0], |dispatch, _| dispatch)]
    }
}

/// Gradient of [`Distance`] by its first argument. Inputs: a, b, distance, gradient by the distance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DistanceGrad(pub Measure);

impl Rule for DistanceGrad {
    fn name(&self) -> &'static str {
        "distance_grad"
    }

    fn gradient_of(&self) -> Option<LossOf> {
        Some(LossOf::Input(2))
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let len = count(call.input_shapes[0]) / call.input_shapes[0][0];
        call.each(|inputs, i| {
            let (d, y, dy) = (inputs[0][i] - inputs[1][i], inputs[2][i / len], inputs[3][i / len]);
            dy * self.0.slope(d, y, len)
        });
    }

    fn cpu(&self, inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        let (measure, len) = (self.0, count(inputs[0]) / inputs[0][0]);
        CpuKernel::new(move |call| {
            let inputs = [call.inputs[0], call.inputs[1], call.inputs[2], call.inputs[3]];
            gradients_by_first(call.arch, measure, len, inputs, call.outputs[0]);
        })
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let shape = call.inputs[0];
        let bindings = [Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Input(3), Slot::Output(0)];
        let dispatch = Dispatch::new("distance_grad", &bindings).with("MIN_DISTANCE", MIN_DISTANCE);
        vec![declare(dispatch, self.0, shape, |dispatch, len| dispatch.over(len, call.target))]
    }
}

/// `sum (a - b)^2`.
fn squares(arch: Arch, a: &[f32], b: &[f32]) -> f32 {
    sum(arch, [a, b], |[a, b]| (a - b) * (a - b))
}

/// The gradient by `a` of the distances of samples of `len` elements of `a` and `b`, which are known, as is the
/// gradient by them.
fn gradients_by_first(arch: Arch, measure: Measure, len: usize, [a, b, y, dy]: [&[f32]; 4], gradient: &mut [f32]) {
    let samples = a.chunks_exact(len).zip(b.chunks_exact(len)).zip(y.iter().zip(dy));
    for (dx, ((a, b), (&y, &dy))) in gradient.chunks_exact_mut(len).zip(samples) {
        match measure {
            Measure::L1 => each(arch, [a, b], dx, |[a, b]| dy * Measure::L1.slope(a - b, y, len)),
            Measure::MeanSquared => each(arch, [a, b], dx, |[a, b]| dy * Measure::MeanSquared.slope(a - b, y, len)),
            Measure::L2 => each(arch, [a, b], dx, |[a, b]| dy * Measure::L2.slope(a - b, y, len)),
        }
    }
}

impl Graph {
    /// Distance of each pair of samples of `a` and `b`, both `[N, C, H, W]`; result `[N, 1, 1, 1]`.
    pub fn distance(&mut self, a: Tensor, b: Tensor, measure: Measure) -> Result<Tensor, EngineError> {
        self.push(Distance { measure, gradients: 0 }, &[a, b])
    }
}
