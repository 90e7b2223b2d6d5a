//! The transposed convolution, which is also the gradient of a convolution by its image.

use super::conv2d::{Conv2d, backward};
use super::{Fusible, GpuCall, ReferenceCall, Rule};
use crate::engine::autograd::Arrived;
use crate::engine::conv::{self, ConvKind, ConvShape, Epilogue, Geometry, Window};
use crate::engine::cpu::{self, CpuKernel};
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Tensor};
use crate::engine::kernel::Dispatch;
use crate::engine::number::Real;
use crate::engine::shape::Shape;

/// `y[n,o,p*stride+k-padding] += x[n,c,p] * w[c,o,k]`, then the epilogue: the transpose of
/// [`Conv2d`], and so the gradient of one by its image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvTranspose2d {
    pub window: Window,
    /// Height and width of the result; several fit one input where the stride is above 1.
    pub output: [usize; 2],
    pub epilogue: Epilogue,
}

impl ConvTranspose2d {
    fn shape(&self, inputs: &[Shape], output: Shape) -> ConvShape {
        let [_, _, kernel_h, kernel_w] = inputs[1];
        let geometry = Geometry { wide: output, narrow: inputs[0], kernel: [kernel_h, kernel_w], window: self.window };
        ConvShape { kind: ConvKind::Transposed, geometry }
    }
}

// Much of this reads as in `conv2d.rs`, with wide and narrow exchanged: each op states its rule whole, so that a reader needs
// one file.
impl Rule for ConvTranspose2d {
    fn name(&self) -> &'static str {
        "conv_transpose2d"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let ([n, channels, h, w], [weight_channels, out, kernel_h, kernel_w]) = (inputs[0], inputs[1]);
        self.window.check()?;
        conv::check_channels(channels, inputs[1], weight_channels)?;
        let shape = [n, out, self.output[0], self.output[1]];
        // The convolution of the result must give the shape of the input back.
        let backward = Conv2d { window: self.window, epilogue: Epilogue::default() };
        match backward.infer(&[shape, [channels, out, kernel_h, kernel_w]]) {
            Ok(shapes) if shapes[0] == [n, channels, h, w] => {}
            _ => return Err(format!("no {h}x{w} image comes from one of {}x{}", self.output[0], self.output[1])),
        }
        self.epilogue.check(inputs, shape)?;
        Ok(vec![shape])
    }

    fn backward(&self, graph: &mut Graph, at: &Arrived) -> Result<Vec<Option<Tensor>>, EngineError> {
        let data = Conv2d { window: self.window, epilogue: Epilogue::default() };
        backward(graph, at, self.window, data.into(), [at.gradient()?, at.inputs[0]])
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
            for (y, x) in y[run.wide..].iter_mut().step_by(run.stride).zip(&x[run.narrow..][..run.len]) {
                *y += k * *x;
            }
        });
        self.epilogue.apply(&call.inputs, shape, y);
    }

    fn cpu(&self, inputs: &[Shape], outputs: &[Shape]) -> CpuKernel {
        cpu::conv_transpose2d(&self.shape(inputs, outputs[0]).geometry, &self.epilogue)
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let shape = self.shape(call.inputs, call.outputs[0]);
        vec![conv::conv_transpose2d(&shape.geometry, &self.epilogue, call.target.kernel(&shape))]
    }
}

impl Graph {
    /// Transposed convolution: `x` `[N, C, H, W]`, `w` `[C, O, K_h, K_w]`, `bias` `[1, O, 1, 1]`;
    /// result `[N, O, H', W']` with `H' = (H - 1) stride - 2 padding + K_h + output_padding`.
    /// `output_padding` `[vertical, horizontal]` must be below the stride.
    pub fn conv_transpose2d(
        &mut self,
        x: Tensor,
        w: Tensor,
        bias: Option<Tensor>,
        window: Window,
        output_padding: [usize; 2],
    ) -> Result<Tensor, EngineError> {
        if (0..2).any(|axis| output_padding[axis] >= window.stride[axis]) {
            let problem = format!("the output padding {output_padding:?} must be below the stride {:?}", window.stride);
            return Err(EngineError::Shape { op: self.label("conv_transpose2d"), problem });
        }
        let ([_, _, h, width], [_, _, kernel_h, kernel_w]) = (self.shape(x), self.shape(w));
        let side = |size: usize, kernel: usize, axis: usize| {
            (size.saturating_sub(1) * window.stride[axis] + kernel + output_padding[axis])
                .saturating_sub(2 * window.padding[axis])
        };
        let output = [side(h, kernel_h, 0), side(width, kernel_w, 1)];
        let epilogue = Epilogue { bias: bias.is_some(), ..Epilogue::default() };
        let inputs: Vec<Tensor> = [x, w].into_iter().chain(bias).collect();
        self.push(ConvTranspose2d { window, output, epilogue }, &inputs)
    }
}
