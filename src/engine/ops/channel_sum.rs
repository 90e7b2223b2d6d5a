//! The sum over images and pixels of each channel: the gradient by a bias.

use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::cpu::{self, CpuKernel};
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::Shape;

/// `y[c] = sum_{n,h,w} x[n,c,h,w]`: the gradient by a bias.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChannelSum;

impl Rule for ChannelSum {
    fn name(&self) -> &'static str {
        "channel_sum"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        Ok(vec![[1, inputs[0][1], 1, 1]])
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let [_, channels, h, w] = call.input_shapes[0];
        let y = &mut call.outputs[0];
        y.fill(T::zero());
        for (plane, x) in call.inputs[0].chunks_exact(h * w).enumerate() {
            y[plane % channels] += x.iter().copied().sum();
        }
    }

    fn cpu(&self, inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        cpu::channel_sum(inputs[0])
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let [n, channels, h, w] = call.inputs[0];
        let dispatch = Dispatch::new("channel_sum", &[Slot::Input(0), Slot::Output(0)]).with("N", n).channels(
            [n, channels, h * w],
            1,
            call.target,
        );
        vec![dispatch]
    }
}

impl Graph {
    /// Sum over images and pixels: `[N, C, H, W]` to `[1, C, 1, 1]`.
    pub(crate) fn channel_sum(&mut self, x: Tensor) -> Result<Tensor, EngineError> {
        self.push(ChannelSum, &[x])
    }
}
