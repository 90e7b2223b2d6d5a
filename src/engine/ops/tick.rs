//! The op that adds one to the step counter.

use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::cpu::CpuKernel;
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Mutation};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::Shape;
use crate::engine::variables::VarId;

/// Adds one to a counter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick(pub VarId);

impl Rule for Tick {
    fn name(&self) -> &'static str {
        "tick"
    }

    fn infer(&self, _inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        Ok(Vec::new())
    }

    fn mutates(&self) -> Vec<Mutation> {
        vec![Mutation::Variable(self.0)]
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        call.mutated[0][0] += T::one();
    }

    fn cpu(&self, _inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        CpuKernel::new(|call| call.mutated[0][0] += 1.0)
    }

    fn gpu(&self, _call: &GpuCall) -> Vec<Dispatch> {
        vec![Dispatch::new("tick", &[Slot::Mutated(0)])]
    }
}

impl Graph {
    /// Adds one to the scalar variable `counter`; exact up to 2^24.
    pub fn tick(&mut self, counter: VarId) -> Result<(), EngineError> {
        self.push_many(Tick(counter), &[])?;
        Ok(())
    }
}
