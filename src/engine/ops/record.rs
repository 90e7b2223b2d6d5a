//! The op that writes a step's losses to a row of a history.

use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::cpu::CpuKernel;
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Mutation, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::{SCALAR, Shape};
use crate::engine::variables::{VarId, Variables};

/// Most values that one record holds: what a kernel can bind.
const MAX_LOSSES: usize = 4;

/// `history[step mod rows] = values`. Inputs: step, then the values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub history: VarId,
    pub rows: usize,
}

impl Rule for Record {
    fn name(&self) -> &'static str {
        "record"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        if inputs.len() < 2 || inputs.len() > MAX_LOSSES + 1 {
            return Err(format!("takes 1 to {MAX_LOSSES} values, not {}", inputs.len().saturating_sub(1)));
        }
        match inputs.iter().find(|&&shape| shape != SCALAR) {
            Some(shape) => Err(format!("takes scalars, not {shape:?}")),
            None => Ok(Vec::new()),
        }
    }

    fn mutates(&self) -> Vec<Mutation> {
        vec![Mutation::Variable(self.history)]
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let values = call.inputs.len() - 1;
        let row = call.inputs[0][0].to_usize().unwrap_or(0) % self.rows;
        for (slot, value) in call.inputs[1..].iter().enumerate() {
            call.mutated[0][row * values + slot] = value[0];
        }
    }

    fn cpu(&self, inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        let (rows, values) = (self.rows, inputs.len() - 1);
        CpuKernel::new(move |call| {
            let row = call.inputs[0][0] as usize % rows;
            let row = &mut call.mutated[0][row * values..][..values];
            row.iter_mut().zip(&call.inputs[1..]).for_each(|(slot, value)| *slot = value[0]);
        })
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let values = call.inputs.len() - 1;
        let mut bindings = vec![Slot::Mutated(0), Slot::Input(0)];
        bindings.extend((1..=MAX_LOSSES).map(|i| if i <= values { Slot::Input(i) } else { Slot::Unused }));
        // One lane works; with the others it can run beside kernels of the usual width.
        let dispatch = Dispatch::new("record", &bindings).with("WIDTH", call.target.adapter.width);
        vec![dispatch.with("ROWS", self.rows).with("VALUES", values)]
    }
}

impl Graph {
    /// Keeps up to four scalars in row `step mod rows` of the variable `history`, `[1, 1, rows, values]`.
    pub fn record(
        &mut self,
        variables: &Variables,
        history: VarId,
        step: Tensor,
        values: &[Tensor],
    ) -> Result<(), EngineError> {
        let [_, _, rows, _] = variables.shape(history);
        let inputs: Vec<Tensor> = std::iter::once(step).chain(values.iter().copied()).collect();
        self.push_many(Record { history, rows }, &inputs)?;
        Ok(())
    }
}
