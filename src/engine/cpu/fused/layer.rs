//! A layer with its weights, for both ways to compute it.

use super::bordered::Bordered;
use crate::engine::{Activation, ImplicitGemm, PlannedLayer};

/// A layer with its weights.
pub(super) struct CpuLayer {
    pub input: Bordered,
    pub output: Bordered,
    pub gemms: Vec<CpuGemm>,
    /// What is done last.
    pub activation: Activation,
    /// The norm of each image by its own statistics, where there is one.
    pub norm: Option<Norm>,
}

/// A norm's parameters.
pub(super) struct Norm {
    pub epsilon: f32,
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
}

/// A matrix product with its weights.
pub(super) struct CpuGemm {
    pub gemm: ImplicitGemm,
    /// `[rows, columns]`.
    pub matrix: Vec<f32>,
    /// Columns of the matrix, those that pad it included.
    pub columns: usize,
    /// Columns that lie together in the output.
    pub segment: usize,
    /// Whether a vector of columns always lies together in the output, and is rectified at most.
    pub together: bool,
    /// Where each column goes, from where the first goes, but for those that pad the matrix.
    pub places: Vec<usize>,
    /// A bias for each column.
    pub bias: Vec<f32>,
    /// What is done to a sum before it is stored; norms come later.
    pub activation: Activation,
}

impl CpuLayer {
    pub(super) fn new(planned: &PlannedLayer, weights: &[f32], input: Bordered, output: Bordered) -> Self {
        let channels = planned.layer.output[0];
        let vector = |start: usize| weights[start..][..channels].to_vec();
        let (norm, activation) = match planned.layer.norm {
            Some(epsilon) => {
                let (scale, shift) = (vector(planned.bias), vector(planned.bias + planned.padded_channels()));
                (Some(Norm { epsilon, scale, shift }), Activation::Identity)
            }
            None => (None, planned.layer.activation),
        };
        let gemms = planned.gemms.iter().map(|gemm| {
            let columns = gemm.columns.next_multiple_of(LANES);
            let mut matrix = vec![0.0; gemm.rows * columns];
            let packed = weights[gemm.weights..][..gemm.matrix_len()].chunks_exact(gemm.padded_columns());
            for (row, packed) in matrix.chunks_exact_mut(columns).zip(packed) {
                row[..gemm.columns].copy_from_slice(&packed[..gemm.columns]);
            }
            let column = |column: usize| match norm {
                None if column < gemm.columns => weights[planned.bias + column % channels],
                _ => 0.0,
            };
            let bias = (0..columns).map(column).collect();
            let segment = gemm.columns / gemm.spread;
            let plain = !matches!(activation, Activation::Tanh | Activation::Sigmoid);
            let together = plain && columns == gemm.columns && segment.is_multiple_of(LANES);
            let place = |column: usize| column / segment * output.row() + column % segment;
            let places = (0..gemm.columns).map(place).collect();
            CpuGemm { matrix, bias, columns, segment, together, places, activation, gemm: gemm.clone() }
        });
        let gemms = gemms.collect();
        Self { input, output, gemms, activation: planned.layer.activation, norm }
    }

    /// Where the window of a row's first position begins in the input, and where its output goes.
    #[inline(always)]
    pub(super) fn row_of(&self, gemm: &ImplicitGemm, gy: usize) -> [usize; 2] {
        let y = (gy * gemm.stride + self.input.above) as isize - gemm.padding[0];
        let x = self.input.left as isize - gemm.padding[1];
        let from = y as usize * self.input.row() + x as usize * self.input.channels;
        [from, self.output.at(gy * gemm.step + gemm.offset[0], gemm.offset[1])]
    }

    /// Numbers from one position of a row to the next, in the input and in the output.
    #[inline(always)]
    pub(super) fn strides(&self, gemm: &ImplicitGemm) -> [usize; 2] {
        [gemm.stride * self.input.channels, gemm.step * self.output.channels]
    }

    /// Rows of a window and numbers of each, which lie together. A window without pixels lies anywhere.
    #[inline(always)]
    pub(super) fn window(&self, gemm: &ImplicitGemm) -> [usize; 2] {
        let len = gemm.window[1] * self.input.channels;
        [if len == 0 { 0 } else { gemm.window[0] }, len]
    }
}

/// Columns are padded to whole vectors of this many: the longest that any processor is given.
pub(super) const LANES: usize = 8;

/// The first `N` of at least as many.
#[inline(always)]
pub(super) fn part<T, const N: usize>(all: &[T]) -> &[T; N] {
    match all.first_chunk() {
        Some(part) => part,
        None => unreachable!("blocks are chosen to fit"),
    }
}
