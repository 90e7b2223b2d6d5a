//! The windows of a convolution over one channel of one image, laid out for matrix products.
//!
//! The channel is copied with its zeros around it, and with the pixels that one tap meets side by side: a row's columns
//! are sorted by their remainder by the stride. From there every row of a tap is one run of numbers. All of it is inlined into
//! code for the vectors that the processor has.

#![allow(clippy::needless_range_loop, reason = "arrays of known length are gone through by index")]

use super::gemm::first;
use crate::engine::conv::Geometry;

/// How the positions of the narrow grid lie over the wide one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    /// Height and width of the wide grid.
    pub wide: [usize; 2],
    /// Height and width of the narrow grid.
    pub narrow: [usize; 2],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
}

impl Windows {
    pub(super) fn of(geometry: &Geometry) -> Self {
        let side = |[_, _, h, w]: [usize; 4]| [h, w];
        Self {
            wide: side(geometry.wide),
            narrow: side(geometry.narrow),
            kernel: geometry.kernel,
            stride: geometry.window.stride,
            padding: geometry.window.padding,
        }
    }

    /// Numbers of a tap: positions.
    pub(super) fn positions(&self) -> usize {
        self.narrow[0] * self.narrow[1]
    }

    /// Taps of the kernel.
    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Pixels of the wide grid.
    pub(super) fn pixels(&self) -> usize {
        self.wide[0] * self.wide[1]
    }

    /// Whether one position sees the whole wide grid, and nothing else.
    pub(super) fn is_whole(&self) -> bool {
        self.narrow == [1, 1] && self.kernel == self.wide && self.padding == [0, 0]
    }

    /// Numbers of the sorted copy.
    pub(super) fn sorted_len(&self) -> usize {
        self.reach(0) * self.stride[1] * self.sorted_row()
    }

    /// Numbers of the copy that [`Self::im2row`] works in.
    pub(super) fn padded_len(&self) -> usize {
        self.reach(0) * self.reach(1)
    }

    /// Rows or columns that the windows reach over.
    fn reach(&self, axis: usize) -> usize {
        (self.narrow[axis] - 1) * self.stride[axis] + self.kernel[axis]
    }

    /// Columns of a row that have the same remainder.
    fn sorted_row(&self) -> usize {
        self.reach(1).div_ceil(self.stride[1])
    }

    /// Numbers from one row of positions to the next in the sorted copy.
    pub(super) fn step(&self) -> usize {
        self.stride[0] * self.stride[1] * self.sorted_row()
    }

    /// For each tap where its first row of positions begins in the sorted copy.
    pub(super) fn places(&self) -> Vec<usize> {
        let ([_, kernel_w], sx) = (self.kernel, self.stride[1]);
        let place = |tap| (tap / kernel_w * sx + tap % kernel_w % sx) * self.sorted_row() + tap % kernel_w / sx;
        (0..self.taps()).map(place).collect()
    }

    /// Makes the sorted copy of a channel. What lies around it stays as it is: zero, from one channel to the next.
    #[inline(always)]
    pub(super) fn sort(&self, wide: &[f32], sorted: &mut [f32]) {
        let [_, width] = self.wide;
        match (self.stride[1], width / self.stride[1]) {
            (1, 4) if self.divides_rows() => self.sort_by::<1, 4>(wide, sorted),
            (1, 8) if self.divides_rows() => self.sort_by::<1, 8>(wide, sorted),
            (1, 16) if self.divides_rows() => self.sort_by::<1, 16>(wide, sorted),
            (1, 32) if self.divides_rows() => self.sort_by::<1, 32>(wide, sorted),
            (2, 4) if self.divides_rows() => self.sort_by::<2, 4>(wide, sorted),
            (2, 8) if self.divides_rows() => self.sort_by::<2, 8>(wide, sorted),
            (2, 16) if self.divides_rows() => self.sort_by::<2, 16>(wide, sorted),
            (4, 4) if self.divides_rows() => self.sort_by::<4, 4>(wide, sorted),
            (4, 8) if self.divides_rows() => self.sort_by::<4, 8>(wide, sorted),
            (sx, _) => {
                let ([py, px], len) = (self.padding, self.sorted_row());
                let rows = sorted[..self.sorted_len()].chunks_exact_mut(sx * len).skip(py);
                for (row, from) in rows.zip(wide.chunks_exact(width)) {
                    for (remainder, run) in row.chunks_exact_mut(len).enumerate() {
                        let (first, start) = first_inside(px, remainder, sx, len);
                        let inside = from[start.min(width)..].iter().step_by(sx);
                        run[first..].iter_mut().zip(inside).for_each(|(to, &from)| *to = from);
                    }
                }
            }
        }
    }

