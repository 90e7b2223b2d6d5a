//! The op that applies an activation, and its gradient.

use super::{Fusible, GpuCall, ReferenceCall, Rule};
use crate::engine::activation::Activation;
use crate::engine::autograd::Arrived;
use crate::engine::cpu::{self, CpuKernel};
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::{Shape, count};

/// `y = activation(x)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activate(pub Activation);

impl Rule for Activate {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        match self.0 {
            Activation::LeakyRelu(slope) if !(slope > 0.0 && slope.is_finite()) => {
                Err(format!("the slope of a leaky ReLU must be positive, not {slope}"))
            }
            _ => Ok(vec![inputs[0]]),
        }
    }

    fn backward(&self, graph: &mut Graph, at: &Arrived) -> Result<Vec<Option<Tensor>>, EngineError> {
        Ok(vec![Some(graph.push(ActivationGrad(self.0), &[at.gradient()?, at.outputs[0]])?)])
    }

    fn fusible(&self) -> Option<Fusible> {
        Some(Fusible::Activation(self.0))
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        call.each(|inputs, i| self.0.of(inputs[0][i]));
    }

    fn cpu(&self, _inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        cpu::activation(self.0)
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let dispatch = Dispatch::new("activation", &[Slot::Input(0), Slot::Output(0)]);
        vec![self.0.declare(dispatch).over_vec4s(count(call.outputs[0]), call.target)]
    }
}

/// `dx = dy * slope(y)`, of the activation's output `y`. Inputs: dy, y.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActivationGrad(pub Activation);

impl Rule for ActivationGrad {
    fn name(&self) -> &'static str {
        "activation_grad"
    }

    fn fusible(&self) -> Option<Fusible> {
        Some(Fusible::ActivationGrad(self.0))
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        call.each(|inputs, i| inputs[0][i] * self.0.slope(inputs[1][i]));
    }

    fn cpu(&self, _inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        cpu::activation_grad(self.0)
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let dispatch = Dispatch::new("activation_grad", &[Slot::Input(0), Slot::Input(1), Slot::Output(0)]);
        vec![self.0.declare(dispatch).over_vec4s(count(call.outputs[0]), call.target)]
    }
}

impl Graph {
    /// Element-wise `activation`; the shape stays.
    pub fn activation(&mut self, x: Tensor, activation: Activation) -> Result<Tensor, EngineError> {
        if activation == Activation::Identity {
            return Ok(x);
        }
        self.push(Activate(activation), &[x])
    }
}
