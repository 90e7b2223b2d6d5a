//! The windows of a convolution over one channel of one image, laid out for matrix products.
//!
//! The channel is copied with its zeros around it, and with the pixels that one tap meets side by side: a row's columns
//! are sorted by their remainder by the stride. From there every row of a tap is one run of numbers. All of it is inlined into
//! code for the vectors that the processor has.

#![allow(clippy::needless_range_loop, reason = "arrays of known length are gone through by index")]

use crate::engine::conv::Geometry;

/// How the positions of the narrow grid lie over the wide one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    /// Height and width of the wide grid.
    wide: [usize; 2],
    /// Height and width of the narrow grid.
    pub narrow: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
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
        let mut places = vec![0; self.taps()];
        self.starts().for_each(|(tap, start)| places[tap] = start);
        places
    }

    /// Each tap, and where its first row of positions begins in the sorted copy. Taps whose runs overlap without being the same
    /// come long after each other: processors wait for numbers that were just stored in two pieces.
    #[inline(always)]
    fn starts(&self) -> Starts {
        Starts { windows: *self, ky: 0, remainder: 0, place: 0 }
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
                let (px, len) = (self.padding[1], self.sorted_row());
                for (row, from) in self.rows_of(sorted).zip(wide.chunks_exact(width)) {
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
            let pixels: &[[f32; S]; W] = run(from.as_chunks::<S>().0);
            for q in 0..S {
                let to: &mut [f32; W] = run_mut(&mut sorted[runs[q] + y * row..]);
                for i in 0..W {
                    to[i] = pixels[i][q];
                }
            }
        }
    }

    /// The rows of the sorted copy that are rows of the wide grid.
    #[inline(always)]
    fn rows_of<'a>(&self, sorted: &'a mut [f32]) -> impl Iterator<Item = &'a mut [f32]> {
        let row = self.stride[1] * self.sorted_row();
        sorted[..self.sorted_len()].chunks_exact_mut(row).skip(self.padding[0]).take(self.wide[0])
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

    /// The sum over taps of `[taps, positions]`, rows apart by `stride` numbers, at each pixel of the wide grid that they meet.
    #[inline(always)]
    pub(super) fn col2im(&self, columns: &[f32], stride: usize, sorted: &mut [f32], wide: &mut [f32]) {
        let sorted = &mut sorted[..self.sorted_len()];
        sorted.fill(0.0);
        match self.narrow[1] {
            4 => self.add_runs::<4>(columns, stride, sorted),
            8 => self.add_runs::<8>(columns, stride, sorted),
            16 => self.add_runs::<16>(columns, stride, sorted),
            width => {
                for (tap, start) in self.starts() {
                    let rows = columns[tap * stride..][..self.positions()].chunks_exact(width);
                    for (from, to) in rows.zip(sorted[start..].chunks_mut(self.step())) {
                        to.iter_mut().zip(from).for_each(|(sum, v)| *sum += v);
                    }
                }
            }
        }
        self.unsort(sorted, wide);
    }

    #[inline(always)]
    fn add_runs<const W: usize>(&self, columns: &[f32], stride: usize, sorted: &mut [f32]) {
        let step = self.step();
        for (tap, start) in self.starts() {
            let rows = columns[tap * stride..][..self.positions()].as_chunks::<W>().0;
            for (y, from) in rows.iter().enumerate() {
                let to = run_mut::<_, W>(&mut sorted[start + y * step..]);
                // All sums before the first is stored, so that they are made in vectors.
                *to = std::array::from_fn(|x| to[x] + from[x]);
            }
        }
    }

    /// The wide grid from its sorted copy, without the border.
    #[inline(always)]
    fn unsort(&self, sorted: &mut [f32], wide: &mut [f32]) {
        let [_, width] = self.wide;
        match (self.stride[1], width / self.stride[1]) {
            (2, 4) if self.divides_rows() => self.unsort_by::<2, 4>(sorted, wide),
            (2, 8) if self.divides_rows() => self.unsort_by::<2, 8>(sorted, wide),
            (2, 16) if self.divides_rows() => self.unsort_by::<2, 16>(sorted, wide),
            (4, 4) if self.divides_rows() => self.unsort_by::<4, 4>(sorted, wide),
            (4, 8) if self.divides_rows() => self.unsort_by::<4, 8>(sorted, wide),
            (sx, _) => {
                let (px, len) = (self.padding[1], self.sorted_row());
                // Some pixels no window reaches.
                wide.fill(0.0);
                for (row, from) in wide.chunks_exact_mut(width).zip(self.rows_of(sorted)) {
                    for (remainder, run) in from.chunks_exact(len).enumerate() {
                        let (first, start) = first_inside(px, remainder, sx, len);
                        let inside = row[start.min(width)..].iter_mut().step_by(sx);
                        inside.zip(&run[first..]).for_each(|(to, &from)| *to = from);
                    }
                }
            }
        }
    }

    /// The same for a stride of `S` that divides rows into `W` parts.
    #[inline(always)]
    fn unsort_by<const S: usize, const W: usize>(&self, sorted: &mut [f32], wide: &mut [f32]) {
        let runs = self.runs::<S>();
        let (inside, beyond) = wide.split_at_mut(self.rows_of(sorted).count() * S * W);
        beyond.fill(0.0);
        for (row, from) in inside.chunks_exact_mut(S * W).zip(self.rows_of(sorted)) {
            let pixels: &mut [[f32; S]; W] = run_mut(row.as_chunks_mut::<S>().0);
            let from: [&[f32; W]; S] = runs.map(|start| run(&from[start..]));
            *pixels = std::array::from_fn(|i| std::array::from_fn(|q| from[q][i]));
        }
    }
}

/// Of the columns with a remainder by the stride, the first that is a pixel: its place among them, and the pixel.
#[inline(always)]
fn first_inside(padding: usize, remainder: usize, stride: usize, len: usize) -> (usize, usize) {
    let first = padding.saturating_sub(remainder).div_ceil(stride).min(len);
    (first, (remainder + first * stride).saturating_sub(padding))
}

/// See [`Windows::starts`].
struct Starts {
    windows: Windows,
    ky: usize,
    /// Of the tap's column by the stride, and its place among those of the same.
    remainder: usize,
    place: usize,
}

impl Iterator for Starts {
    type Item = (usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, usize)> {
        let ([kernel_h, kernel_w], [_, stride]) = (self.windows.kernel, self.windows.stride);
        let Self { ky, remainder, place, .. } = *self;
        let kx = place * stride + remainder;
        if kx >= kernel_w {
            return None;
        }
        self.remainder += 1;
        if self.remainder == stride || kx + 1 == kernel_w {
            (self.remainder, self.ky) = (0, ky + 1);
        }
        if self.ky == kernel_h {
            (self.ky, self.place) = (0, place + 1);
        }
        Some((ky * kernel_w + kx, (ky * stride + remainder) * self.windows.sorted_row() + place))
    }
}

/// The first `W` of a row.
#[inline(always)]
fn run<T, const W: usize>(row: &[T]) -> &[T; W] {
    match row.first_chunk() {
        Some(run) => run,
        None => unreachable!("whole runs only"),
    }
}

/// The same to write to.
#[inline(always)]
fn run_mut<T, const W: usize>(row: &mut [T]) -> &mut [T; W] {
    match row.first_chunk_mut() {
        Some(run) => run,
        None => unreachable!("whole runs only"),
    }
}
