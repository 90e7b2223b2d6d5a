//! A convolution as far as the choice of its kernel goes.

use std::fmt;

use super::epilogue::Epilogue;
use super::geometry::{Geometry, Window};
use super::kernel::candidates;
use crate::engine::error::EngineError;
use crate::engine::graph::Graph;
use crate::engine::kernel::AdapterKind;
use crate::engine::ops::Op;
use crate::engine::ops::conv_transpose2d::ConvTranspose2d;
use crate::engine::ops::conv2d::Conv2d;
use crate::engine::ops::conv2d_weight_grad::Conv2dWeightGrad;
use crate::engine::program::Program;
use crate::engine::variables::Variables;

/// Which of the three ops that share a geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ConvKind {
    Forward,
    Transposed,
    WeightGradient,
}

/// A convolution as far as the choice of its kernel goes: the op, and the shapes that it works on. As text it is
/// unambiguous, and stands for the convolution in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    pub(crate) kind: ConvKind,
    pub(crate) geometry: Geometry,
}

impl ConvShape {
    /// Multiply-accumulates.
    pub fn macs(&self) -> u64 {
        self.geometry.macs()
    }

    /// The names of the kernels that can compute it on an adapter that is a CPU, if `software`, or a GPU; the first is the
    /// default.
    pub fn candidates(&self, software: bool) -> Vec<String> {
        candidates(self, AdapterKind::of(software)).iter().map(ToString::to_string).collect()
    }

    /// The convolution by itself, without anything done to its sums.
    pub(crate) fn program(&self) -> Result<Program, EngineError> {
        let Geometry { wide, narrow, kernel, window } = self.geometry;
        let weight = [narrow[1], wide[1], kernel[0], kernel[1]];
        let epilogue = Epilogue::default();
        let (op, shapes): (Op, _) = match self.kind {
            ConvKind::Forward => (Conv2d { window, epilogue }.into(), [wide, weight]),
            ConvKind::Transposed => {
                (ConvTranspose2d { window, output: [wide[2], wide[3]], epilogue }.into(), [narrow, weight])
            }
            ConvKind::WeightGradient => (Conv2dWeightGrad { window, kernel }.into(), [wide, narrow]),
        };
        let mut graph = Graph::new();
        let inputs = [graph.input("a", shapes[0]), graph.input("b", shapes[1])];
        let y = graph.push(op, &inputs)?;
        graph.output("y", y);
        Program::compile(&graph, &Variables::new())
    }
}

impl fmt::Display for ConvShape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Geometry { wide, narrow, kernel: [kernel_h, kernel_w], window } = self.geometry;
        let (name, from, to) = match self.kind {
            ConvKind::Forward => ("conv2d", wide, narrow),
            ConvKind::Transposed => ("conv_transpose2d", narrow, wide),
            ConvKind::WeightGradient => ("conv2d_weight_grad", wide, narrow),
        };
        let ([n, ci, ih, iw], [_, co, oh, ow]) = (from, to);
        let Window { stride: [sy, sx], padding: [py, px] } = window;
        write!(f, "{name} {n}x{ci}x{ih}x{iw} to {co}x{oh}x{ow} by {kernel_h}x{kernel_w}")?;
        write!(f, " stride {sy}x{sx} pad {py}x{px}")
    }
}
