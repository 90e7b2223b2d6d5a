//! A layer of a planned generator, as plain numbers.

use crate::engine::activation::Activation;

/// A layer of a network that is scored as a whole: a convolution or its transpose with square kernels, then a bias or a norm
/// by each image's own statistics, then an activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FusedLayer {
    /// Whether it is a transposed convolution.
    pub transposed: bool,
    /// Channels, height and width of its input.
    pub input: [usize; 3],
    /// Channels, height and width of its output.
    pub output: [usize; 3],
    /// Side of the kernel.
    pub kernel: usize,
    /// Step between positions.
    pub stride: usize,
    /// Zeros assumed at each side.
    pub padding: usize,
    /// Epsilon of a norm by each image's own statistics; a bias in its place if none.
    pub norm: Option<f32>,
    /// What follows.
    pub activation: Activation,
}
