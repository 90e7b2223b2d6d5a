//! Products with a transposed right factor: layers whose windows see the whole of their input.
//!
//! Both factors lie along the sums, which are vectors of [`PARTS`] running sums each, whatever the processor's are.

#![allow(clippy::needless_range_loop, reason = "what is held by indices known to the compiler stays in registers")]

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::convolution::MIN_PARALLEL_MACS_OF_ONE_IMAGE;
use super::threads::parallel_for;
use super::vectors::{PARTS, total};

/// Multiply-accumulates from which on other threads are worth their waking.
const MIN_PARALLEL_MACS: usize = 1 << 20;
/// Rows, and columns of a single one, that a thread takes at a time.
const ROWS: usize = 4;
const COLUMNS: usize = 8;

/// `y = x w^T`, of `rows` by `k` and `columns` by `k`.
pub(super) fn by_transposed(arch: Arch, [rows, columns, k]: [usize; 3], x: &[f32], w: &[f32], y: &mut [f32]) {
    let macs = rows * columns * k;
    if rows == 1 {
        let work = |(index, y): (usize, &mut [f32])| {
            arch.dispatch(ByTransposed { columns: y.len(), k, x, w: &w[index * COLUMNS * k..], y });
        };
        return parallel_for(
            macs as u64 >= MIN_PARALLEL_MACS_OF_ONE_IMAGE,
            y.par_chunks_mut(COLUMNS).enumerate(),
            work,
        );
    }
    let work = |(index, y): (usize, &mut [f32])| {
        arch.dispatch(ByTransposed { columns, k, x: &x[index * ROWS * k..], w, y });
    };
    parallel_for(macs >= MIN_PARALLEL_MACS, y.par_chunks_mut(ROWS * columns).enumerate(), work);
}

struct ByTransposed<'a> {
    columns: usize,
    k: usize,
    x: &'a [f32],
    w: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for ByTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.all::<S, 1>(simd),
            8 => self.all::<S, 2>(simd),
            4 => self.all::<S, 4>(simd),
            _ => self.plain(),
        }
    }
}

impl ByTransposed<'_> {
    /// All tiles, with sums of `V` vectors.
    #[inline(always)]
    fn all<S: Simd, const V: usize>(mut self, simd: S) {
        let rows = self.y.len() / self.columns;
        let mut row = 0;
        while row < rows {
            row += match rows - row {
                2.. => self.rows::<S, V, 2>(simd, row),
                _ => self.rows::<S, V, 1>(simd, row),
            };
        }
    }

    #[inline(always)]
    fn rows<S: Simd, const V: usize, const R: usize>(&mut self, simd: S, row: usize) -> usize {
        let mut column = 0;
        while column < self.columns {
            column += match self.columns - column {
                4.. => self.tile::<S, V, R, 4>(simd, row, column),
                _ => self.tile::<S, V, R, 1>(simd, row, column),
            };
        }
        R
    }

    #[inline(always)]
    fn tile<S: Simd, const V: usize, const R: usize, const C: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
    ) -> usize {
        let k = self.k;
        let x: [&[f32]; R] = std::array::from_fn(|r| &self.x[(row + r) * k..][..k]);
        let w: [&[f32]; C] = std::array::from_fn(|c| &self.w[(column + c) * k..][..k]);
        let mut sums = [[[simd.splat_f32s(0.0); V]; C]; R];
        let whole = k - k % PARTS;
        for start in (0..whole).step_by(PARTS) {
            let x: [[S::f32s; V]; R] = std::array::from_fn(|r| load::<S, V>(&x[r][start..]));
            for c in 0..C {
                let w: [S::f32s; V] = load::<S, V>(&w[c][start..]);
                for r in 0..R {
                    for v in 0..V {
                        sums[r][c][v] = simd.mul_add_e_f32s(x[r][v], w[v], sums[r][c][v]);
                    }
                }
            }
        }
        for r in 0..R {
            for c in 0..C {
                let mut parts = [0.0; PARTS];
                S::as_mut_simd_f32s(&mut parts).0.copy_from_slice(&sums[r][c]);
                for i in whole..k {
                    parts[i - whole] += x[r][i] * w[c][i];
                }
                self.y[(row + r) * self.columns + column + c] = total(&parts);
            }
        }
        C
    }

    /// The same without vectors.
    fn plain(self) {
        for (row, y) in self.y.chunks_exact_mut(self.columns).enumerate() {
            for (column, y) in y.iter_mut().enumerate() {
                let mut parts = [0.0; PARTS];
                let pairs = self.x[row * self.k..][..self.k].iter().zip(&self.w[column * self.k..]);
                pairs.enumerate().for_each(|(i, (x, w))| parts[i % PARTS] += x * w);
                *y = total(&parts);
            }
        }
    }
}

/// The first `V` vectors of at least as many numbers.
#[inline(always)]
fn load<S: Simd, const V: usize>(numbers: &[f32]) -> [S::f32s; V] {
    match S::as_simd_f32s(numbers).0.first_chunk() {
        Some(vectors) => *vectors,
        None => unreachable!("whole vectors only"),
    }
}
