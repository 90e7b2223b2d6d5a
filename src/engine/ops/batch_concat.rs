//! The op that puts two batches behind each other, and its gradient, a slice of the batch.

use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::autograd::Arrived;
use crate::engine::cpu::CpuKernel;
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::{Shape, count};

/// The images of `a`, then those of `b`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchConcat;

impl Rule for BatchConcat {
    fn name(&self) -> &'static str {
        "batch_concat"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let (a, b) = (inputs[0], inputs[1]);
        if a[1..] != b[1..] {
            return Err(format!("images of {a:?} and {b:?} differ in shape"));
        }
        Ok(vec![[a[0] + b[0], a[1], a[2], a[3]]])
    }

    fn backward(&self, graph: &mut Graph, at: &Arrived) -> Result<Vec<Option<Tensor>>, EngineError> {
        let dy = at.gradient()?;
        let images = |graph: &Graph, input: usize| graph.shape(at.inputs[input])[0];
        let (a, b) = (images(graph, 0), images(graph, 1));
        Ok(vec![
            at.wants(0, || graph.push(BatchSlice { start: 0, images: a }, &[dy]))?,
            at.wants(1, || graph.push(BatchSlice { start: a, images: b }, &[dy]))?,
        ])
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let first = call.inputs[0].len();
        call.each(|inputs, i| if i < first { inputs[0][i] } else { inputs[1][i - first] });
    }

    fn cpu(&self, inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        let first = count(inputs[0]);
        CpuKernel::new(move |call| {
            let (a, b) = call.outputs[0].split_at_mut(first);
            a.copy_from_slice(call.inputs[0]);
            b.copy_from_slice(call.inputs[1]);
        })
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let dispatch = Dispatch::new("batch_concat", &[Slot::Input(0), Slot::Input(1), Slot::Output(0)]);
        let (first, len) = (count(call.inputs[0]), count(call.outputs[0]));
        let declared = dispatch.elements(&[first, len], |dispatch, each| {
            dispatch.with("FIRST", first / each).over(len / each, call.target)
        });
        vec![declared]
    }
}

/// The images from `start` on: the gradient of [`BatchConcat`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchSlice {
    pub start: usize,
    pub images: usize,
}

impl Rule for BatchSlice {
    fn name(&self) -> &'static str {
        "batch_slice"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let [n, c, h, w] = inputs[0];
        if self.start + self.images > n {
            return Err(format!("a batch of {n} has no images {} to {}", self.start, self.start + self.images));
        }
        Ok(vec![[self.images, c, h, w]])
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let offset = self.start * call.output_shapes[0][1..].iter().product::<usize>();
        call.each(|inputs, i| inputs[0][offset + i]);
    }

    fn cpu(&self, _inputs: &[Shape], outputs: &[Shape]) -> CpuKernel {
        let len = count(outputs[0]);
        let start = self.start * outputs[0][1..].iter().product::<usize>();
        CpuKernel::new(move |call| call.outputs[0].copy_from_slice(&call.inputs[0][start..][..len]))
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let offset = self.start * call.outputs[0][1..].iter().product::<usize>();
        let dispatch = Dispatch::new("batch_slice", &[Slot::Input(0), Slot::Output(0)]);
        let len = count(call.outputs[0]);
        let declared = dispatch.elements(&[offset, len], |dispatch, each| {
            dispatch.with("OFFSET", offset / each).over(len / each, call.target)
        });
        vec![declared]
    }
}

impl Graph {
    /// One batch of the images of `a` and then those of `b`; image shapes must agree.
    pub fn batch_concat(&mut self, a: Tensor, b: Tensor) -> Result<Tensor, EngineError> {
        self.push(BatchConcat, &[a, b])
    }
}
