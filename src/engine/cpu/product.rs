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
    pub fn rows(data: &'a [f32], k: usize) -> Self {
        Self::Rows { data, stride: k, piece: k, next: 0 }
    }
}

/// `target = left x right`, or `target += left x right`.
pub(super) struct Product<'a> {
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

impl Product<'_> {
    /// Computes it on this thread.
    pub fn run(self, arch: Arch) {
        arch.dispatch(self);
    }
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.left {
            Left::Rows { data, stride, piece, next } => {
                self.multiply(simd, &ByRows { data, stride, piece: piece.max(1), next });
            }
            Left::Columns { data, stride } => self.multiply(simd, &ByColumns { data, stride }),
        }
    }
}

impl Product<'_> {
    /// All tiles, down each block of columns, which stays in the cache meanwhile.
    #[inline(always)]
    fn multiply<S: Simd>(mut self, simd: S, left: &impl Numbers) {
        let [_, columns, _] = self.size;
        let (one, two) = (S::F32_LANES, 2 * S::F32_LANES);
        let mut column = 0;
        while column < columns {
            column += match columns - column {
                left_over if left_over >= two => {
                    // The most sums that the registers hold beside what is multiplied.
                    if S::F32_LANES >= 16 {
                        self.block::<S, 8, 2>(simd, left, column, two);
                    } else {
                        self.block::<S, 6, 2>(simd, left, column, two);
                    }
                    two
                }
                left_over => {
                    let width = left_over.min(one);
                    self.block::<S, 12, 1>(simd, left, column, width);
                    width
                }
            };
        }
    }

    /// All rows of a block of columns.
    #[inline(always)]
    fn block<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        left: &impl Numbers,
        column: usize,
        width: usize,
    ) {
        let [rows, ..] = self.size;
        let mut row = 0;
        while row < rows {
            row += match rows - row {
                over if over >= R => self.tile::<S, R, V>(simd, left, [row, column], width),
                4.. => self.tile::<S, 4, V>(simd, left, [row, column], width),
                _ => self.tile::<S, 1, V>(simd, left, [row, column], width),
            };
        }
    }

    /// A tile of `R` rows and `V` vectors, of which the last counts up to `width` columns in all; returns `R`.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        left: &impl Numbers,
        [row, column]: [usize; 2],
        width: usize,
    ) -> usize {
        let (whole, k) = (V * S::F32_LANES == width, self.size[2]);
        let (right, right_stride) = self.right;
        let (target, target_stride) = (&mut *self.target.0, self.target.1);
        let load = |numbers: &[f32]| -> [S::f32s; V] {
            match S::as_simd_f32s(numbers).0.first_chunk() {
                Some(vectors) if whole => *vectors,
                _ => [simd.partial_load_f32s(&numbers[..width.min(S::F32_LANES)]); V],
            }
        };
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        if self.adds {
            for r in 0..R {
                sums[r] = load(&target[(row + r) * target_stride + column..][..width]);
            }
        }
        let mut right = &right[column.min(right.len())..];
        let mut done = 0;
        while done < k {
            let piece = left.piece::<R>(row, done, k);
            for index in 0..piece.len {
                let vectors = load(&right[..width]);
                right = right.get(right_stride..).unwrap_or_default();
                let numbers = left.numbers(&piece, index);
                for r in 0..R {
                    let number = simd.splat_f32s(numbers[r]);
                    for v in 0..V {
                        sums[r][v] = simd.mul_add_e_f32s(number, vectors[v], sums[r][v]);
                    }
                }
            }
            done += piece.len;
        }
        for r in 0..R {
            let room = &mut target[(row + r) * target_stride + column..][..width];
            if whole {
                let (room, _) = S::as_mut_simd_f32s(room);
                for v in 0..V {
                    room[v] = sums[r][v];
                }
            } else {
                simd.partial_store_f32s(room, sums[r][0]);
            }
        }
        R
    }
}

/// What a tile reads of the left factor while it goes through a piece of `k`.
struct Piece<'a, const R: usize> {
    rows: [&'a [f32]; R],
    len: usize,
}

/// How numbers of the left factor are found.
trait Numbers {
    /// The piece of `R` rows that begins at some `k`.
    fn piece<const R: usize>(&self, row: usize, k: usize, end: usize) -> Piece<'_, R>;

    /// A number of each row of a piece.
    fn numbers<const R: usize>(&self, piece: &Piece<R>, index: usize) -> [f32; R];
}

struct ByRows<'a> {
    data: &'a [f32],
    stride: usize,
    piece: usize,
    next: usize,
}

impl Numbers for ByRows<'_> {
    #[inline(always)]
    fn piece<const R: usize>(&self, row: usize, k: usize, end: usize) -> Piece<'_, R> {
        let len = self.piece.min(end - k);
        let start = row * self.stride + k / self.piece * self.next;
        Piece { rows: std::array::from_fn(|r| &self.data[start + r * self.stride..][..len]), len }
    }

    #[inline(always)]
    fn numbers<const R: usize>(&self, piece: &Piece<R>, index: usize) -> [f32; R] {
        std::array::from_fn(|r| piece.rows[r][index])
    }
}

struct ByColumns<'a> {
    data: &'a [f32],
    stride: usize,
}

impl Numbers for ByColumns<'_> {
    #[inline(always)]
    fn piece<const R: usize>(&self, row: usize, k: usize, end: usize) -> Piece<'_, R> {
        let rows = &self.data[row + k * self.stride..][..(end - k - 1) * self.stride + R];
        Piece { rows: [rows; R], len: end - k }
    }

    #[inline(always)]
    fn numbers<const R: usize>(&self, piece: &Piece<R>, index: usize) -> [f32; R] {
        match piece.rows[0][index * self.stride..].first_chunk() {
            Some(numbers) => *numbers,
            None => unreachable!("a piece ends with a whole column"),
        }
    }
}
