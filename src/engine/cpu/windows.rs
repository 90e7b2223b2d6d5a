//! The windows of a convolution over one channel of one image, laid out for matrix products.
//!
//! The channel is copied with its zeros around it, and with the pixels that one tap meets side by side: a row's columns
//! are sorted by their remainder by the stride. From there every row of a tap is one run of numbers.

use crate::engine::ops::conv_geometry::Geometry;

/// How the positions of the narrow grid lie over the wide one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    /// Height and width of the wide grid.
    wide: [usize; 2],
    /// Height and width of the narrow grid.
    narrow: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
}

impl Windows {
    pub fn of(geometry: &Geometry) -> Self {
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
    pub fn positions(&self) -> usize {
        self.narrow[0] * self.narrow[1]
    }

    /// Taps of the kernel.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Pixels of the wide grid.
    pub fn pixels(&self) -> usize {
        self.wide[0] * self.wide[1]
    }

    /// Whether one position sees the whole wide grid, and nothing else.
    pub fn is_whole(&self) -> bool {
        self.narrow == [1, 1] && self.kernel == self.wide && self.padding == [0, 0]
    }

    /// Numbers of the copy that [`Self::taps_by_row`] and [`Self::add_taps`] work in.
    pub fn sorted_len(&self) -> usize {
        self.reach(0) * self.stride[1] * self.sorted_row()
    }

    /// Numbers of the copy that [`Self::taps_by_position`] works in.
    pub fn padded_len(&self) -> usize {
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

    /// Where the row of a tap at a row of positions begins in the sorted copy.
    fn run(&self, tap: [usize; 2], y: usize) -> usize {
        let [sy, sx] = self.stride;
        ((y * sy + tap[0]) * sx + tap[1] % sx) * self.sorted_row() + tap[1] / sx
    }

    /// `[taps, positions]`, rows apart by `stride` numbers: the pixels of the wide grid that each tap meets.
    pub fn taps_by_row(&self, wide: &[f32], sorted: &mut [f32], columns: &mut [f32], stride: usize) {
        self.sort(wide, sorted);
        match self.narrow[1] {
            4 => self.copy_runs::<4>(sorted, columns, stride),
            8 => self.copy_runs::<8>(sorted, columns, stride),
            16 => self.copy_runs::<16>(sorted, columns, stride),
            32 => self.copy_runs::<32>(sorted, columns, stride),
            width => self.each_run(|tap, y, run| {
                columns[tap * stride + y * width..][..width].copy_from_slice(&sorted[run..][..width]);
            }),
        }
    }

    fn copy_runs<const W: usize>(&self, sorted: &[f32], columns: &mut [f32], stride: usize) {
        self.each_run(|tap, y, run| {
            let from: Option<&[f32; W]> = sorted[run..].first_chunk();
            if let (Some(to), Some(from)) = (columns[tap * stride + y * W..].first_chunk_mut(), from) {
                *to = *from;
            }
        });
    }

    /// Calls `f` with each tap, row of positions, and where their run begins in the sorted copy.
    #[inline(always)]
    fn each_run(&self, mut f: impl FnMut(usize, usize, usize)) {
        for ky in 0..self.kernel[0] {
            for kx in 0..self.kernel[1] {
                for y in 0..self.narrow[0] {
                    f(ky * self.kernel[1] + kx, y, self.run([ky, kx], y));
                }
            }
        }
    }

    /// The wide grid with its zeros, columns sorted.
    fn sort(&self, wide: &[f32], sorted: &mut [f32]) {
        let ([py, px], [height, width]) = (self.padding, self.wide);
        let (sx, len) = (self.stride[1], self.sorted_row());
        for (y, row) in sorted[..self.sorted_len()].chunks_exact_mut(sx * len).enumerate() {
            let Some(from) = y.checked_sub(py).filter(|&y| y < height) else {
                row.fill(0.0);
                continue;
            };
            let from = &wide[from * width..][..width];
            for (phase, row) in row.chunks_exact_mut(len).enumerate() {
                // Columns `phase + i * sx - px` of the grid, those beyond its sides are zero.
                let first = px.saturating_sub(phase).div_ceil(sx).min(len);
                let start = phase + first * sx - px.min(phase + first * sx);
                let inside = from[start.min(width)..].iter().step_by(sx).take(len - first);
                let count = inside.len();
                row[..first].fill(0.0);
                row[first..].iter_mut().zip(inside).for_each(|(to, &from)| *to = from);
                row[first + count..].fill(0.0);
            }
        }
    }

    /// `[positions, taps]`, rows apart by `stride` numbers: the pixels that each position sees.
    pub fn taps_by_position(&self, wide: &[f32], padded: &mut [f32], rows: &mut [f32], stride: usize) {
        Self { stride: [self.stride[0], 1], narrow: [self.narrow[0], self.reach(1) - self.kernel[1] + 1], ..*self }
            .sort(wide, padded);
        match self.kernel[1] {
            2 => self.copy_windows::<2>(padded, rows, stride),
            4 => self.copy_windows::<4>(padded, rows, stride),
            _ => self.each_window(|position, ky, from| {
                let kw = self.kernel[1];
                rows[position * stride + ky * kw..][..kw].copy_from_slice(&padded[from..][..kw]);
            }),
        }
    }

    fn copy_windows<const K: usize>(&self, padded: &[f32], rows: &mut [f32], stride: usize) {
        self.each_window(|position, ky, from| {
            let from: Option<&[f32; K]> = padded[from..].first_chunk();
            if let (Some(to), Some(from)) = (rows[position * stride + ky * K..].first_chunk_mut(), from) {
                *to = *from;
            }
        });
    }

    /// Calls `f` with each position, row of the kernel, and where they meet in the padded copy.
    #[inline(always)]
    fn each_window(&self, mut f: impl FnMut(usize, usize, usize)) {
        let row = self.reach(1);
        for y in 0..self.narrow[0] {
            for x in 0..self.narrow[1] {
                for ky in 0..self.kernel[0] {
                    f(y * self.narrow[1] + x, ky, (y * self.stride[0] + ky) * row + x * self.stride[1]);
                }
            }
        }
    }

    /// The sum over taps of `[taps, positions]` at each pixel of the wide grid: the transpose of [`Self::taps_by_row`].
    #[inline(always)]
    pub fn add_taps(&self, columns: &[f32], sorted: &mut [f32], wide: &mut [f32]) {
        let sorted = &mut sorted[..self.sorted_len()];
        sorted.fill(0.0);
        match self.narrow[1] {
            4 => self.add_runs::<4>(columns, sorted),
            8 => self.add_runs::<8>(columns, sorted),
            16 => self.add_runs::<16>(columns, sorted),
            width => self.each_run(|tap, y, run| {
                let from = &columns[tap * self.positions() + y * width..][..width];
                sorted[run..][..width].iter_mut().zip(from).for_each(|(sum, v)| *sum += v);
            }),
        }
        self.unsort(sorted, wide);
    }

    #[inline(always)]
    fn add_runs<const W: usize>(&self, columns: &[f32], sorted: &mut [f32]) {
        self.each_run(|tap, y, run| {
            let from: Option<&[f32; W]> = columns[tap * self.positions() + y * W..].first_chunk();
            let to: Option<&mut [f32; W]> = sorted[run..].first_chunk_mut();
            if let (Some(to), Some(from)) = (to, from) {
                for x in 0..W {
                    to[x] += from[x];
                }
            }
        });
    }

    /// The wide grid from its sorted copy, without the border.
    #[inline(always)]
    fn unsort(&self, sorted: &[f32], wide: &mut [f32]) {
        let ([py, px], width) = (self.padding, self.wide[1]);
        let (sx, len) = (self.stride[1], self.sorted_row());
        for (y, row) in wide.chunks_exact_mut(width).enumerate() {
            let Some(from) = sorted.get((y + py) * sx * len..).filter(|from| from.len() >= sx * len) else {
                // No window reaches there.
                row.fill(0.0);
                continue;
            };
            if sx == 2 && width.is_multiple_of(2) && px.div_ceil(2) + width / 2 <= len {
                // Pixels `2 i` and `2 i + 1`, each in a run of its own.
                let run = |x: usize| &from[(x + px) % 2 * len + (x + px) / 2..][..width / 2];
                let (even, odd) = (run(0), run(1));
                for (pair, (&even, &odd)) in row.chunks_exact_mut(2).zip(even.iter().zip(odd)) {
                    pair[0] = even;
                    pair[1] = odd;
                }
                continue;
            }
            for (x, v) in row.iter_mut().enumerate() {
                let (phase, place) = ((x + px) % sx, (x + px) / sx);
                *v = if place < len { from[phase * len + place] } else { 0.0 };
            }
        }
    }
}
