//! What the convolution, its transpose and its weight gradient have in common.
//!
//! All three relate a *wide* grid (the convolution's input, the transpose's output) to a *narrow*
//! one (the convolution's output, the transpose's input): tap `k` joins narrow position `o` with wide
//! position `o * stride + k - padding`.

use crate::engine::shape::Shape;

/// Stride and padding of a convolution, `[vertical, horizontal]`. The kernel's size is the weight's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Step between neighbouring positions.
    pub stride: [usize; 2],
    /// Rows and columns of zeros assumed at each side.
    pub padding: [usize; 2],
}

impl Window {
    /// The same stride both ways, no padding.
    pub fn stride(stride: usize) -> Self {
        Self { stride: [stride; 2], padding: [0; 2] }
    }

    /// With the same padding on all sides.
    pub fn padding(self, padding: usize) -> Self {
        Self { padding: [padding; 2], ..self }
    }

    /// Refuses a zero stride.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.stride.contains(&0) { Err("the stride must be at least 1".into()) } else { Ok(()) }
    }
}

/// Refuses a weight for another number of channels than the image has.
pub(crate) fn check_channels(channels: usize, weight: Shape, wanted: usize) -> Result<(), String> {
    if channels == wanted {
        return Ok(());
    }
    let grouped = wanted > 0 && channels.is_multiple_of(wanted);
    let hint = if grouped { "; grouped convolutions are not supported" } else { "" };
    Err(format!("the image has {channels} channels, the weight {weight:?} wants {wanted}{hint}"))
}

/// The three shapes of a convolution, however they are named by the op at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Geometry {
    /// `[N, C_wide, H, W]`.
    pub wide: Shape,
    /// `[N, C_narrow, H, W]`.
    pub narrow: Shape,
    /// `[K_h, K_w]`.
    pub kernel: [usize; 2],
    pub window: Window,
}

/// A run of positions in a row that one tap joins: `narrow[narrow + i]` with
/// `wide[wide + i * stride]` for `i` below `len`, by `weight[tap]`.
pub(crate) struct Run {
    pub tap: usize,
    pub narrow: usize,
    pub wide: usize,
    pub stride: usize,
    pub len: usize,
}

impl Geometry {
    /// Multiply-accumulates, counted as usual: taps on the padding included.
    pub(crate) fn macs(&self) -> u64 {
        let [n, narrow, h, w] = self.narrow.map(|v| v as u64);
        n * narrow * h * w * self.wide[1] as u64 * (self.kernel[0] * self.kernel[1]) as u64
    }

    /// Calls `f` for every run of positions joined by a tap, in a fixed order. Weights are laid out
    /// `[C_narrow, C_wide, K_h, K_w]`.
    pub(crate) fn visit(&self, mut f: impl FnMut(Run)) {
        let [count, wide_channels, wide_h, wide_w] = self.wide;
        let [_, narrow_channels, narrow_h, narrow_w] = self.narrow;
        let [kernel_h, kernel_w] = self.kernel;
        let Window { stride, padding } = self.window;
        for n in 0..count {
            for c in 0..narrow_channels {
                for d in 0..wide_channels {
                    for ky in 0..kernel_h {
                        for kx in 0..kernel_w {
                            let tap = ((c * wide_channels + d) * kernel_h + ky) * kernel_w + kx;
                            let columns = joined(narrow_w, wide_w, stride[1], kx, padding[1]);
                            if columns.is_empty() {
                                continue;
                            }
                            for y in joined(narrow_h, wide_h, stride[0], ky, padding[0]) {
                                let wide_y = y * stride[0] + ky - padding[0];
                                let wide_x = columns.start * stride[1] + kx - padding[1];
                                f(Run {
                                    tap,
                                    narrow: ((n * narrow_channels + c) * narrow_h + y) * narrow_w + columns.start,
                                    wide: ((n * wide_channels + d) * wide_h + wide_y) * wide_w + wide_x,
                                    stride: stride[1],
                                    len: columns.len(),
                                });
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The narrow positions whose wide partner by tap `k` lies on the grid.
fn joined(narrow: usize, wide: usize, stride: usize, k: usize, padding: usize) -> std::ops::Range<usize> {
    let first = padding.saturating_sub(k).div_ceil(stride);
    let end = (wide + padding).saturating_sub(k).div_ceil(stride).min(narrow);
    first.min(end)..end
}
