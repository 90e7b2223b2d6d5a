//! The last part of a transposed convolution: the products of each tap are added up where it meets the image. This is known as
//! col2im.
//!
//! Pixels whose places leave the same remainders by the stride are a class: the same taps meet them, each from a fixed distance.
//! So a class is summed in vectors, four taps at a time, and only then its pixels go between the others.

#![allow(clippy::needless_range_loop, reason = "arrays of known length are gone through by index")]

use std::array;

use pulp::{Arch, Simd, WithSimd};

use super::gemm::first;
use super::windows::Windows;

/// The sums over the taps of a layer's windows.
pub(super) struct Col2im {
    windows: Windows,
    /// The taps of each class in the order of their sums: by rows of pixels, then by columns. No class where an image has more
    /// pixels of one than there are positions.
    classes: Vec<Vec<Tap>>,
    /// For each distance, and each pixel of a class: all bits, or none where the distance leads out of the grid of positions.
    masks: Vec<Vec<u32>>,
    /// Positions that no distance exceeds.
    margin: usize,
}

/// A tap of a class.
#[derive(Clone, Copy)]
struct Tap {
    tap: usize,
    /// Where the product for the first pixel lies, counted from a margin before the tap's first product.
    start: usize,
    /// Which of the masks goes with it.
    mask: usize,
}

impl Col2im {
    pub(super) fn new(windows: Windows) -> Self {
        let Windows { wide, narrow: [height, width], kernel, stride, padding } = windows;
        let margin = (kernel[0] + padding[0]) * width + kernel[1] + padding[1];
        let mut distances: Vec<[isize; 2]> = Vec::new();
        let mut class = |remainder: [usize; 2]| {
            let first: [usize; 2] = array::from_fn(|axis| remainder[axis] + padding[axis]);
            let taps = |axis: usize| (first[axis] % stride[axis]..kernel[axis]).step_by(stride[axis]);
            let mut class = Vec::new();
            for (kx, ky) in taps(1).flat_map(|kx| taps(0).map(move |ky| (kx, ky))) {
                let distance =
                    [(0, ky), (1, kx)].map(|(axis, k)| (first[axis] as isize - k as isize) / stride[axis] as isize);
                let known = distances.iter().position(|known| *known == distance);
                class.push(Tap {
                    tap: ky * kernel[1] + kx,
                    start: margin.saturating_add_signed(distance[0] * width as isize + distance[1]),
                    mask: known.unwrap_or(distances.len()),
                });
                if known.is_none() {
                    distances.push(distance);
                }
            }
            class
        };
        let fits = (0..2).all(|axis| wide[axis].div_ceil(stride[axis]) <= windows.narrow[axis]);
        let remainders = (0..if fits { stride[0] } else { 0 }).flat_map(|y| (0..stride[1]).map(move |x| [y, x]));
        let classes = remainders.map(&mut class).collect();
        let mask = |[dy, dx]: &[isize; 2]| {
            let inside = |at: usize, d: &isize, len: usize| at.checked_add_signed(*d).is_some_and(|at| at < len);
            let is_met = |at: usize| inside(at / width, dy, height) && inside(at % width, dx, width);
            (0..height * width).map(|at| if is_met(at) { u32::MAX } else { 0 }).collect()
        };
        let masks = distances.iter().map(mask).collect();
        Self { windows, classes, masks, margin }
    }

    /// Numbers before the products, and as many after them, that are read but count for nothing.
    pub(super) fn margin(&self) -> usize {
        self.margin
    }

    /// Numbers that [`Self::add_up`] works in.
    pub(super) fn room(&self) -> usize {
        self.classes.len() * self.windows.positions()
    }

    /// Sets each pixel of a channel to the sum of the products that meet it. Those are `[taps, columns]` between two margins, with
    /// the number of columns beside; the image's own begin at column `start`.
    pub(super) fn add_up(
        &self,
        arch: Arch,
        products: (&[f32], usize),
        start: usize,
        room: &mut [f32],
        wide: &mut [f32],
    ) {
        arch.dispatch(AddUp { col2im: self, products, start, room, wide });
    }

    /// The same for any windows, number by number.
    fn scatter(&self, (products, columns): (&[f32], usize), start: usize, wide: &mut [f32]) {
        let Windows { wide: [height, width], narrow, kernel, stride: [sy, sx], padding: [py, px] } = self.windows;
        wide.fill(0.0);
        for tap in 0..kernel[0] * kernel[1] {
            let rows = products[self.margin + tap * columns + start..].chunks_exact(narrow[1]).take(narrow[0]);
            for (y, row) in rows.enumerate() {
                let y = (y * sy + tap / kernel[1]).wrapping_sub(py);
                for (x, product) in row.iter().enumerate() {
                    let x = (x * sx + tap % kernel[1]).wrapping_sub(px);
                    if y < height && x < width {
                        wide[y * width + x] += product;
                    }
                }
            }
        }
    }
}

