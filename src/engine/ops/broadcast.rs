//! The op that repeats a scalar: the gradient of a sum or a mean.

use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::cpu::CpuKernel;
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::{Shape, count};

/// `factor` times a scalar at every element: the gradient of [`super::reduce::Reduce`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Broadcast {
    pub shape: Shape,
    pub factor: f32,
}

impl Rule for Broadcast {
    fn name(&self) -> &'static str {
        "broadcast"
    }

    fn infer(&self, _inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        Ok(vec![self.shape])
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let factor = T::of(self.factor.into());
        call.each(|inputs, _| factor * inputs[0][0]);
    }

    fn cpu(&self, _inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        let factor = self.factor;
        CpuKernel::new(move |call| call.outputs[0].fill(factor * call.inputs[0][0]))
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let dispatch = Dispatch::new("broadcast", &[Slot::Input(0), Slot::Output(0)]);
        vec![dispatch.with("FACTOR", self.factor).over(count(self.shape), call.target)]
    }
}

impl Graph {
    /// `factor` times the scalar `x` at every element of `shape`; a constant stays one.
    pub(crate) fn broadcast(&mut self, x: Tensor, shape: Shape, factor: f32) -> Result<Tensor, EngineError> {
        match self.known_scalar(x) {
            Some(known) => self.constant(shape, &vec![factor * known; count(shape)]),
            None => self.push(Broadcast { shape, factor }, &[x]),
        }
    }
}
