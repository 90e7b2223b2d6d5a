//! The sizes of a convolution under the names that its kernels have for them.

use super::geometry::Geometry;
use crate::engine::kernel::Dispatch;

/// Sizes as the kernels name them; `i*` is what the kernel reads, `o*` what it writes.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Sizes {
    pub n: usize,
    pub ci: usize,
    pub ih: usize,
    pub iw: usize,
    pub co: usize,
    pub oh: usize,
    pub ow: usize,
    pub kh: usize,
    pub kw: usize,
    pub sy: usize,
    pub sx: usize,
    pub py: usize,
    pub px: usize,
    /// Output channels that share a bias: more than one where the kernel's taps count as channels.
    pub span: usize,
}

impl Sizes {
    /// Of a convolution, from wide to narrow, or of its transpose.
    pub(in crate::engine) fn new(geometry: &Geometry, transposed: bool) -> Self {
        let (from, to) = if transposed { (geometry.narrow, geometry.wide) } else { (geometry.wide, geometry.narrow) };
        let ([n, ci, ih, iw], [_, co, oh, ow]) = (from, to);
        let ([kh, kw], [sy, sx], [py, px]) = (geometry.kernel, geometry.window.stride, geometry.window.padding);
        Self { n, ci, ih, iw, co, oh, ow, kh, kw, sy, sx, py, px, span: 1 }
    }

    pub(in crate::engine) fn declare(&self, dispatch: Dispatch) -> Dispatch {
        [
            ("N", self.n),
            ("CI", self.ci),
            ("IH", self.ih),
            ("IW", self.iw),
            ("CO", self.co),
            ("OH", self.oh),
            ("OW", self.ow),
            ("KH", self.kh),
            ("KW", self.kw),
            ("SY", self.sy),
            ("SX", self.sx),
            ("PY", self.py),
            ("PX", self.px),
            ("CHANNEL_SPAN", self.span),
        ]
        .into_iter()
        .fold(dispatch, |dispatch, (name, value)| dispatch.with(name, value))
    }

    /// The transpose of a single pixel is a matrix product: its taps become output channels.
    pub(in crate::engine) fn fold_taps_into_output(self) -> Self {
        let single = [self.ih, self.iw, self.py, self.px, self.kh, self.kw] == [1, 1, 0, 0, self.oh, self.ow];
        if !single {
            return self;
        }
        let span = self.span * self.kh * self.kw;
        Self { co: self.co * self.kh * self.kw, oh: 1, ow: 1, kh: 1, kw: 1, sy: 1, sx: 1, span, ..self }
    }
}
