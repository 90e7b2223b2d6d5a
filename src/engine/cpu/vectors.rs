//! Loops over many numbers: in the widest vectors that the processor has, over all cores where there are enough of
//! them.
//!
//! Sums go through [`PARTS`] running sums whatever the vectors are, and are split by shape, never by the number of
//! threads: so neither changes a bit of them.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::threads::parallel_for;

/// Numbers that a loop goes through before another thread is worth its waking.
pub(crate) const MIN_PARALLEL_LEN: usize = 1 << 15;

/// Running sums that a sum is made of.
pub(crate) const PARTS: usize = 16;

/// Sets each number of `y` to `f` of the numbers at its place in `inputs`, which are as long.
pub(crate) fn each<const N: usize>(
    arch: Arch,
    inputs: [&[f32]; N],
    y: &mut [f32],
    f: impl Fn([f32; N]) -> f32 + Copy + Sync,
) {
    let run = |start: usize, y: &mut [f32]| {
        let len = y.len();
        arch.dispatch(Each { inputs: inputs.map(|x| &x[start..start + len]), y, f });
    };
    let parallel = y.len() >= 2 * MIN_PARALLEL_LEN;
    parallel_for(parallel, y.par_chunks_mut(MIN_PARALLEL_LEN).enumerate(), |(index, y)| {
        run(index * MIN_PARALLEL_LEN, y)
    });
}

struct Each<'a, const N: usize, F> {
    inputs: [&'a [f32]; N],
    y: &'a mut [f32],
    f: F,
}

impl<const N: usize, F: Fn([f32; N]) -> f32> WithSimd for Each<'_, N, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let len = self.y.len();
        let inputs = self.inputs.map(|x| &x[..len]);
        for (i, y) in self.y.iter_mut().enumerate() {
            *y = (self.f)(std::array::from_fn(|n| inputs[n][i]));
        }
    }
}

/// Adds `f` of the numbers at each place of `inputs` to the running sums.
#[inline(always)]
pub(crate) fn add_up<const N: usize>(sums: &mut [f32; PARTS], inputs: [&[f32]; N], f: impl Fn([f32; N]) -> f32) {
    let len = inputs[0].len();
    let inputs = inputs.map(|x| &x[..len]);
    let whole = len - len % PARTS;
    for start in (0..whole).step_by(PARTS) {
        let chunks: [&[f32; PARTS]; N] = inputs.map(|x| chunk(&x[start..]));
        for part in 0..PARTS {
            sums[part] += f(std::array::from_fn(|n| chunks[n][part]));
        }
    }
    for i in whole..len {
        sums[i - whole] += f(std::array::from_fn(|n| inputs[n][i]));
    }
}

#[inline(always)]
fn chunk(numbers: &[f32]) -> &[f32; PARTS] {
    match numbers.first_chunk() {
        Some(chunk) => chunk,
        None => unreachable!("whole chunks only"),
    }
}

/// The sum of the running sums, always in the same order.
#[inline(always)]
pub(crate) fn total(sums: &[f32; PARTS]) -> f32 {
    let mut sums = *sums;
    let mut half = PARTS / 2;
    while half > 0 {
        for i in 0..half {
            sums[i] += sums[i + half];
        }
        half /= 2;
    }
    sums[0]
}

/// The sum of `f` of the numbers at each place of `inputs`, which are as long.
pub(crate) fn sum<const N: usize>(arch: Arch, inputs: [&[f32]; N], f: impl Fn([f32; N]) -> f32) -> f32 {
    arch.dispatch(Sum { inputs, f })
}

struct Sum<'a, const N: usize, F> {
    inputs: [&'a [f32]; N],
    f: F,
}

impl<const N: usize, F: Fn([f32; N]) -> f32> WithSimd for Sum<'_, N, F> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> f32 {
        let mut sums = [0.0; PARTS];
        add_up(&mut sums, self.inputs, self.f);
        total(&sums)
    }
}
