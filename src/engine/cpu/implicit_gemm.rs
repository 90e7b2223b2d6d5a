//! Convolutions as matrix products whose right factor is read where the image lies: no window is copied. This is known as
//! implicit GEMM.
//!
//! Like [`super::gemm`] it keeps a tile of the result in registers. Each element is one chain of fused multiply-adds in the order
//! of the taps, whatever the tile, the vectors and the number of threads.

#![allow(clippy::needless_range_loop, reason = "what is held by indices known to the compiler stays in registers")]

use std::array;

use pulp::bytemuck::{self, Pod};
use pulp::{Arch, Simd, WithSimd};

use super::gemm::{STEPS, first, multiply_add};

/// `target[row, position] = sum over taps of weights[row, tap] pixels[tap, position]`.
pub(super) struct ImplicitGemm<'a> {
    /// `[rows, taps]`, the taps of all channels.
    pub weights: &'a [f32],
    /// For each tap where its pixel for position 0 lies.
    pub places: &'a [u32],
    /// Pixels, a row of positions apart from the next by the number beside.
    pub pixels: (&'a [f32], usize),
    /// Height and width of the positions.
    pub grid: [usize; 2],
    /// `[rows, height, width]`.
    pub target: &'a mut [f32],
}

impl ImplicitGemm<'_> {
    /// Computes it on this thread.
    pub(super) fn run(self, arch: Arch) {
        arch.dispatch(self);
    }

    #[inline(always)]
    fn columns(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    #[inline(always)]
    fn rows(&self) -> usize {
        self.target.len() / self.columns().max(1)
    }
}

impl WithSimd for ImplicitGemm<'_> {
    type Output = ();

    /// A vector holds a part of a row of positions, or two or four whole rows.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let ([height, width], lanes) = (self.grid, S::F32_LANES);
        let done = match (lanes, width) {
            _ if width.is_multiple_of(lanes) => self.vectors::<S, 1>(simd),
            (8, 4) | (16, 8) => self.vectors::<S, 2>(simd),
            (16, 4) => self.vectors::<S, 4>(simd),
            _ => 0,
        };
        for row in done..height {
            let (mut column, end) = (row * width, (row + 1) * width);
            while column < end {
                column += match end - column {
                    rest if rest >= lanes => self.block::<S, 1, 8, 1, true>(simd, column, lanes),
                    rest => self.block::<S, 1, 8, 1, false>(simd, column, rest),
                };
            }
        }
    }
}

