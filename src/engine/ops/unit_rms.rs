//! The op that scales each sample to a root mean square of one, and its gradient.

use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::autograd::Arrived;
use crate::engine::cpu::{CpuKernel, each, sum};
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::{Shape, count};

/// Norms below this count as this, so that a vector of zeros stays one.
pub(crate) const MIN_NORM: f32 = 1e-6;

/// Latent normalisation: `y = x sqrt(n) / max(||x||, MIN_NORM)` for each sample of `n` elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnitRms;

impl Rule for UnitRms {
    fn name(&self) -> &'static str {
        "unit_rms"
    }

    fn backward(&self, graph: &mut Graph, at: &Arrived) -> Result<Vec<Option<Tensor>>, EngineError> {
        Ok(vec![Some(graph.push(UnitRmsGrad, &[at.inputs[0], at.gradient()?])?)])
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let len = sample_len(call.input_shapes[0]);
        for (x, y) in call.inputs[0].chunks_exact(len).zip(call.outputs[0].chunks_exact_mut(len)) {
            let scale = scale(x);
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = scale * x);
        }
    }

    fn cpu(&self, inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        let len = sample_len(inputs[0]);
        CpuKernel::new(move |call| {
            for (x, y) in call.inputs[0].chunks_exact(len).zip(call.outputs[0].chunks_exact_mut(len)) {
                let scale = scale_of(sum(call.arch, [x], |[v]| v * v), len);
                each(call.arch, [x], y, |[x]| scale * x);
            }
        })
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

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let len = sample_len(call.input_shapes[0]);
        let samples = call.inputs[0].chunks_exact(len).zip(call.inputs[1].chunks_exact(len));
        for ((x, dy), dx) in samples.zip(call.outputs[0].chunks_exact_mut(len)) {
            let s = scale(x);
            let along = along(s, x.iter().zip(dy).map(|(&x, &dy)| x * dy).sum(), len);
            dx.iter_mut().zip(x.iter().zip(dy)).for_each(|(dx, (&x, &dy))| *dx = s * dy - along * x);
        }
    }

    fn cpu(&self, inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        let len = sample_len(inputs[0]);
        CpuKernel::new(move |call| {
            let samples = call.inputs[0].chunks_exact(len).zip(call.inputs[1].chunks_exact(len));
            for ((x, dy), dx) in samples.zip(call.outputs[0].chunks_exact_mut(len)) {
                let s = scale_of(sum(call.arch, [x], |[v]| v * v), len);
                let along = along(s, sum(call.arch, [x, dy], |[x, dy]| x * dy), len);
                each(call.arch, [x, dy], dx, |[x, dy]| s * dy - along * x);
            }
        })
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        vec![dispatch("unit_rms_grad", &[Slot::Input(0), Slot::Input(1), Slot::Output(0)], call)]
    }
}

fn sample_len(shape: Shape) -> usize {
    count(shape) / shape[0]
}

pub(super) fn scale<T: Real>(x: &[T]) -> T {
    scale_of(x.iter().map(|&v| v * v).sum(), x.len())
}

/// What a sample of so many elements is multiplied by, of the sum of their squares.
fn scale_of<T: Real>(squares: T, len: usize) -> T {
    T::of((len as f64).sqrt()) / squares.sqrt().max(T::of(MIN_NORM.into()))
}

/// How much of a sample of so many elements its gradient loses, which was scaled by `s` and whose product with the
/// gradient is `dot`.
fn along<T: Real>(s: T, dot: T, len: usize) -> T {
    let n = T::of(len as f64);
    let counts = s < n.sqrt() / T::of(MIN_NORM.into());
    if counts { s * s * s * dot / n } else { T::zero() }
}

fn dispatch(shader: &'static str, bindings: &[Slot], call: &GpuCall) -> Dispatch {
    let shape = call.inputs[0];
    Dispatch::new(shader, bindings)
        .with("WIDTH", call.target.adapter.width_to_reduce(sample_len(shape)))
        .with("LEN", sample_len(shape))
        .with("MIN_NORM", MIN_NORM)
        .workgroups(shape[0], 1, 1)
}

impl Graph {
    /// Scales each sample of `[N, C, H, W]` to a root mean square of one.
    pub fn unit_rms(&mut self, x: Tensor) -> Result<Tensor, EngineError> {
        self.push(UnitRms, &[x])
    }
}
