//! The gradients of batch norm.

use super::batch_norm::elements;
use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::cpu::{self, CpuKernel};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::Shape;

/// Gradients of batch norm. With `z` the normalised input and sums over the `m` elements of a set:
/// `dx = scale inverse (dy - sum(dy)/m - z sum(dy z)/m)`, without the sums where the statistics were
/// fixed; `dscale = sum(dy z)`, `dshift = sum(dy)` over all sets.
/// Inputs: dy, x, scale, statistics. Outputs: dx, dscale, dshift.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchNormGrad {
    pub sets: usize,
    pub fixed: bool,
}

impl Rule for BatchNormGrad {
    fn name(&self) -> &'static str {
        "batch_norm_grad"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        Ok(vec![inputs[1], inputs[2], inputs[2]])
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let [_, channels, ..] = call.input_shapes[1];
        let (dy, x, scale, statistics) = (call.inputs[0], call.inputs[1], call.inputs[2], call.inputs[3]);
        call.outputs[1].fill(T::zero());
        call.outputs[2].fill(T::zero());
        for set in 0..self.sets {
            for c in 0..channels {
                let elements = elements(call.input_shapes[1], self.sets, set, c);
                let mean = statistics[2 * set * channels + c];
                let inverse = statistics[(2 * set + 1) * channels + c];
                let normal = |i: usize| (x[i] - mean) * inverse;
                let sum = elements.clone().map(|i| dy[i]).sum::<T>();
                let product = elements.clone().map(|i| dy[i] * normal(i)).sum::<T>();
                let share = if self.fixed { T::zero() } else { T::one() / T::of(elements.clone().count() as f64) };
                for i in elements {
                    call.outputs[0][i] = scale[c] * inverse * (dy[i] - share * (sum + normal(i) * product));
                }
                call.outputs[1][c] += product;
                call.outputs[2][c] += sum;
            }
        }
    }

    fn cpu(&self, inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        cpu::batch_norm_grad(self, inputs[1])
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let [n, channels, h, w] = call.inputs[1];
        let bindings = [Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Input(3)].into_iter().chain([
            Slot::Output(0),
            Slot::Output(1),
            Slot::Output(2),
        ]);
        let dispatch = Dispatch::new("batch_norm_grad", &bindings.collect::<Vec<_>>())
            .channels([n, channels, h * w], 1, call.target)
            .with("SETS", self.sets)
            .with("IMAGES", n / self.sets)
            .with("FIXED", self.fixed);
        vec![dispatch]
    }
}