impl ImplicitGemm<'_> {
    /// What fills whole vectors that hold `N` rows of positions, or a part of one; returns how many rows of positions are done.
    ///
    /// A tile has the most sums that the registers hold beside what is multiplied. Few rows of weights take more vectors, so
    /// that enough sums are under way at once.
    #[inline(always)]
    fn vectors<S: Simd, const N: usize>(&mut self, simd: S) -> usize {
        let (rows, lanes) = (self.rows(), S::F32_LANES);
        let end = self.columns() / lanes * lanes;
        let mut column = 0;
        while column < end {
            column += match (rows, (end - column) / lanes) {
                (1, 8..) => self.block::<S, N, 1, 8, true>(simd, column, lanes),
                (..4, 4..) => self.block::<S, N, 2, 4, true>(simd, column, lanes),
                (_, 2..) if lanes < 16 => self.block::<S, N, 6, 2, true>(simd, column, lanes),
                (_, 2..) => self.block::<S, N, 8, 2, true>(simd, column, lanes),
                _ => self.block::<S, N, 16, 1, true>(simd, column, lanes),
            };
        }
        end / self.grid[1].max(1)
    }

    /// All rows of `V` vectors of columns, or of one that counts up to `width` if not `WHOLE`; returns how many columns those are.
    #[inline(always)]
    fn block<S: Simd, const N: usize, const R: usize, const V: usize, const WHOLE: bool>(
        &mut self,
        simd: S,
        column: usize,
        width: usize,
    ) -> usize {
        let rows = self.rows();
        let mut row = 0;
        while row < rows {
            row += match rows - row {
                rest if rest >= R => self.tile::<S, N, R, V, WHOLE>(simd, [row, column], width),
                4.. if R > 4 => self.tile::<S, N, 4, V, WHOLE>(simd, [row, column], width),
                _ => self.tile::<S, N, 1, V, WHOLE>(simd, [row, column], width),
            };
        }
        V * width
    }

    /// A tile of `R` rows; returns `R`.
    #[inline(always)]
    fn tile<S: Simd, const N: usize, const R: usize, const V: usize, const WHOLE: bool>(
        &mut self,
        simd: S,
        [row, column]: [usize; 2],
        width: usize,
    ) -> usize {
        let (columns, taps, (pixels, line)) = (self.columns(), self.places.len(), self.pixels);
        let place = |column: usize| column / self.grid[1] * line + column % self.grid[1];
        let start = |v: usize, n: usize| place(column + v * width + n * width / N);
        // All of one length, and the compiler knows it, so that one check is enough for them.
        let len = pixels.len() - start(V - 1, N - 1);
        let pixels: [[&[f32]; N]; V] = array::from_fn(|v| array::from_fn(|n| &pixels[start(v, n)..][..len]));
        assert!(pixels.iter().flatten().all(|line| line.len() == len));
        let weights: [&[f32]; R] = array::from_fn(|r| &self.weights[(row + r) * taps..][..taps]);
        // Several at once, where registers remain for where they lie.
        let at_once = if N == 1 || V == 1 { taps / STEPS } else { 0 };
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        for step in 0..at_once {
            let numbers: [&[f32; STEPS]; R] = array::from_fn(|r| first(&weights[r][step * STEPS..]));
            let places: &[u32; STEPS] = first(&self.places[step * STEPS..]);
            for i in 0..STEPS {
                let vectors = load::<S, N, V, WHOLE>(simd, &pixels, places[i] as usize, width);
                multiply_add(simd, &mut sums, array::from_fn(|r| &numbers[r][i]), vectors);
            }
        }
        for tap in at_once * STEPS..taps {
            let vectors = load::<S, N, V, WHOLE>(simd, &pixels, self.places[tap] as usize, width);
            multiply_add(simd, &mut sums, array::from_fn(|r| &weights[r][tap]), vectors);
        }
        for r in 0..R {
            let room = &mut self.target[(row + r) * columns + column..][..V * width];
            match WHOLE {
                true => S::as_mut_simd_f32s(room).0.copy_from_slice(&sums[r]),
                false => simd.partial_store_f32s(room, sums[r][0]),
            }
        }
        R
    }
}

/// The pixels of a tap: `V` vectors, or one of `width` numbers.
#[inline(always)]
fn load<S: Simd, const N: usize, const V: usize, const WHOLE: bool>(
    simd: S,
    lines: &[[&[f32]; N]; V],
    start: usize,
    width: usize,
) -> [S::f32s; V] {
    array::from_fn(|v| match WHOLE {
        true => gather::<S, N>(&lines[v], start),
        false => simd.partial_load_f32s(&lines[v][0][start..][..width]),
    })
}

/// A vector of `N` parts that lie apart.
#[inline(always)]
fn gather<S: Simd, const N: usize>(lines: &[&[f32]; N], start: usize) -> S::f32s {
    match S::F32_LANES / N {
        4 if N > 1 => join::<S, [f32; 4], N>(lines, start),
        8 if N > 1 => join::<S, [f32; 8], N>(lines, start),
        whole => first::<_, 1>(S::as_simd_f32s(&lines[0][start..][..whole]).0)[0],
    }
}

/// The same of parts of a length that the compiler knows, so that they meet in a register.
#[inline(always)]
fn join<S: Simd, P: Pod, const N: usize>(lines: &[&[f32]; N], start: usize) -> S::f32s {
    let len = size_of::<P>() / size_of::<f32>();
    let part = |n: usize| bytemuck::pod_read_unaligned(bytemuck::cast_slice(&lines[n][start..][..len]));
    let parts: [P; N] = array::from_fn(part);
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(&parts))
}
