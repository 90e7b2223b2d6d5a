use super::kernel::{Dispatch, Slot};
use super::{CpuCall, GpuCall, Real, Rule};
use crate::engine::autograd::Arrived;
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::shape::{Shape, count};

/// A distance of two images or latent vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// `mean |a - b|`.
    L1,
    /// `mean (a - b)^2`.
    MeanSquared,
    /// `sqrt(sum (a - b)^2)`.
    L2,
}

/// Below this an L2 distance has no gradient.
const SMALLEST: f32 = 1e-12;

/// The distance of each pair of samples: `[N, C, H, W]` twice to `[N, 1, 1, 1]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Distance(pub Measure);

impl Distance {
    /// What the sum over a sample's `len` elements is multiplied by.
    fn factor(&self, len: usize) -> f32 {
        if self.0 == Measure::L2 { 1.0 } else { 1.0 / len as f32 }
    }
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
    let dispatch = dispatch.with("MEASURE", measure as u32).with("FACTOR", Distance(measure).factor(sample));
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
        Ok(vec![[inputs[0][0], 1, 1, 1]])
    }

    fn backward(&self, graph: &mut Graph, at: &Arrived) -> Result<Vec<Option<Tensor>>, EngineError> {
        let (a, b, y, dy) = (at.inputs[0], at.inputs[1], at.outputs[0], at.gradient()?);
        Ok(vec![
            at.wants(0, || graph.push(DistanceGrad(self.0), &[a, b, y, dy]))?,
            at.wants(1, || graph.push(DistanceGrad(self.0), &[b, a, y, dy]))?,
        ])
    }

    fn cpu<T: Real>(&self, call: &mut CpuCall<T>) {
        let len = count(call.input_shapes[0]) / call.input_shapes[0][0];
        let factor = T::of(self.factor(len).into());
        let (a, b) = (call.inputs[0], call.inputs[1]);
        for (n, y) in call.outputs[0].iter_mut().enumerate() {
            let differences = a[n * len..][..len].iter().zip(&b[n * len..][..len]).map(|(&a, &b)| a - b);
            *y = match self.0 {
                Measure::L1 => factor * differences.map(T::abs).sum(),
                Measure::MeanSquared => factor * differences.map(|d| d * d).sum(),
                Measure::L2 => differences.map(|d| d * d).sum::<T>().sqrt(),
            };
        }
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let dispatch = Dispatch::new("distance", &[Slot::Input(0), Slot::Input(1), Slot::Output(0)])
            .with("WIDTH", call.tuning.reduction_width())
            .workgroups(call.outputs[0][0], 1, 1);
        vec![declare(dispatch, self.0, call.inputs[0], |dispatch, _| dispatch)]
    }
}

/// Gradient of [`Distance`] by its first argument. Inputs: a, b, distance, gradient by the distance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DistanceGrad(pub Measure);

impl Rule for DistanceGrad {
    fn name(&self) -> &'static str {
        "distance_grad"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        Ok(vec![inputs[0]])
    }

    fn cpu<T: Real>(&self, call: &mut CpuCall<T>) {
        let len = count(call.input_shapes[0]) / call.input_shapes[0][0];
        let factor = T::of(Distance(self.0).factor(len).into());
        let measure = self.0;
        call.each(|inputs, i| {
            let (d, y, dy) = (inputs[0][i] - inputs[1][i], inputs[2][i / len], inputs[3][i / len]);
            dy * match measure {
                Measure::L1 if d == T::zero() => T::zero(),
                Measure::L1 => factor * d.signum(),
                Measure::MeanSquared => T::of(2.0) * factor * d,
                Measure::L2 => d / y.max(T::of(SMALLEST.into())),
            }
        });
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let shape = call.inputs[0];
        let bindings = [Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Input(3), Slot::Output(0)];
        let dispatch = Dispatch::new("distance_grad", &bindings).with("SMALLEST", SMALLEST);
        vec![declare(dispatch, self.0, shape, |dispatch, len| dispatch.over(len, call.tuning))]
    }
}

impl Graph {
    /// Distance of each pair of samples of `a` and `b`, both `[N, C, H, W]`; result `[N, 1, 1, 1]`.
    pub fn distance(&mut self, a: Tensor, b: Tensor, measure: Measure) -> Result<Tensor, EngineError> {
        self.push(Distance(measure), &[a, b])
    }
}
