//! Shapes of tensors: always four sizes, NCHW.

/// The shape of a tensor, always `[N, C, H, W]`; a vector over channels is `[1, C, 1, 1]`, a scalar
/// `[1, 1, 1, 1]`, a convolution's weight `[C_out, C_in, K_h, K_w]`.
pub type Shape = [usize; 4];

/// Shape of a scalar.
pub(crate) const SCALAR: Shape = [1, 1, 1, 1];

/// Number of elements.
pub(crate) fn count(shape: Shape) -> usize {
    shape.iter().product()
}
