use super::kernel::{Dispatch, Slot};
use super::{GpuCall, Real, ReferenceCall, Rule};
use crate::engine::autograd::Arrived;
use crate::engine::cpu::{self, CpuKernel};
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::shape::{Shape, count};

/// An element-wise non-linearity.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// `v`.
    #[default]
    Identity,
    /// `max(v, 0)`.
    Relu,
    /// `v` where positive, else `v` times this slope. The slope must be positive.
    LeakyRelu(f32),
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-v))`.
    Sigmoid,
}

impl Activation {
    /// The activation of `v`.
    pub(crate) fn of<T: Real>(self, v: T) -> T {
        match self {
            Self::Identity => v,
            // Not `max`, which would hide NaN.
            Self::Relu if v < T::zero() => T::zero(),
            Self::Relu => v,
            Self::LeakyRelu(slope) => {
                if v > T::zero() {
                    v
                } else {
                    v * T::of(slope.into())
                }
            }
            Self::Tanh => v.tanh(),
            Self::Sigmoid => T::one() / (T::one() + (-v).exp()),
        }
    }

    /// The derivative where the activation is `y`.
    pub(crate) fn slope<T: Real>(self, y: T) -> T {
        match self {
            Self::Identity => T::one(),
            Self::Relu | Self::LeakyRelu(_) if y > T::zero() => T::one(),
            Self::Relu => T::zero(),
            Self::LeakyRelu(slope) => T::of(slope.into()),
            Self::Tanh => T::one() - y * y,
            Self::Sigmoid => y * (T::one() - y),
        }
    }

    /// Declares what `shaders/common/activation.wgsl` needs.
    pub(crate) fn declare(self, dispatch: Dispatch) -> Dispatch {
        self.declare_as(dispatch, "")
    }

    /// The same with names that begin with `prefix`.
    pub(crate) fn declare_as(self, dispatch: Dispatch, prefix: &str) -> Dispatch {
        let (number, slope) = match self {
            Self::Identity => (0, 0.0),
            Self::Relu => (1, 0.0),
            Self::LeakyRelu(slope) => (2, slope),
            Self::Tanh => (3, 0.0),
            Self::Sigmoid => (4, 0.0),
        };
        dispatch.with(&format!("{prefix}ACTIVATION"), number as u32).with(&format!("{prefix}NEGATIVE_SLOPE"), slope)
    }
}

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

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        call.each(|inputs, i| self.0.of(inputs[0][i]));
    }

    fn cpu(&self, _inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        cpu::activation(self.0)
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let dispatch = Dispatch::new("activation", &[Slot::Input(0), Slot::Output(0)]);
        vec![self.0.declare(dispatch).over_quads(count(call.outputs[0]), call.tuning)]
    }
}

/// `dx = dy * slope(y)`, of the activation's output `y`. Inputs: dy, y.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActivationGrad(pub Activation);

impl Rule for ActivationGrad {
    fn name(&self) -> &'static str {
        "activation_grad"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        Ok(vec![inputs[0]])
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        call.each(|inputs, i| inputs[0][i] * self.0.slope(inputs[1][i]));
    }

    fn cpu(&self, _inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        cpu::activation_grad(self.0)
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let dispatch = Dispatch::new("activation_grad", &[Slot::Input(0), Slot::Input(1), Slot::Output(0)]);
        vec![self.0.declare(dispatch).over_quads(count(call.outputs[0]), call.tuning)]
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