struct AddUp<'a> {
    col2im: &'a Col2im,
    products: (&'a [f32], usize),
    start: usize,
    room: &'a mut [f32],
    wide: &'a mut [f32],
}

impl WithSimd for AddUp<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { col2im, products, start, room, wide } = self;
        if col2im.classes.is_empty() {
            return col2im.scatter(products, start, wide);
        }
        let room = &mut room[..col2im.room()];
        room.fill(0.0);
        for (class, sums) in col2im.classes.iter().zip(room.chunks_exact_mut(col2im.windows.positions())) {
            let (fours, rest) = class.as_chunks();
            fours.iter().for_each(|taps: &[Tap; 4]| col2im.add(simd, taps, products, start, sums));
            rest.iter().for_each(|tap| col2im.add(simd, &[*tap], products, start, sums));
        }
        col2im.interleave(room, wide);
    }
}

impl Col2im {
    /// Adds the products of some taps of a class to its sums.
    #[inline(always)]
    fn add<S: Simd, const N: usize>(
        &self,
        simd: S,
        taps: &[Tap; N],
        (products, columns): (&[f32], usize),
        start: usize,
        sums: &mut [f32],
    ) {
        let len = sums.len();
        let products: [&[f32]; N] =
            array::from_fn(|n| &products[start + taps[n].tap * columns + taps[n].start..][..len]);
        let masks: [&[u32]; N] = array::from_fn(|n| &self.masks[taps[n].mask][..len]);
        let (vectors, rest) = S::as_mut_simd_f32s(sums);
        let of_vectors = (products.map(|x| S::as_simd_f32s(x).0), masks.map(|x| S::as_simd_u32s(x).0));
        for (index, sum) in vectors.iter_mut().enumerate() {
            let mut added = *sum;
            for n in 0..N {
                added = add_masked(simd, added, of_vectors.0[n][index], of_vectors.1[n][index]);
            }
            *sum = added;
        }
        if !rest.is_empty() {
            let from = len - rest.len();
            let mut added = simd.partial_load_f32s(rest);
            for n in 0..N {
                let (product, mask) =
                    (simd.partial_load_f32s(&products[n][from..]), simd.partial_load_u32s(&masks[n][from..]));
                added = add_masked(simd, added, product, mask);
            }
            simd.partial_store_f32s(rest, added);
        }
    }

    /// The pixels of all classes where they belong.
    #[inline(always)]
    fn interleave(&self, classes: &[f32], wide: &mut [f32]) {
        let Windows { wide: [_, width], narrow, stride: [sy, sx], .. } = self.windows;
        match (sx, narrow[1]) {
            (2, 4) if width == 8 => self.interleave_by::<2, 4>(classes, wide),
            (2, 8) if width == 16 => self.interleave_by::<2, 8>(classes, wide),
            (2, 16) if width == 32 => self.interleave_by::<2, 16>(classes, wide),
            (4, 4) if width == 16 => self.interleave_by::<4, 4>(classes, wide),
            (4, 8) if width == 32 => self.interleave_by::<4, 8>(classes, wide),
            _ => {
                for (y, row) in wide.chunks_exact_mut(width).enumerate() {
                    for x in 0..sx.min(width) {
                        let from = &classes[(y % sy * sx + x) * self.windows.positions() + y / sy * narrow[1]..];
                        row[x..].iter_mut().step_by(sx).zip(from).for_each(|(to, from)| *to = *from);
                    }
                }
            }
        }
    }

    /// The same for a stride of `S` that divides rows into `W` parts.
    #[inline(always)]
    fn interleave_by<const S: usize, const W: usize>(&self, classes: &[f32], wide: &mut [f32]) {
        let ([sy, _], positions) = (self.windows.stride, self.windows.positions());
        let mut rows = wide.chunks_exact_mut(S * W);
        for start in (0..positions).step_by(W) {
            for y in 0..sy {
                let Some(row) = rows.next() else { return };
                let from: [&[f32; W]; S] = array::from_fn(|x| first(&classes[(y * S + x) * positions + start..]));
                if let Some(pixels) = row.as_chunks_mut::<S>().0.first_chunk_mut::<W>() {
                    *pixels = array::from_fn(|x| array::from_fn(|q| from[q][x]));
                }
            }
        }
    }
}

#[inline(always)]
fn add_masked<S: Simd>(simd: S, sum: S::f32s, numbers: S::f32s, mask: S::u32s) -> S::f32s {
    simd.add_f32s(sum, simd.transmute_f32s_u32s(simd.and_u32s(simd.transmute_u32s_f32s(numbers), mask)))
}
