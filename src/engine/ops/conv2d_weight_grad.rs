//! The gradient of a convolution by its weight.

use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::conv::{self, ConvKind, ConvShape, Geometry, Window};
use crate::engine::cpu::{self, CpuKernel};
use crate::engine::kernel::Dispatch;
use crate::engine::number::Real;
use crate::engine::shape::Shape;

/// `dw[o,c,k] = sum_{n,p} g[n,o,p] * x[n,c,p*stride+k-padding]`: the gradient of a convolution by its
/// weight, and of a transposed one with image and gradient exchanged. Inputs: wide, narrow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conv2dWeightGrad {
    pub window: Window,
    pub kernel: [usize; 2],
}

impl Conv2dWeightGrad {
    fn shape(&self, inputs: &[Shape]) -> ConvShape {
        let geometry = Geometry { wide: inputs[0], narrow: inputs[1], kernel: self.kernel, window: self.window };
        ConvShape { kind: ConvKind::WeightGradient, geometry }
    }
}

impl Rule for Conv2dWeightGrad {
    fn name(&self) -> &'static str {
        "conv2d_weight_grad"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        let (wide, narrow) = (inputs[0], inputs[1]);
        if wide[0] != narrow[0] {
            return Err(format!("the batches of {wide:?} and {narrow:?} differ"));
        }
        Ok(vec![[narrow[1], wide[1], self.kernel[0], self.kernel[1]]])
    }

    fn convolution(&self, inputs: &[Shape], _outputs: &[Shape]) -> Option<ConvShape> {
        Some(self.shape(inputs))
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let (x, g) = (call.inputs[0], call.inputs[1]);
        let dw = &mut call.outputs[0];
        dw.fill(T::zero());
        self.shape(call.input_shapes).geometry.visit(|run| {
            let pairs = g[run.narrow..][..run.len].iter().zip(x[run.wide..].iter().step_by(run.stride));
            dw[run.tap] += pairs.map(|(&g, &x)| g * x).sum();
        });
    }

    fn cpu(&self, inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        cpu::conv2d_weight_grad(&self.shape(inputs).geometry)
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let shape = self.shape(call.inputs);
        conv::conv2d_weight_grad(&shape.geometry, call.target.kernel(&shape), call.target)
    }
}
