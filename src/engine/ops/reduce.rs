//! Sum and mean of all elements.

use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::autograd::Arrived;
use crate::engine::cpu::{CpuKernel, sum};
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::{SCALAR, Shape, count};

/// `y = factor * sum(x)`, a scalar: a sum or a mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reduce {
    pub factor: f32,
}

impl Rule for Reduce {
    fn name(&self) -> &'static str {
        "reduce"
    }

    fn infer(&self, _inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        Ok(vec![SCALAR])
    }

    fn backward(&self, graph: &mut Graph, at: &Arrived) -> Result<Vec<Option<Tensor>>, EngineError> {
        let shape = graph.shape(at.inputs[0]);
        Ok(vec![Some(graph.broadcast(at.gradient()?, shape, self.factor)?)])
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        call.outputs[0][0] = T::of(self.factor.into()) * call.inputs[0].iter().copied().sum();
    }

    fn cpu(&self, _inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        let factor = self.factor;
        CpuKernel::new(move |call| call.outputs[0][0] = factor * sum(call.arch, [call.inputs[0]], |[x]| x))
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let dispatch = Dispatch::new("reduce", &[Slot::Input(0), Slot::Output(0)])
            .with("WIDTH", call.target.adapter.width_to_reduce(count(call.inputs[0])))
            .with("LEN", count(call.inputs[0]))
            .with("FACTOR", self.factor);
        vec![dispatch]
    }
}

impl Graph {
    /// Sum of all elements, a scalar.
    pub fn sum(&mut self, x: Tensor) -> Result<Tensor, EngineError> {
        if self.shape(x) == SCALAR { Ok(x) } else { self.push(Reduce { factor: 1.0 }, &[x]) }
    }

    /// Mean of all elements, a scalar.
    pub fn mean(&mut self, x: Tensor) -> Result<Tensor, EngineError> {
        if self.shape(x) == SCALAR {
            return Ok(x);
        }
        self.push(Reduce { factor: 1.0 / count(self.shape(x)) as f32 }, &[x])
    }
}
