//! The op `factor * x`.

use std::sync::Arc;

use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::autograd::Arrived;
use crate::engine::cpu::{CpuKernel, each};
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Source, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::{Shape, count};

/// `y = factor * x`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub factor: f32,
}

impl Rule for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn backward(&self, graph: &mut Graph, at: &Arrived) -> Result<Vec<Option<Tensor>>, EngineError> {
        Ok(vec![Some(graph.scale(at.gradient()?, self.factor)?)])
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let factor = T::of(self.factor.into());
        call.each(|inputs, i| factor * inputs[0][i]);
    }

    fn cpu(&self, _inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        let factor = self.factor;
        CpuKernel::new(move |call| each(call.arch, [call.inputs[0]], call.outputs[0], |[x]| factor * x))
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let dispatch = Dispatch::new("scale", &[Slot::Input(0), Slot::Output(0)]);
        vec![dispatch.with("FACTOR", self.factor).over_vec4s(count(call.outputs[0]), call.target)]
    }
}

impl Graph {
    /// `factor * x`. A constant is scaled at once.
    pub fn scale(&mut self, x: Tensor, factor: f32) -> Result<Tensor, EngineError> {
        if factor == 1.0 {
            return Ok(x);
        }
        if let Source::Constant(data) = &self.values[x.0 as usize].source {
            let scaled: Arc<[f32]> = data.iter().map(|v| factor * v).collect();
            return self.constant(self.shape(x), &scaled);
        }
        self.push(Scale { factor }, &[x])
    }

    /// A tensor of its own with the numbers of `x`.
    pub(crate) fn copy(&mut self, x: Tensor) -> Result<Tensor, EngineError> {
        self.push(Scale { factor: 1.0 }, &[x])
    }
}
