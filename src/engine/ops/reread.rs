use super::kernel::{Dispatch, Slot};
use super::{GpuCall, Real, ReferenceCall, Rule};
use crate::engine::cpu::CpuKernel;
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::shape::{Shape, count};

/// Invocations.
const LANES: usize = 8;

/// `y[lane] = sum_i x[(lane + 8 i) mod len]`, of quads and for so many loads in all: nothing but loads, to be timed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reread {
    pub loads: usize,
}

impl Rule for Reread {
    fn name(&self) -> &'static str {
        "reread"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        match count(inputs[0]) {
            len if len > 0 && len.is_multiple_of(4) => Ok(vec![[1, 1, LANES, 4]]),
            _ => Err(format!("{:?} does not divide into quads", inputs[0])),
        }
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let (loads, quads) = (self.loads, call.inputs[0].len() / 4);
        call.each(|inputs, i| (i / 4..loads).step_by(LANES).map(|load| inputs[0][load % quads * 4 + i % 4]).sum());
    }

    fn cpu(&self, inputs: &[Shape], outputs: &[Shape]) -> CpuKernel {
        CpuKernel::reference(self, inputs, outputs)
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let dispatch = Dispatch::new("reread", &[Slot::Input(0), Slot::Output(0)]);
        vec![dispatch.with("LANES", LANES).with("LOADS", self.loads).with("QUADS", count(call.inputs[0]) / 4)]
    }
}

impl Graph {
    /// `[1, 1, 8, 4]` of sums over quads of `x`, of which eight lanes load so many in all, in turn: what is timed to learn how dear
    /// loads are.
    pub fn reread(&mut self, x: Tensor, loads: usize) -> Result<Tensor, EngineError> {
        self.push(Reread { loads }, &[x])
    }
}
