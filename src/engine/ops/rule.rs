//! What every op says of itself: shapes, gradients, fusion, plain reference, kernels. Nothing here names an op.

use crate::engine::activation::Activation;
use crate::engine::autograd::Arrived;
use crate::engine::conv::ConvShape;
use crate::engine::cpu::CpuKernel;
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Mutation, Tensor};
use crate::engine::kernel::{Dispatch, Target};
use crate::engine::number::Real;
use crate::engine::shape::Shape;
use crate::engine::variables::VarId;

/// What every op says of itself.
pub(crate) trait Rule {
    /// Name in errors and profiles, that of its file and shader.
    fn name(&self) -> &'static str;

    /// Shapes of the outputs, or what is wrong with the inputs: one like the first of them, unless the op says otherwise.
    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        Ok(vec![inputs[0]])
    }

    /// Adds the ops that compute the gradient by each input; `None` for those not wanted or without.
    fn backward(&self, _graph: &mut Graph, _at: &Arrived) -> Result<Vec<Option<Tensor>>, EngineError> {
        Err(EngineError::NotDifferentiable { op: self.name().into() })
    }

    /// What the op changes in place.
    fn mutates(&self) -> Vec<Mutation> {
        Vec::new()
    }

    /// Inputs that are placed in a variable, because the op reads them there, in a group that it changes; by their
    /// index.
    fn placed_inputs(&self) -> Vec<(usize, VarId)> {
        Vec::new()
    }

    /// What the op is to one that makes its input and could do its work in the same kernel.
    fn fusible(&self) -> Option<Fusible> {
        None
    }

    /// Does the work of an op that reads its first output, if it can, which then holds that op's result. The other
    /// input of a sum or an activation's gradient becomes its last.
    fn absorb(&mut self, _next: Fusible) -> bool {
        false
    }

    /// Which loss the op is the gradient of, if of any.
    fn gradient_of(&self) -> Option<LossOf> {
        None
    }

    /// Does the work of its gradient by `x`, if it can, with one more output; `ready` if `dy` is there in time. Its
    /// inputs may change places.
    fn absorb_gradient(&mut self, _inputs: &mut Vec<Tensor>, _gradient: GradientInputs, _ready: bool) -> bool {
        false
    }

    /// Multiply-accumulates, zero for ops that are not sums of products.
    fn macs(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
        self.convolution(inputs, outputs).map_or(0, |convolution| convolution.macs())
    }

    /// The convolution that the op is, if it is one.
    fn convolution(&self, _inputs: &[Shape], _outputs: &[Shape]) -> Option<ConvShape> {
        None
    }

    /// The plain reference of the kernels, in `f32` or `f64`: what they are checked against.
    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>);

    /// What the CPU executor runs, made ready for these shapes.
    fn cpu(&self, inputs: &[Shape], outputs: &[Shape]) -> CpuKernel;

    /// The kernels to run in order.
    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch>;
}

/// An element-wise op that another can do at the end of its own kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fusible {
    Activation(Activation),
    ActivationGrad(Activation),
    /// The plain sum of two tensors.
    Add,
}

/// How the loss is found that an op is the gradient of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LossOf {
    /// It made this input.
    Input(usize),
    /// It has this name and the same first two inputs.
    Named(&'static str),
}

/// What the gradient of a loss by `x` reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GradientInputs {
    pub x: Tensor,
    pub other: Tensor,
    pub dy: Tensor,
}

/// One execution of an op by its plain reference. Outputs arrive filled with NaN.
pub(crate) struct ReferenceCall<'a, T> {
    pub inputs: Vec<&'a [T]>,
    pub input_shapes: &'a [Shape],
    pub outputs: &'a mut [Vec<T>],
    pub output_shapes: &'a [Shape],
    /// In the order of [`Rule::mutates`].
    pub mutated: Vec<&'a mut [T]>,
}

impl<T: Real> ReferenceCall<'_, T> {
    /// Sets each element of the first output to `f` of its index.
    pub(crate) fn each(&mut self, f: impl Fn(&[&[T]], usize) -> T) {
        let inputs = &self.inputs;
        for (i, y) in self.outputs[0].iter_mut().enumerate() {
            *y = f(inputs, i);
        }
    }
}

/// What an op may know when it chooses its kernels.
pub(crate) struct GpuCall<'a> {
    pub inputs: &'a [Shape],
    pub outputs: &'a [Shape],
    pub target: &'a Target,
}
