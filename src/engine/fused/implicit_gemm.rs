//! Implicit matrix products: how the layers of a planned generator become them. It knows neither weights nor devices.

use super::layer::FusedLayer;

/// A part of a layer that is a matrix product: at each position of a grid, the window of the input times a matrix gives
/// the values of one or several output pixels.
///
/// A convolution is one matrix product. A transposed convolution whose windows do not overlap is one matrix product
/// too, with a window of one pixel that spreads to `spread x spread` output pixels. Any other transposed convolution is
/// a matrix product for each phase: the output pixels that lie alike between the strides meet the same taps. No tap is
/// dead but those in the padding.
///
/// Input row `r` of window `(ky, kx)` and channel `ci` is `(ky * window[1] + kx) * CI + ci`; output column `(sy, sx,
/// co)` is `(sy * spread + sx) * CO + co`. The matrix lies row by row, rows padded with zeros to whole vec4s of
/// columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImplicitGemm {
    /// Positions, rows and columns.
    pub grid: [usize; 2],
    /// Pixels of the input that a position sees, rows and columns; may be none.
    pub window: [usize; 2],
    /// Step of the window between positions.
    pub stride: usize,
    /// The first position's window starts at minus this, in rows and columns.
    pub padding: [isize; 2],
    /// Side of the square of output pixels that a position writes.
    pub spread: usize,
    /// Output pixels from one position to the next.
    pub step: usize,
    /// Output pixel of the first position.
    pub offset: [usize; 2],
    /// Kernel taps of the layer behind the window: row `ky` of the window is kernel row `taps[0][ky]`; where the matrix
    /// product spreads, the kernel's taps are the columns and this is empty.
    pub taps: [Vec<usize>; 2],
    /// Where the matrix starts in the packed weights, in numbers.
    pub weights: usize,
    /// Rows of the matrix.
    pub rows: usize,
    /// Columns of the matrix that count.
    pub columns: usize,
}

impl ImplicitGemm {
    /// Columns of the matrix with those that pad it to whole vec4s.
    pub fn padded_columns(&self) -> usize {
        self.columns.next_multiple_of(4)
    }

    /// Numbers of the matrix, padding included.
    pub fn matrix_len(&self) -> usize {
        self.rows * self.padded_columns()
    }

    /// Output pixel and channel of a column at a position.
    pub fn target(&self, [gy, gx]: [usize; 2], column: usize, channels: usize) -> [usize; 3] {
        let (pixel, channel) = (column / channels, column % channels);
        [
            gy * self.step + self.offset[0] + pixel / self.spread,
            gx * self.step + self.offset[1] + pixel % self.spread,
            channel,
        ]
    }

    /// The matrix products of a layer, their weights from `start` on.
    pub(super) fn of(layer: &FusedLayer, start: usize) -> Vec<Self> {
        let [_, height, width] = layer.input;
        let [channels, out_height, out_width] = layer.output;
        let FusedLayer { kernel, stride, padding, .. } = *layer;
        let whole: Vec<usize> = (0..kernel).collect();
        let mut gemms = if !layer.transposed {
            vec![Self {
                grid: [out_height, out_width],
                window: [kernel; 2],
                stride,
                padding: [padding as isize; 2],
                spread: 1,
                step: 1,
                offset: [0; 2],
                taps: [whole.clone(), whole],
                weights: 0,
                rows: 0,
                columns: channels,
            }]
        } else if padding == 0 && (stride == kernel || [height, width] == [1, 1]) {
            vec![Self {
                grid: [height, width],
                window: [1; 2],
                stride: 1,
                padding: [0; 2],
                spread: kernel,
                step: kernel,
                offset: [0; 2],
                taps: [Vec::new(), Vec::new()],
                weights: 0,
                rows: 0,
                columns: kernel * kernel * channels,
            }]
        } else {
            // Output pixel `g stride + r` meets the taps `k` with `g stride + r + padding - k` a multiple of the
            // stride.
            let phase = |r: usize, size: usize| {
                let first = (r + padding) % stride;
                let mut taps: Vec<usize> = (first..kernel).step_by(stride).collect();
                // The last tap meets the first pixel of the window.
                taps.reverse();
                let before = taps.len() as isize - 1 - ((r + padding) / stride) as isize;
                (size.saturating_sub(r).div_ceil(stride), taps, before)
            };
            let phases = (0..stride * stride).map(|index| {
                let offset = [index / stride, index % stride];
                let (rows, row_taps, above) = phase(offset[0], out_height);
                let (columns, column_taps, left) = phase(offset[1], out_width);
                Self {
                    grid: [rows, columns],
                    window: [row_taps.len(), column_taps.len()],
                    stride: 1,
                    padding: [above, left],
                    spread: 1,
                    step: stride,
                    offset,
                    taps: [row_taps, column_taps],
                    weights: 0,
                    rows: 0,
                    columns: channels,
                }
            });
            phases.filter(|gemm| gemm.grid[0] * gemm.grid[1] > 0).collect()
        };
        let mut start = start;
        for gemm in &mut gemms {
            gemm.rows = gemm.window[0] * gemm.window[1] * layer.input[0];
            gemm.weights = start;
            start += gemm.matrix_len();
        }
        gemms
    }
}
