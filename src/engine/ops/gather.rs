//! The op that takes the images of a step from the data set on the device.

use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::cpu::CpuKernel;
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::{SCALAR, Shape, count};

/// The images that step `step` trains on: `y[n] = images[order[(step * N + n) mod len]]`.
/// Inputs: images, order, step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gather {
    pub batch: usize,
}

impl Rule for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [_, c, h, w] = inputs[0];
        if inputs[2] != SCALAR {
            return Err(format!("the step counter must be a scalar, not {:?}", inputs[2]));
        }
        Ok(vec![[self.batch, c, h, w]])
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let sample = count(call.output_shapes[0]) / self.batch;
        let batch = self.batch;
        call.each(|inputs, i| {
            let at = |index: T| index.to_usize().unwrap_or(0);
            let order = inputs[1];
            let image = at(order[(at(inputs[2][0]) * batch + i / sample) % order.len()]);
            inputs[0][image * sample + i % sample]
        });
    }

    fn cpu(&self, _inputs: &[Shape], outputs: &[Shape]) -> CpuKernel {
        let (batch, sample) = (self.batch, count(outputs[0]) / self.batch);
        CpuKernel::new(move |call| {
            let [images, order, step] = [call.inputs[0], call.inputs[1], call.inputs[2]];
            for (n, y) in call.outputs[0].chunks_exact_mut(sample).enumerate() {
                let image = order[(step[0] as usize * batch + n) % order.len()] as usize;
                y.copy_from_slice(&images[image * sample..][..sample]);
            }
        })
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let len = count(call.outputs[0]);
        let bindings = [Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Output(0)];
        let dispatch =
            Dispatch::new("gather", &bindings).with("BATCH", self.batch).with("ORDER", count(call.inputs[1]));
        let sample = len / self.batch;
        let declared = dispatch
            .elements(&[sample], |dispatch, each| dispatch.with("SAMPLE", sample / each).over(len / each, call.target));
        vec![declared]
    }
}

impl Graph {
    /// The next `batch` images in sample order: `images` `[M, C, H, W]`, `order` indices into them as
    /// numbers (exact below 2^24), `step` a scalar counter; result `[batch, C, H, W]`. Step `s` takes
    /// the entries of `order` from `s * batch` on and starts again at its end. No gradient.
    pub fn gather(&mut self, images: Tensor, order: Tensor, step: Tensor, batch: usize) -> Result<Tensor, EngineError> {
        self.push(Gather { batch }, &[images, order, step])
    }
}
