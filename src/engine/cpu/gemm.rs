//! Matrix products: what every convolution comes down to.
//!
//! A tile of the result stays in registers while both factors stream past. Each element is one chain of fused
//! multiply-adds in the order of `k`, whatever the tile, the vectors and the number of threads, so that none of these
//! changes a bit of it. All accesses are checked; the checks cost nothing that can be measured beside the arithmetic.

#![allow(clippy::needless_range_loop, reason = "what is held by indices known to the compiler stays in registers")]

use pulp::{Arch, Simd, WithSimd};

/// The left factor, `[rows, k]`.
#[derive(Clone, Copy)]
pub(super) enum Left<'a> {
    /// Rows apart by `stride`, each in pieces of `piece` numbers of `k` that lie together, the pieces apart by `next`.
    Rows { data: &'a [f32], stride: usize, piece: usize, next: usize },
    /// Numbers of one `k` lie together, those of the next are apart by `stride`.
    Columns { data: &'a [f32], stride: usize },
}

impl<'a> Left<'a> {
    /// A matrix whose rows lie together, of so many numbers each.
    pub(super) fn rows(data: &'a [f32], k: usize) -> Self {
        Self::Rows { data, stride: k, piece: k, next: 0 }
    }
}

/// `target = left x right`, or `target += left x right`.
pub(super) struct Gemm<'a> {
    /// Rows, columns, and the length of the sums.
    pub size: [usize; 3],
    pub left: Left<'a>,
    /// `[k, columns]`, rows apart by the number beside.
    pub right: (&'a [f32], usize),
    /// `[rows, columns]`, likewise.
    pub target: (&'a mut [f32], usize),
    /// Adds to what the target holds.
    pub adds: bool,
}

impl Gemm<'_> {
    /// Computes it on this thread.
    pub(super) fn run(self, arch: Arch) {
        arch.dispatch(self);
    }
}

impl WithSimd for Gemm<'_> {
    type Output = ();

    /// All tiles, down each block of columns, which stays in the cache meanwhile. A tile has the most sums that the registers
    /// hold beside what is multiplied.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let [_, columns, _] = self.size;
        let lanes = S::F32_LANES;
        let mut column = 0;
        while column < columns {
            column += match columns - column {
                rest if rest >= 2 * lanes && lanes >= 16 => self.block::<S, 8, 2, true>(simd, column, 2 * lanes),
                rest if rest >= 2 * lanes => self.block::<S, 6, 2, true>(simd, column, 2 * lanes),
                rest if rest >= lanes => self.block::<S, 16, 1, true>(simd, column, lanes),
                rest => self.block::<S, 8, 1, false>(simd, column, rest),
            };
        }
    }
}

/// Numbers of a row of the left factor that are looked up at once.
pub(super) const STEPS: usize = 4;

impl Gemm<'_> {
    /// All rows of a block of columns; returns how many columns those are.
    #[inline(always)]
    fn block<S: Simd, const R: usize, const V: usize, const WHOLE: bool>(
        &mut self,
        simd: S,
        column: usize,
        width: usize,
    ) -> usize {
        let [rows, ..] = self.size;
        let mut row = 0;
        while row < rows {
            row += match rows - row {
                rest if rest >= R => self.tile::<S, R, V, WHOLE>(simd, [row, column], width),
                4.. => self.tile::<S, 4, V, WHOLE>(simd, [row, column], width),
                _ => self.tile::<S, 1, V, WHOLE>(simd, [row, column], width),
            };
        }
        width
    }

    /// A tile of `R` rows and `V` vectors, or of one that counts up to `width` columns if not `WHOLE`; returns `R`.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize, const WHOLE: bool>(
        &mut self,
        simd: S,
        [row, column]: [usize; 2],
        width: usize,
    ) -> usize {
        let width = if WHOLE { V * S::F32_LANES } else { width };
        let (k, stride) = (self.size[2], self.target.1);
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        if self.adds {
            for r in 0..R {
                sums[r] = load::<S, V, WHOLE>(simd, &self.target.0[(row + r) * stride + column..], width);
            }
        }
        let mut right = Right { numbers: &self.right.0[column.min(self.right.0.len())..], stride: self.right.1 };
        match self.left {
            Left::Rows { data, stride, piece, next } => {
                for start in (0..k).step_by(piece.max(1)) {
                    let len = piece.min(k - start);
                    let first = row * stride + start / piece * next;
                    let rows: [&[f32]; R] = std::array::from_fn(|r| &data[first + r * stride..][..len]);
                    let parts = rows.map(|row| row.as_chunks::<STEPS>());
                    for step in 0..len / STEPS {
                        let numbers: [&[f32; STEPS]; R] = std::array::from_fn(|r| &parts[r].0[step]);
                        for i in 0..STEPS {
                            let vectors = right.next::<S, V, WHOLE>(simd, width);
                            multiply_add(simd, &mut sums, std::array::from_fn(|r| &numbers[r][i]), vectors);
                        }
                    }
                    for i in 0..len % STEPS {
                        let vectors = right.next::<S, V, WHOLE>(simd, width);
                        multiply_add(simd, &mut sums, std::array::from_fn(|r| &parts[r].1[i]), vectors);
                    }
                }
            }
            Left::Columns { data, stride } => {
                let mut numbers = &data[row..];
                for _ in 0..k {
                    let vectors = right.next::<S, V, WHOLE>(simd, width);
                    let column: &[f32; R] = first(numbers);
                    numbers = numbers.get(stride..).unwrap_or_default();
                    multiply_add(simd, &mut sums, column.each_ref(), vectors);
                }
            }
        }
        for r in 0..R {
            let room = &mut self.target.0[(row + r) * stride + column..][..width];
            if WHOLE {
                S::as_mut_simd_f32s(room).0.copy_from_slice(&sums[r]);
            } else {
                simd.partial_store_f32s(room, sums[r][0]);
            }
        }
        R
    }
}

/// Adds the products of a number of each row with vectors of columns.
#[inline(always)]
pub(super) fn multiply_add<S: Simd, const R: usize, const V: usize>(
    simd: S,
    sums: &mut [[S::f32s; V]; R],
    numbers: [&f32; R],
    vectors: [S::f32s; V],
) {
    for r in 0..R {
        let number = simd.splat_f32s(*numbers[r]);
        for v in 0..V {
            sums[r][v] = simd.mul_add_e_f32s(number, vectors[v], sums[r][v]);
        }
    }
}

/// The rows of a block of columns of the right factor, one after the other.
struct Right<'a> {
    numbers: &'a [f32],
    stride: usize,
}

impl Right<'_> {
    #[inline(always)]
    fn next<S: Simd, const V: usize, const WHOLE: bool>(&mut self, simd: S, width: usize) -> [S::f32s; V] {
        let vectors = load::<S, V, WHOLE>(simd, self.numbers, width);
        self.numbers = self.numbers.get(self.stride..).unwrap_or_default();
        vectors
    }
}

/// As many vectors as there are numbers for, or one that is not filled.
#[inline(always)]
fn load<S: Simd, const V: usize, const WHOLE: bool>(simd: S, numbers: &[f32], width: usize) -> [S::f32s; V] {
    if WHOLE {
        *first(S::as_simd_f32s(&numbers[..V * S::F32_LANES]).0)
    } else {
        [simd.partial_load_f32s(&numbers[..width]); V]
    }
}

/// The first `N` of at least as many.
#[inline(always)]
pub(super) fn first<T, const N: usize>(all: &[T]) -> &[T; N] {
    match all.first_chunk() {
        Some(part) => part,
        None => unreachable!("the factors are as large as their product says"),
    }
}
