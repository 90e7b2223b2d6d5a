//! The windows of a convolution over one channel of one image, laid out for matrix products.
//!
//! The channel is copied with its zeros around it, and with the pixels that one tap meets side by side: a row's columns
//! are sorted by their remainder by the stride. From there every row of a tap is one run of numbers. All of it is inlined into
//! code for the vectors that the processor has.

#![allow(clippy::needless_range_loop, reason = "arrays of known length are gone through by index")]

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

    /// Numbers from one row of positions to the next in the sorted copy.
    fn step(&self) -> usize {
        self.stride[0] * self.stride[1] * self.sorted_row()
    }

    /// Calls `f` with each tap and where its first row of positions begins in the sorted copy.
    #[inline(always)]
    fn each_tap(&self, mut f: impl FnMut(usize, usize)) {
        let ([kernel_h, kernel_w], stride, len) = (self.kernel, self.stride[1], self.sorted_row());
        for ky in 0..kernel_h {
            let (mut remainder, mut place) = (0, 0);
            for kx in 0..kernel_w {
                f(ky * kernel_w + kx, (ky * stride + remainder) * len + place);
                remainder += 1;
                if remainder == stride {
                    (remainder, place) = (0, place + 1);
                }
            }
        }
    }

    /// `[taps, positions]`: the pixels of the wide grid that each tap meets.
    #[inline(always)]
    pub fn taps_by_row(&self, wide: &[f32], sorted: &mut [f32], columns: &mut [f32]) {
        self.sort(wide, sorted);
        match self.narrow[1] {
            4 => self.copy_runs::<4>(sorted, columns),
            8 => self.copy_runs::<8>(sorted, columns),
            16 => self.copy_runs::<16>(sorted, columns),
            width => self.each_tap(|tap, start| {
                let rows = columns[tap * self.positions()..][..self.positions()].chunks_exact_mut(width);
                rows.zip(sorted[start..].chunks(self.step())).for_each(|(to, from)| to.copy_from_slice(&from[..width]));
            }),
        }
    }

    #[inline(always)]
    fn copy_runs<const W: usize>(&self, sorted: &[f32], columns: &mut [f32]) {
        let step = self.step();
        self.each_tap(|tap, start| {
            let rows = columns[tap * self.positions()..][..self.positions()].as_chunks_mut::<W>().0;
            for (to, from) in rows.iter_mut().zip(sorted[start..].chunks(step)) {
                *to = *run(from);
            }
        });
    }

    /// The wide grid with its zeros, columns sorted.
    #[inline(always)]
    fn sort(&self, wide: &[f32], sorted: &mut [f32]) {
        let ([py, px], [height, width]) = (self.padding, self.wide);
        let (sx, len) = (self.stride[1], self.sorted_row());
        let pairs = sx == 2 && self.is_in_pairs();
        for (y, row) in sorted[..self.sorted_len()].chunks_exact_mut(sx * len).enumerate() {
            let Some(from) = y.checked_sub(py).filter(|&y| y < height) else {
                row.fill(0.0);
                continue;
            };
            let from = &wide[from * width..][..width];
            if sx == 1 && px + width <= len {
                row[..px].fill(0.0);
                row[px..px + width].copy_from_slice(from);
                row[px + width..].fill(0.0);
                continue;
            }
            if pairs {
                // Pixels `2 i` and `2 i + 1` go to a run of their own each, the border stays as it was cleared.
                let (first, second) = row.split_at_mut(len);
                let (even, odd) = if px.is_multiple_of(2) { (first, second) } else { (second, first) };
                even.fill(0.0);
                odd.fill(0.0);
                let runs = even[px / 2..].iter_mut().zip(&mut odd[px.div_ceil(2)..]);
                for ((even, odd), pair) in runs.zip(from.as_chunks::<2>().0) {
                    [*even, *odd] = *pair;
                }
                continue;
            }
            for (remainder, row) in row.chunks_exact_mut(len).enumerate() {
                // Columns `remainder + i * sx - px` of the grid, those beyond its sides are zero.
                let first = px.saturating_sub(remainder).div_ceil(sx).min(len);
                let start = (remainder + first * sx).saturating_sub(px);
                let inside = from[start.min(width)..].iter().step_by(sx).take(len - first);
                let count = inside.len();
                row[..first].fill(0.0);
                row[first..].iter_mut().zip(inside).for_each(|(to, &from)| *to = from);
                row[first + count..].fill(0.0);
            }
        }
    }

    /// Whether all pixels of a row lie in the windows' reach, in whole pairs.
    fn is_in_pairs(&self) -> bool {
        let (width, px) = (self.wide[1], self.padding[1]);
        width.is_multiple_of(2) && px.div_ceil(2) + width / 2 <= self.sorted_row()
    }

    /// `[positions, taps]`, rows apart by `stride` numbers: the pixels that each position sees.
    #[inline(always)]
    pub fn taps_by_position(&self, wide: &[f32], padded: &mut [f32], rows: &mut [f32], stride: usize) {
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
            let from: [&[f32]; K] = std::array::from_fn(|ky| &padded[(y * sy + ky) * row..][..row]);
            for x in 0..width {
                let to = rows.next().and_then(|to| to.as_chunks_mut::<K>().0.first_chunk_mut::<K>());
                let Some(to) = to else { unreachable!("a row for each position") };
                for ky in 0..K {
                    to[ky] = *run(&from[ky][x * sx..]);
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
            width => self.each_tap(|tap, start| {
                let rows = columns[tap * self.positions()..][..self.positions()].chunks_exact(width);
                for (from, to) in rows.zip(sorted[start..].chunks_mut(self.step())) {
                    to.iter_mut().zip(from).for_each(|(sum, v)| *sum += v);
                }
            }),
        }
        self.unsort(sorted, wide);
    }

    #[inline(always)]
    fn add_runs<const W: usize>(&self, columns: &[f32], sorted: &mut [f32]) {
        let step = self.step();
        self.each_tap(|tap, start| {
            let rows = columns[tap * self.positions()..][..self.positions()].as_chunks::<W>().0;
            for (from, to) in rows.iter().zip(sorted[start..].chunks_mut(step)) {
                let Some(to) = to.first_chunk_mut::<W>() else { unreachable!("whole runs only") };
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
        let pairs = sx == 2 && self.is_in_pairs();
        for (y, row) in wide.chunks_exact_mut(width).enumerate() {
            let Some(from) = sorted.get((y + py) * sx * len..).filter(|from| from.len() >= sx * len) else {
                // No window reaches there.
                row.fill(0.0);
                continue;
            };
            if pairs {
                let (first, second) = from[..2 * len].split_at(len);
                let (even, odd) = if px.is_multiple_of(2) { (first, second) } else { (second, first) };
                let runs = even[px / 2..].iter().zip(&odd[px.div_ceil(2)..]);
                row.as_chunks_mut::<2>().0.iter_mut().zip(runs).for_each(|(pair, (&even, &odd))| *pair = [even, odd]);
                continue;
            }
            for (x, v) in row.iter_mut().enumerate() {
                let (remainder, place) = ((x + px) % sx, (x + px) / sx);
                *v = if place < len { from[remainder * len + place] } else { 0.0 };
            }
        }
    }
}

/// The first `W` numbers of a row.
#[inline(always)]
fn run<const W: usize>(row: &[f32]) -> &[f32; W] {
    match row.first_chunk() {
        Some(run) => run,
        None => unreachable!("whole runs only"),
    }
}
