//! Binary cross-entropy of logits, and its gradient.

use super::{GpuCall, GradientInputs, LossOf, ReferenceCall, Rule};
use crate::engine::autograd::Arrived;
use crate::engine::cpu::CpuKernel;
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::{Shape, count};

/// `y = max(l, 0) - l t + log(1 + exp(-|l|))` of logits `l` and targets `t`, element-wise; with the work of
/// [`BceWithLogitsGrad`] if `gradient`: then `dy` is a third input, and `dl` a second output.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BceWithLogits {
    pub gradient: bool,
}

impl Rule for BceWithLogits {
    fn name(&self) -> &'static str {
        "bce_with_logits"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        if inputs[0] != inputs[1] {
            return Err(format!("logits {:?} and targets {:?} differ", inputs[0], inputs[1]));
        }
        Ok(vec![inputs[0]; 1 + usize::from(self.gradient)])
    }

    fn backward(&self, graph: &mut Graph, at: &Arrived) -> Result<Vec<Option<Tensor>>, EngineError> {
        let dl = graph.push(BceWithLogitsGrad, &[at.inputs[0], at.inputs[1], at.gradient()?])?;
        Ok(vec![Some(dl), None])
    }

    fn absorb_gradient(&mut self, inputs: &mut Vec<Tensor>, gradient: GradientInputs, ready: bool) -> bool {
        let absorbs = !self.gradient && ready;
        if absorbs {
            self.gradient = true;
            inputs.push(gradient.dy);
        }
        absorbs
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        call.each(|inputs, i| cross_entropy(inputs[0][i], inputs[1][i]));
        if let [_, gradient] = &mut call.outputs {
            gradient.iter_mut().enumerate().for_each(|(i, dl)| *dl = slope(&call.inputs, i));
        }
    }

    fn cpu(&self, _inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        CpuKernel::new(|call| {
            let pairs = call.inputs[0].iter().zip(call.inputs[1]);
            call.outputs[0].iter_mut().zip(pairs).for_each(|(y, (&l, &t))| *y = cross_entropy(l, t));
            if let [_, gradient] = call.outputs {
                gradient.iter_mut().enumerate().for_each(|(i, dl)| *dl = slope(call.inputs, i));
            }
        })
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let [dy, dl] =
            if self.gradient { [Slot::Input(2), Slot::Output(1)] } else { [Slot::Unused, Slot::UnusedOutput] };
        let dispatch = Dispatch::new("bce_with_logits", &[Slot::Input(0), Slot::Input(1), dy, Slot::Output(0), dl]);
        vec![dispatch.with("GRADIENT", self.gradient).over(count(call.outputs[0]), call.target)]
    }
}

/// `dl = dy (sigmoid(l) - t)`. Inputs: logits, targets, dy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BceWithLogitsGrad;

impl Rule for BceWithLogitsGrad {
    fn name(&self) -> &'static str {
        "bce_with_logits_grad"
    }

    fn gradient_of(&self) -> Option<LossOf> {
        Some(LossOf::Named("bce_with_logits"))
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        call.each(slope);
    }

    fn cpu(&self, _inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        CpuKernel::new(|call| {
            call.outputs[0].iter_mut().enumerate().for_each(|(i, dl)| *dl = slope(call.inputs, i));
        })
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let bindings = [Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Output(0)];
        vec![Dispatch::new("bce_with_logits_grad", &bindings).over(count(call.outputs[0]), call.target)]
    }
}

/// Of a logit and its target.
fn cross_entropy<T: Real>(l: T, t: T) -> T {
    l.max(T::zero()) - l * t + (-l.abs()).exp().ln_1p()
}

/// An element of the gradient; of the inputs of [`BceWithLogitsGrad`].
fn slope<T: Real>(inputs: &[&[T]], i: usize) -> T {
    let sigmoid = T::one() / (T::one() + (-inputs[0][i]).exp());
    inputs[2][i] * (sigmoid - inputs[1][i])
}

impl Graph {
    /// Binary cross-entropy of each logit with its target in 0..=1; shapes must agree and stay.
    /// No gradient passes to the targets.
    pub fn bce_with_logits(&mut self, logits: Tensor, targets: Tensor) -> Result<Tensor, EngineError> {
        self.push(BceWithLogits::default(), &[logits, targets])
    }
}
