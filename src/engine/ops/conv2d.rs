//! The convolution. What it shares with its transpose and its weight gradient stands in `engine/conv/`.

use super::conv_transpose2d::ConvTranspose2d;
use super::conv2d_weight_grad::Conv2dWeightGrad;
use super::{Fusible, GpuCall, Op, ReferenceCall, Rule};
use crate::engine::autograd::Arrived;
use crate::engine::conv::{self, ConvKind, ConvShape, Epilogue, Geometry, Window};
use crate::engine::cpu::{self, CpuKernel};
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::Dispatch;
use crate::engine::number::Real;
use crate::engine::shape::Shape;

/// The gradients of a convolution or its transpose by image, weight and bias: `data` makes the first
/// of the arriving gradient and the weight, the second is that of a `[wide, narrow]` pair.
pub(super) fn backward(
    graph: &mut Graph,
    at: &Arrived,
    window: Window,
    data: Op,
    pair: [Tensor; 2],
) -> Result<Vec<Option<Tensor>>, EngineError> {
    let (w, dy) = (at.inputs[1], at.gradient()?);
    let [_, _, kernel_h, kernel_w] = graph.shape(w);
    let weight = Conv2dWeightGrad { window, kernel: [kernel_h, kernel_w] };
    let mut gradients = vec![at.wants(0, || graph.push(data, &[dy, w]))?, at.wants(1, || graph.push(weight, &pair))?];
    if at.inputs.len() > 2 {
        gradients.push(at.wants(2, || graph.channel_sum(dy))?);
    }
    Ok(gradients)
}

/// `y[n,o,p] = activation(sum_{c,k} x[n,c,p*stride+k-padding] * w[o,c,k] + bias[o])`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conv2d {
    pub window: Window,
    pub epilogue: Epilogue,
}

impl Conv2d {
    fn shape(&self, inputs: &[Shape], output: Shape) -> ConvShape {
        let [_, _, kernel_h, kernel_w] = inputs[1];
        let geometry = Geometry { wide: inputs[0], narrow: output, kernel: [kernel_h, kernel_w], window: self.window };
        ConvShape { kind: ConvKind::Forward, geometry }
    }
}

impl Rule for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let ([n, channels, h, w], [out, weight_channels, kernel_h, kernel_w]) = (inputs[0], inputs[1]);
        self.window.check()?;
        conv::check_channels(channels, inputs[1], weight_channels)?;
        let Window { stride, padding } = self.window;
        let side = |size: usize, kernel: usize, axis: usize| {
            let padded = size + 2 * padding[axis];
            if kernel == 0 || padded < kernel {
                return Err(format!("a kernel of {kernel} does not fit into {padded} padded pixels"));
            }
            Ok((padded - kernel) / stride[axis] + 1)
        };
        let shape = [n, out, side(h, kernel_h, 0)?, side(w, kernel_w, 1)?];
        self.epilogue.check(inputs, shape)?;
        Ok(vec![shape])
    }

    fn backward(&self, graph: &mut Graph, at: &Arrived) -> Result<Vec<Option<Tensor>>, EngineError> {
        let (x, dy) = (at.inputs[0], at.gradient()?);
        let [_, _, h, w] = graph.shape(x);
        let data = ConvTranspose2d { window: self.window, output: [h, w], epilogue: Epilogue::default() };
        backward(graph, at, self.window, data.into(), [x, dy])
    }

    fn convolution(&self, inputs: &[Shape], outputs: &[Shape]) -> Option<ConvShape> {
        Some(self.shape(inputs, outputs[0]))
    }

    fn absorb(&mut self, next: Fusible) -> bool {
        self.epilogue.absorb(next)
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let (x, w) = (call.inputs[0], call.inputs[1]);
        let shape = call.output_shapes[0];
        let y = &mut call.outputs[0];
        y.fill(T::zero());
        self.shape(call.input_shapes, shape).geometry.visit(|run| {
            let k = w[run.tap];
            for (y, x) in y[run.narrow..][..run.len].iter_mut().zip(x[run.wide..].iter().step_by(run.stride)) {
                *y += k * *x;
            }
        });
        self.epilogue.apply(&call.inputs, shape, y);
    }

    fn cpu(&self, inputs: &[Shape], outputs: &[Shape]) -> CpuKernel {
        cpu::conv2d(&self.shape(inputs, outputs[0]).geometry, &self.epilogue)
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let shape = self.shape(call.inputs, call.outputs[0]);
        vec![conv::conv2d(&shape.geometry, &self.epilogue, call.target.kernel(&shape))]
    }
}

impl Graph {
    /// Convolution (cross-correlation, as every library calls it): `x` `[N, C, H, W]`, `w`
    /// `[O, C, K_h, K_w]`, `bias` `[1, O, 1, 1]`; result `[N, O, H', W']` with
    /// `H' = (H + 2 padding - K_h) / stride + 1`.
    pub fn conv2d(
        &mut self,
        x: Tensor,
        w: Tensor,
        bias: Option<Tensor>,
        window: Window,
    ) -> Result<Tensor, EngineError> {
        let epilogue = Epilogue { bias: bias.is_some(), ..Epilogue::default() };
        let inputs: Vec<Tensor> = [x, w].into_iter().chain(bias).collect();
        self.push(Conv2d { window, epilogue }, &inputs)
    }
}
