//! What a convolution does to its sums before it stores them.

use crate::engine::activation::Activation;
use crate::engine::number::Real;
use crate::engine::ops::Fusible;
use crate::engine::shape::Shape;

/// What a convolution does to each sum before it is stored.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Epilogue {
    /// Adds a bias, the third input.
    pub bias: bool,
    /// Adds a tensor like the result, the input after the bias.
    pub adds: bool,
    pub activation: Activation,
    /// Multiplies by the activation's slope where its output was the last input.
    pub activation_grad: Option<Activation>,
}

impl Epilogue {
    fn inputs(&self) -> usize {
        self.activated_input() + usize::from(self.activation_grad.is_some())
    }

    /// Which input is added.
    pub(crate) fn added_input(&self) -> usize {
        2 + usize::from(self.bias)
    }

    /// Which input is the activation's output.
    pub(crate) fn activated_input(&self) -> usize {
        self.added_input() + usize::from(self.adds)
    }

    /// Does the work of an op after the convolution too, if nothing else comes after the sum yet.
    pub(crate) fn absorb(&mut self, next: Fusible) -> bool {
        match next {
            _ if !self.is_open() => return false,
            Fusible::Activation(activation) => self.activation = activation,
            Fusible::ActivationGrad(activation) => self.activation_grad = Some(activation),
            Fusible::Add if !self.adds => self.adds = true,
            Fusible::Add => return false,
        }
        true
    }

    /// Whether fusion may still add something after the sum.
    fn is_open(&self) -> bool {
        self.activation == Activation::Identity && self.activation_grad.is_none()
    }

    /// Refuses inputs that do not go with an output of `shape`.
    pub(crate) fn check(&self, inputs: &[Shape], shape: Shape) -> Result<(), String> {
        if inputs.len() != self.inputs() {
            return Err(format!("takes {} inputs, not {}", self.inputs(), inputs.len()));
        }
        if self.bias && inputs[2] != [1, shape[1], 1, 1] {
            return Err(format!("the bias {:?} must be [1, {}, 1, 1]", inputs[2], shape[1]));
        }
        match inputs[self.added_input()..].iter().find(|&&input| input != shape) {
            Some(other) => Err(format!("what is added and the activation's output must be {shape:?}, not {other:?}")),
            None => Ok(()),
        }
    }

    /// Applies to the sums in `y`, on the CPU.
    pub(crate) fn apply<T: Real>(&self, inputs: &[&[T]], shape: Shape, y: &mut [T]) {
        let plane = shape[2] * shape[3];
        for (i, v) in y.iter_mut().enumerate() {
            if self.bias {
                *v += inputs[2][i / plane % shape[1]];
            }
            if self.adds {
                *v += inputs[self.added_input()][i];
            }
            *v = self.activation.of(*v);
            if let Some(activation) = self.activation_grad {
                *v *= activation.slope(inputs[self.activated_input()][i]);
            }
        }
    }
}
