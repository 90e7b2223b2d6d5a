use super::kernel::{Dispatch, Slot};
use super::{CpuCall, GpuCall, Real, Rule};
use crate::engine::autograd::Arrived;
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::shape::{Shape, count};

/// Norms below this count as this, so that a vector of zeros stays one.
pub(crate) const SMALLEST: f32 = 1e-6;

/// Latent normalisation: `y = x sqrt(n) / max(||x||, SMALLEST)` for each sample of `n` elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnitRms;

impl Rule for UnitRms {
    fn name(&self) -> &'static str {
        "unit_rms"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        Ok(vec![inputs[0]])
    }

    fn backward(&self, graph: &mut Graph, at: &Arrived) -> Result<Vec<Option<Tensor>>, EngineError> {
        Ok(vec![Some(graph.push(UnitRmsGrad, &[at.inputs[0], at.gradient()?])?)])
    }

    fn cpu<T: Real>(&self, call: &mut CpuCall<T>) {
        let len = sample_len(call.input_shapes[0]);
        for (x, y) in call.inputs[0].chunks_exact(len).zip(call.outputs[0].chunks_exact_mut(len)) {
            let scale = scale(x);
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = scale * x);
        }
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        vec![dispatch("unit_rms", &[Slot::Input(0), Slot::Output(0)], call)]
    }
}

/// With `s = sqrt(n) / ||x||`: `dx = s dy - s^3 x (x . dy) / n`; without the second term where the
/// norm was too small to count. Inputs: x, dy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnitRmsGrad;

impl Rule for UnitRmsGrad {
    fn name(&self) -> &'static str {
        "unit_rms_grad"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        Ok(vec![inputs[0]])
    }

    fn cpu<T: Real>(&self, call: &mut CpuCall<T>) {
        let len = sample_len(call.input_shapes[0]);
        let n = T::of(len as f64);
        let samples = call.inputs[0].chunks_exact(len).zip(call.inputs[1].chunks_exact(len));
        for ((x, dy), dx) in samples.zip(call.outputs[0].chunks_exact_mut(len)) {
            let s = scale(x);
            let counts = s < n.sqrt() / T::of(SMALLEST.into());
            let dot = x.iter().zip(dy).map(|(&x, &dy)| x * dy).sum::<T>();
            let along = if counts { s * s * s * dot / n } else { T::zero() };
            dx.iter_mut().zip(x.iter().zip(dy)).for_each(|(dx, (&x, &dy))| *dx = s * dy - along * x);
        }
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        vec![dispatch("unit_rms_grad", &[Slot::Input(0), Slot::Input(1), Slot::Output(0)], call)]
    }
}

fn sample_len(shape: Shape) -> usize {
    count(shape) / shape[0]
}

pub(super) fn scale<T: Real>(x: &[T]) -> T {
    let norm = x.iter().map(|&v| v * v).sum::<T>().sqrt();
    T::of((x.len() as f64).sqrt()) / norm.max(T::of(SMALLEST.into()))
}

fn dispatch(shader: &'static str, bindings: &[Slot], call: &GpuCall) -> Dispatch {
    let shape = call.inputs[0];
    Dispatch::new(shader, bindings)
        .with("WIDTH", call.tuning.reduction_width())
        .with("LEN", sample_len(shape))
        .with("SMALLEST", SMALLEST)
        .workgroups(shape[0], 1, 1)
}

impl Graph {
    /// Scales each sample of `[N, C, H, W]` to a root mean square of one.
    pub fn unit_rms(&mut self, x: Tensor) -> Result<Tensor, EngineError> {
        self.push(UnitRms, &[x])
    }
}
