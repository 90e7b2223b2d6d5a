//! The op `a + factor * b`.

use super::{Fusible, GpuCall, ReferenceCall, Rule};
use crate::engine::autograd::Arrived;
use crate::engine::cpu::{CpuKernel, each};
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::{Shape, count};

/// `y = a + factor * b`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddScaled {
    pub factor: f32,
}

impl Rule for AddScaled {
    fn name(&self) -> &'static str {
        "add_scaled"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        if inputs[0] != inputs[1] {
            return Err(format!("{:?} and {:?} differ", inputs[0], inputs[1]));
        }
        Ok(vec![inputs[0]])
    }

    fn backward(&self, graph: &mut Graph, at: &Arrived) -> Result<Vec<Option<Tensor>>, EngineError> {
        let dy = at.gradient()?;
        Ok(vec![Some(dy), at.wants(1, || graph.scale(dy, self.factor))?])
    }

    fn fusible(&self) -> Option<Fusible> {
        (self.factor == 1.0).then_some(Fusible::Add)
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let factor = T::of(self.factor.into());
        call.each(|inputs, i| inputs[0][i] + factor * inputs[1][i]);
    }

    fn cpu(&self, _inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        let factor = self.factor;
        CpuKernel::new(move |call| {
            each(call.arch, [call.inputs[0], call.inputs[1]], call.outputs[0], |[a, b]| a + factor * b);
        })
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let dispatch = Dispatch::new("add_scaled", &[Slot::Input(0), Slot::Input(1), Slot::Output(0)]);
        vec![dispatch.with("FACTOR", self.factor).over_vec4s(count(call.outputs[0]), call.target)]
    }
}

impl Graph {
    /// `a + b`, of equal shapes.
    pub fn add(&mut self, a: Tensor, b: Tensor) -> Result<Tensor, EngineError> {
        self.push(AddScaled { factor: 1.0 }, &[a, b])
    }

    /// `a - b`, of equal shapes.
    pub fn sub(&mut self, a: Tensor, b: Tensor) -> Result<Tensor, EngineError> {
        self.push(AddScaled { factor: -1.0 }, &[a, b])
    }
}
