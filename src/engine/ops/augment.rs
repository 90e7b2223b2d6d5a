//! The op that shifts, mirrors and turns the images of a step, as a table says.

use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::cpu::CpuKernel;
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::{SCALAR, Shape, count};

/// What is done to an image: turned by quarters, then mirrored left to right, then shifted. What a shift uncovers takes
/// the nearest pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transformation {
    /// Quarter turns, 0 to 3.
    pub turns: u32,
    /// Whether left and right change places.
    pub mirrored: bool,
    /// Half rolled: 0 no, 1 rows, 2 columns, 3 both.
    pub roll: u32,
    /// 0 as it is, 1 and 2 channels in turn, 3 negative.
    pub colour: u32,
    /// Pixels that the image moves up and left.
    pub shift: [i32; 2],
}

impl Transformation {
    /// The number that stands for it in a table of shifts of at most `max_shift` pixels; exact as `f32` up to 512.
    pub fn code(self, max_shift: u32) -> f32 {
        let shifts = 2 * max_shift + 1;
        let [up, left] = self.shift.map(|shift| (shift + max_shift as i32) as u32);
        ((up * shifts + left) * 128 + self.colour * 32 + self.roll * 8 + u32::from(self.mirrored) * 4 + self.turns) as f32
    }

    fn of(code: u32, max_shift: u32) -> Self {
        let shifts = 2 * max_shift + 1;
        let shift = [code / (128 * shifts), code / 128 % shifts].map(|shift| shift as i32 - max_shift as i32);
        Self { turns: code & 3, mirrored: code & 4 != 0, roll: code / 8 & 3, colour: code / 32 & 3, shift }
    }

    /// Where the pixel comes from that lies there afterwards, in a square of this side.
    fn source(self, [row, column]: [usize; 2], side: usize) -> usize {
        let last = side as i32 - 1;
        let mut row = (row as i32 + self.shift[0]).clamp(0, last);
        let mut column = (column as i32 + self.shift[1]).clamp(0, last);
        if self.mirrored {
            column = last - column;
        }
        (row, column) = match self.turns {
            0 => (row, column),
            1 => (column, last - row),
            2 => (last - row, last - column),
            _ => (last - column, row),
        };
        let mut place = [row as usize, column as usize];
        if self.roll & 1 != 0 {
            place[0] = (place[0] + side / 2) % side;
        }
        if self.roll & 2 != 0 {
            place[1] = (place[1] + side / 2) % side;
        }
        place[0] * side + place[1]
    }
}

/// `y[n]` is `x[n]` transformed as `codes[(step * N + n) mod len]` says. Inputs: x, codes, step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Augment {
    pub max_shift: u32,
}

impl Rule for Augment {
    fn name(&self) -> &'static str {
        "augment"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [_, _, h, w] = inputs[0];
        if h != w {
            return Err(format!("images must be square, not {h} x {w}"));
        }
        if inputs[2] != SCALAR {
            return Err(format!("the step counter must be a scalar, not {:?}", inputs[2]));
        }
        Ok(vec![inputs[0]])
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let [batch, channels, side, _] = call.output_shapes[0];
        let max_shift = self.max_shift;
        call.each(|inputs, i| {
            let at = |index: T| index.to_usize().unwrap_or(0);
            let code = at(inputs[1][(at(inputs[2][0]) * batch + i / (channels * side * side)) % inputs[1].len()]);
            let plane = i / (side * side) * (side * side);
            let from = Transformation::of(code as u32, max_shift).source([i / side % side, i % side], side);
            inputs[0][plane + from]
        });
    }

    fn cpu(&self, _inputs: &[Shape], outputs: &[Shape]) -> CpuKernel {
        let [batch, channels, side, _] = outputs[0];
        let (plane, max_shift) = (side * side, self.max_shift);
        CpuKernel::new(move |call| {
            let [x, codes, step] = [call.inputs[0], call.inputs[1], call.inputs[2]];
            let samples = x.chunks_exact(channels * plane).zip(call.outputs[0].chunks_exact_mut(channels * plane));
            for (n, (x, y)) in samples.enumerate() {
                let code = codes[(step[0] as usize * batch + n) % codes.len()];
                let transformation = Transformation::of(code as u32, max_shift);
                for (place, row) in (0..side).flat_map(|row| (0..side).map(move |column| [row, column])).enumerate() {
                    let from = transformation.source(row, side);
                    for channel in 0..channels {
                        let (other, sign) = match transformation.colour {
                            3 => (channel, -1.0),
                            turn => ((channel + turn as usize) % channels, 1.0),
                        };
                        y[channel * plane + place] = sign * x[other * plane + from];
                    }
                }
            }
        })
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let [batch, channels, side, _] = call.outputs[0];
        let bindings = [Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Output(0)];
        let dispatch = Dispatch::new("augment", &bindings)
            .with("BATCH", batch)
            .with("CODES", count(call.inputs[1]))
            .with("SAMPLE", channels * side * side)
            .with("SIDE", side)
            .with("SHIFTS", 2 * self.max_shift as usize + 1)
            .with("MAX_SHIFT", self.max_shift as usize);
        vec![dispatch.over(count(call.outputs[0]), call.target)]
    }
}

impl Graph {
    /// The square images `x` `[N, C, S, S]`, transformed: `codes` holds a [`Transformation::code`] for each image of
    /// each step, `step` is a scalar counter. Step `s` takes the entries of `codes` from `s * N` on and starts again at
    /// its end. No gradient.
    pub fn augment(&mut self, x: Tensor, codes: Tensor, step: Tensor, max_shift: u32) -> Result<Tensor, EngineError> {
        self.push(Augment { max_shift }, &[x, codes, step])
    }
}
