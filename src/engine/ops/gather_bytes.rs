//! The op that takes the images of a step from a ring of bytes on the device.

use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::cpu::CpuKernel;
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::{SCALAR, Shape, count};

/// Bytes of an element of the ring, the first of which is the lowest.
const PER_ELEMENT: usize = 4;
/// Values of a byte.
const LEVELS: usize = 256;

/// The images of step `step`, whose bytes lie in slot `step mod slots` of a ring: `y[i] = levels[ring[slot][i]]`.
/// Inputs: ring, levels, step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GatherBytes {
    pub shape: Shape,
}

impl Rule for GatherBytes {
    fn name(&self) -> &'static str {
        "gather_bytes"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let elements = count(self.shape).div_ceil(PER_ELEMENT);
        if inputs[0][1..] != [1, 1, elements] {
            return Err(format!("a slot for {:?} has {elements} elements, not {:?}", self.shape, &inputs[0][1..]));
        }
        if count(inputs[1]) != LEVELS {
            return Err(format!("{LEVELS} levels are needed, not {}", count(inputs[1])));
        }
        if inputs[2] != SCALAR {
            return Err(format!("the step counter must be a scalar, not {:?}", inputs[2]));
        }
        Ok(vec![self.shape])
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let [slots, .., elements] = call.input_shapes[0];
        call.each(|inputs, i| {
            let slot = inputs[2][0].to_usize().unwrap_or(0) % slots;
            let word = inputs[0][slot * elements + i / PER_ELEMENT].to_word();
            inputs[1][usize::from(word.to_le_bytes()[i % PER_ELEMENT])]
        });
    }

    fn cpu(&self, inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        let [slots, .., elements] = inputs[0];
        CpuKernel::new(move |call| {
            let [ring, levels, step] = [call.inputs[0], call.inputs[1], call.inputs[2]];
            let slot = &ring[step[0] as usize % slots * elements..][..elements];
            let bytes: &[u8] = bytemuck::cast_slice(slot);
            let Some(levels) = levels.first_chunk::<LEVELS>() else { unreachable!("a number for each byte") };
            for (y, &byte) in call.outputs[0].iter_mut().zip(bytes) {
                *y = levels[usize::from(byte)];
            }
        })
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let [slots, .., elements] = call.inputs[0];
        let bindings = [Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Output(0)];
        let dispatch = Dispatch::new("gather_bytes", &bindings).with("SLOTS", slots).with("ELEMENTS", elements);
        vec![dispatch.over_vec4s(count(call.outputs[0]), call.target)]
    }
}

impl Graph {
    /// The images of a step, of this `shape`, from a `ring` of bytes: step `s` finds its own in slot `s mod slots`. The
    /// ring is `[slots, 1, 1, bytes / 4]`, as [`Executor::write_bytes`](crate::engine::Executor::write_bytes) fills it,
    /// with the bytes of a slot rounded up to whole elements. `levels` are the 256 numbers that bytes stand for, `step`
    /// a scalar counter. No gradient.
    pub fn gather_bytes(
        &mut self,
        ring: Tensor,
        levels: Tensor,
        step: Tensor,
        shape: Shape,
    ) -> Result<Tensor, EngineError> {
        self.push(GatherBytes { shape }, &[ring, levels, step])
    }
}