    /// The same for a stride of `S` that divides rows into `W` parts: pixel `S i + q` is number `i` of run `q`.
    #[inline(always)]
    fn sort_by<const S: usize, const W: usize>(&self, wide: &[f32], sorted: &mut [f32]) {
        let row = S * self.sorted_row();
        let runs = self.runs::<S>().map(|run| self.padding[0] * row + run);
        let rows = self.wide[0].min(self.reach(0).saturating_sub(self.padding[0]));
        for (y, from) in wide.chunks_exact(S * W).take(rows).enumerate() {
            let pixels: &[[f32; S]; W] = first(from.as_chunks::<S>().0);
            for q in 0..S {
                let to: &mut [f32; W] = run_mut(&mut sorted[runs[q] + y * row..]);
                for i in 0..W {
                    to[i] = pixels[i][q];
                }
            }
        }
    }

    /// Where the run of each remainder begins in a row of the sorted copy.
    #[inline(always)]
    fn runs<const S: usize>(&self) -> [usize; S] {
        let (px, len) = (self.padding[1], self.sorted_row());
        std::array::from_fn(|q| (q + px) % S * len + (q + px) / S)
    }

    /// Whether the stride divides rows, all of whose pixels the windows reach.
    fn divides_rows(&self) -> bool {
        let (width, px, sx) = (self.wide[1], self.padding[1], self.stride[1]);
        width.is_multiple_of(sx) && px.div_ceil(sx) + width / sx <= self.sorted_row()
    }

    /// `[positions, taps]`, rows apart by `stride` numbers: the pixels that each position sees. The copy is zero around them, see
    /// [`Self::sort`].
    #[inline(always)]
    pub(super) fn im2row(&self, wide: &[f32], padded: &mut [f32], rows: &mut [f32], stride: usize) {
        Self { stride: [self.stride[0], 1], narrow: [self.narrow[0], self.reach(1) - self.kernel[1] + 1], ..*self }
            .sort(wide, padded);
        match self.kernel {
            [2, 2] => self.copy_windows::<2>(padded, rows, stride),
            [4, 4] => self.copy_windows::<4>(padded, rows, stride),
            [_, kw] => {
                let row = self.reach(1);
                for (position, to) in rows.chunks_mut(stride).take(self.positions()).enumerate() {
                    let (y, x) = (position / self.narrow[1], position % self.narrow[1]);
                    let start = y * self.stride[0] * row + x * self.stride[1];
                    let from = padded[start..].chunks(row).map(|from| &from[..kw]);
                    to[..self.taps()].chunks_exact_mut(kw).zip(from).for_each(|(to, from)| to.copy_from_slice(from));
                }
            }
        }
    }

    /// The same for square kernels of side `K`.
    #[inline(always)]
    fn copy_windows<const K: usize>(&self, padded: &[f32], rows: &mut [f32], stride: usize) {
        let ([height, width], [sy, sx], row) = (self.narrow, self.stride, self.reach(1));
        let mut rows = rows.chunks_mut(stride);
        for y in 0..height {
            // A loop: `from_fn` becomes a call here, which is not compiled for the vectors.
            let mut from = [&padded[..0]; K];
            for ky in 0..K {
                from[ky] = &padded[(y * sy + ky) * row..][..row];
            }
            for x in 0..width {
                let to = rows.next().and_then(|to| to.as_chunks_mut::<K>().0.first_chunk_mut::<K>());
                let Some(to) = to else { unreachable!("a row for each position") };
                for ky in 0..K {
                    to[ky] = *first(&from[ky][x * sx..]);
                }
            }
        }
    }
}

/// Of the columns with a remainder by the stride, the first that is a pixel: its place among them, and the pixel.
#[inline(always)]
fn first_inside(padding: usize, remainder: usize, stride: usize, len: usize) -> (usize, usize) {
    let first = padding.saturating_sub(remainder).div_ceil(stride).min(len);
    (first, (remainder + first * stride).saturating_sub(padding))
}

/// The first `W` of a row, to write to.
#[inline(always)]
fn run_mut<T, const W: usize>(row: &mut [T]) -> &mut [T; W] {
    match row.first_chunk_mut() {
        Some(run) => run,
        None => unreachable!("whole runs only"),
    }
}
