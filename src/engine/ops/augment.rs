//! The op that shifts, mirrors, turns and recolours the images of a step, each as a table says.

use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::cpu::CpuKernel;
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::{SCALAR, Shape, count};

/// What is done to an image: it is turned, then mirrored, then shifted, and its colours are changed. What a shift uncovers takes the
/// nearest pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transformation {
    /// Quarter turns to the left, 0 to 3.
    pub turns: u32,
    /// Whether left and right change places.
    pub mirrored: bool,
    /// What becomes of the colours.
    pub recolouring: Recolouring,
    /// Pixels that the image moves up and to the left.
    pub shift: [i32; 2],
}

/// What becomes of the colours of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recolouring {
    /// They stay.
    #[default]
    None,
    /// Each channel takes the values of the one after it, the last those of the first.
    Next,
    /// Each channel takes the values of the one before it.
    Previous,
    /// Light and dark change places.
    Negative,
}

/// Transformations that differ in all but the shift.
const KINDS: u32 = 32;

impl Recolouring {
    const ALL: [Self; 4] = [Self::None, Self::Next, Self::Previous, Self::Negative];

    /// The channel that a channel takes its values from, and what they are multiplied by.
    fn source(self, channel: usize, channels: usize) -> (usize, f32) {
        match self {
            Self::None => (channel, 1.0),
            Self::Next => ((channel + 1) % channels, 1.0),
            Self::Previous => ((channel + channels - 1) % channels, 1.0),
            Self::Negative => (channel, -1.0),
        }
    }
}

impl Transformation {
    /// The number that stands for it in a table of shifts of at most `max_shift` pixels. It is exact for 100 and less.
    pub fn code(self, max_shift: u32) -> f32 {
        let shifts = 2 * max_shift + 1;
        let [up, left] = self.shift.map(|shift| shift.saturating_add_unsigned(max_shift).max(0) as u32);
        let kind = self.recolouring as u32 * 8 + u32::from(self.mirrored) * 4 + self.turns;
        ((up * shifts + left) * KINDS + kind) as f32
    }

    fn of(code: u32, max_shift: u32) -> Self {
        let shifts = 2 * max_shift + 1;
        let place = code / KINDS;
        Self {
            turns: code % 4,
            mirrored: code / 4 % 2 == 1,
            recolouring: Recolouring::ALL[(code / 8 % 4) as usize],
            shift: [place / shifts, place % shifts].map(|shift| shift as i32 - max_shift as i32),
        }
    }

    /// Where the pixel lies in the image, of this side, that lies at a place after the transformation.
    fn source(self, [row, column]: [usize; 2], side: usize) -> usize {
        let last = side as i32 - 1;
        let row = (row as i32 + self.shift[0]).clamp(0, last);
        let mut column = (column as i32 + self.shift[1]).clamp(0, last);
        if self.mirrored {
            column = last - column;
        }
        let (row, column) = match self.turns {
            0 => (row, column),
            1 => (column, last - row),
            2 => (last - row, last - column),
            _ => (last - column, row),
        };
        row as usize * side + column as usize
    }
}

/// `y[n]` is `x[n]`, transformed as `codes[(step * N + n) mod len]` says. Inputs: x, codes, step.
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
            return Err(format!("the images must be square, not {h} x {w}"));
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
            let (place, plane) = (i % (side * side), i / (side * side));
            let (image, channel) = (plane / channels, plane % channels);
            let code = at(inputs[1][(at(inputs[2][0]) * batch + image) % inputs[1].len()]);
            let transformation = Transformation::of(code as u32, max_shift);
            let (from, factor) = transformation.recolouring.source(channel, channels);
            let pixel = transformation.source([place / side, place % side], side);
            T::of(factor.into()) * inputs[0][(image * channels + from) * side * side + pixel]
        });
    }

    fn cpu(&self, _inputs: &[Shape], outputs: &[Shape]) -> CpuKernel {
        let [batch, channels, side, _] = outputs[0];
        let (plane, max_shift) = (side * side, self.max_shift);
        CpuKernel::new(move |call| {
            let [x, codes, step] = [call.inputs[0], call.inputs[1], call.inputs[2]];
            let images = x.chunks_exact(channels * plane).zip(call.outputs[0].chunks_exact_mut(channels * plane));
            for (n, (x, y)) in images.enumerate() {
                let code = codes[(step[0] as usize * batch + n) % codes.len()];
                let transformation = Transformation::of(code as u32, max_shift);
                for (channel, y) in y.chunks_exact_mut(plane).enumerate() {
                    let (from, factor) = transformation.recolouring.source(channel, channels);
                    let x = &x[from * plane..][..plane];
                    for (place, y) in y.iter_mut().enumerate() {
                        *y = factor * x[transformation.source([place / side, place % side], side)];
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
            .with("CHANNELS", channels)
            .with("SIDE", side)
            .with("KINDS", KINDS as usize)
            .with("MAX_SHIFT", self.max_shift as usize);
        vec![dispatch.over(count(call.outputs[0]), call.target)]
    }
}

impl Graph {
    /// Adds [`Augment`]: see `GraphInternals::augment`.
    pub(crate) fn augment(
        &mut self,
        x: Tensor,
        codes: Tensor,
        step: Tensor,
        max_shift: u32,
    ) -> Result<Tensor, EngineError> {
        self.push(Augment { max_shift }, &[x, codes, step])
    }
}
