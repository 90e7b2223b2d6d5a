//! Batch norm, its gradients, and the sums that go with them: statistics by channel, then all channels at once.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::activation::activate;
use super::convolution::share;
use super::kernel::CpuKernel;
use super::vectors::{PARTS, WORTH_SHARING, add_up, total};
use crate::engine::ops::activation::Activation;
use crate::engine::ops::batch_norm::BatchNorm;
use crate::engine::ops::batch_norm_grad::BatchNormGrad;
use crate::engine::shape::{Shape, count};

/// The planes of a channel in a set of images.
#[derive(Clone, Copy)]
struct Planes {
    channels: usize,
    plane: usize,
    images: usize,
}

impl Planes {
    fn of([images, channels, h, w]: Shape, sets: usize) -> Self {
        Self { channels, plane: h * w, images: images / sets }
    }

    /// Those of channel `c` of a set.
    #[inline(always)]
    fn each(self, x: &[f32], set: usize, c: usize) -> impl Iterator<Item = &[f32]> {
        let Self { channels, plane, images } = self;
        (set * images..(set + 1) * images).map(move |image| &x[(image * channels + c) * plane..][..plane])
    }

    /// Elements of a channel of a set.
    fn elements(self) -> f32 {
        (self.images * self.plane) as f32
    }
}

/// The statistics of a channel: mean, and the sum of squares of the distances from it.
struct Moments<'a> {
    planes: Planes,
    x: &'a [f32],
    set: usize,
    channel: usize,
}

impl WithSimd for Moments<'_> {
    type Output = [f32; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> [f32; 2] {
        let Self { planes, x, set, channel } = self;
        let mut sums = [0.0; PARTS];
        for plane in planes.each(x, set, channel) {
            add_up(&mut sums, [plane], |[v]| v);
        }
        let mean = total(&sums) / planes.elements();
        let mut sums = [0.0; PARTS];
        for plane in planes.each(x, set, channel) {
            add_up(&mut sums, [plane], |[v]| (v - mean) * (v - mean));
        }
        [mean, total(&sums)]
    }
}

/// Channels that a thread takes at a time.
const CHANNELS: usize = 8;

/// See [`BatchNorm`].
pub(crate) fn batch_norm(op: &BatchNorm, shape: Shape) -> CpuKernel {
    let &BatchNorm { sets, running, fixed, epsilon, activation } = op;
    let planes = Planes::of(shape, sets);
    let (channels, shared) = (planes.channels, count(shape) >= 2 * WORTH_SHARING);
    CpuKernel::new(move |call| {
        let (x, scale, shift, arch) = (call.inputs[0], call.inputs[1], call.inputs[2], call.arch);
        let [y, statistics] = call.outputs else { unreachable!("two outputs") };
        let n = planes.elements();
        for (set, statistics) in statistics.chunks_exact_mut(2 * channels).enumerate() {
            let (means, inverses) = statistics.split_at_mut(channels);
            if fixed {
                means.copy_from_slice(&call.inputs[3][..channels]);
                let variances = &call.inputs[3][channels..];
                inverses.iter_mut().zip(variances).for_each(|(inverse, v)| *inverse = 1.0 / (v + epsilon).sqrt());
                continue;
            }
            let find = |(block, (means, squares)): (usize, (&mut [f32], &mut [f32]))| {
                for (c, (mean, square)) in means.iter_mut().zip(squares).enumerate() {
                    let channel = block * CHANNELS + c;
                    [*mean, *square] = arch.dispatch(Moments { planes, x, set, channel });
                }
            };
            let blocks = means.par_chunks_mut(CHANNELS).zip(inverses.par_chunks_mut(CHANNELS)).enumerate();
            share(shared, blocks, find);
            if let (Some(running), Some(averages)) = (running, call.mutated.first_mut()) {
                let (mean_averages, variance_averages) = averages.split_at_mut(channels);
                for c in 0..channels {
                    mean_averages[c] += running.momentum * (means[c] - mean_averages[c]);
                    variance_averages[c] += running.momentum * (inverses[c] / (n - 1.0) - variance_averages[c]);
                }
            }
            inverses.iter_mut().for_each(|squares| *squares = 1.0 / (*squares / n + epsilon).sqrt());
        }
        let (statistics, image) = (&**statistics, channels * planes.plane);
        share(shared, y.par_chunks_mut(image).zip(x.par_chunks(image)).enumerate(), |(index, (y, x))| {
            let (means, inverses) =
                statistics[2 * (index / planes.images) * channels..][..2 * channels].split_at(channels);
            arch.dispatch(Normalise {
                x,
                y,
                plane: planes.plane,
                vectors: [means, inverses, scale, shift],
                activation,
            });
        });
    })
}

/// One image through a norm.
struct Normalise<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
    plane: usize,
    /// Means, inverse deviations, scales and shifts by channel.
    vectors: [&'a [f32]; 4],
    activation: Activation,
}

impl WithSimd for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, y, plane, vectors: [means, inverses, scale, shift], activation } = self;
        for (c, (y, x)) in y.chunks_exact_mut(plane).zip(x.chunks_exact(plane)).enumerate() {
            let (mean, inverse, scale, shift) = (means[c], inverses[c], scale[c], shift[c]);
            y.iter_mut().zip(x).for_each(|(y, x)| *y = (x - mean) * inverse * scale + shift);
        }
        activate(simd, activation, y);
    }
}

/// The sums of a channel: of the gradient, and of its products with the normalised input.
struct Products<'a> {
    planes: Planes,
    x: &'a [f32],
    dy: &'a [f32],
    set: usize,
    channel: usize,
    mean: f32,
    inverse: f32,
}

impl WithSimd for Products<'_> {
    type Output = [f32; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> [f32; 2] {
        let Self { planes, x, dy, set, channel, mean, inverse } = self;
        let (mut sums, mut products) = ([0.0; PARTS], [0.0; PARTS]);
        for (x, dy) in planes.each(x, set, channel).zip(planes.each(dy, set, channel)) {
            add_up(&mut sums, [dy], |[dy]| dy);
            // From the nearest cache.
            add_up(&mut products, [dy, x], |[dy, x]| dy * ((x - mean) * inverse));
        }
        [total(&sums), total(&products)]
    }
}

/// See [`BatchNormGrad`].
pub(crate) fn batch_norm_grad(op: &BatchNormGrad, shape: Shape) -> CpuKernel {
    let &BatchNormGrad { sets, fixed } = op;
    let planes = Planes::of(shape, sets);
    let (channels, shared) = (planes.channels, count(shape) >= 2 * WORTH_SHARING);
    CpuKernel::with_scratch(2 * sets * channels, move |call| {
        let (dy, x, scale, statistics) = (call.inputs[0], call.inputs[1], call.inputs[2], call.inputs[3]);
        let [dx, dscale, dshift] = call.outputs else { unreachable!("three outputs") };
        let arch = call.arch;
        let sums = &mut call.scratch[..2 * sets * channels];
        share(shared, sums.par_chunks_mut(2 * CHANNELS).enumerate(), |(block, sums)| {
            for (index, pair) in sums.chunks_exact_mut(2).enumerate() {
                let at = block * CHANNELS + index;
                let (set, channel) = (at / channels, at % channels);
                let [mean, inverse] = [0, 1].map(|row| statistics[(2 * set + row) * channels + channel]);
                pair.copy_from_slice(&arch.dispatch(Products { planes, x, dy, set, channel, mean, inverse }));
            }
        });
        let sums = &*sums;
        for c in 0..channels {
            let of_sets = |which: usize| (0..sets).map(|set| sums[2 * (set * channels + c) + which]).sum();
            [dshift[c], dscale[c]] = [of_sets(0), of_sets(1)];
        }
        let portion = if fixed { 0.0 } else { 1.0 / planes.elements() };
        let image = channels * planes.plane;
        let images = dx.par_chunks_mut(image).zip(dy.par_chunks(image).zip(x.par_chunks(image)));
        share(shared, images.enumerate(), |(index, (dx, (dy, x)))| {
            let set = index / planes.images;
            let statistics = &statistics[2 * set * channels..][..2 * channels];
            let sums = &sums[2 * set * channels..][..2 * channels];
            arch.dispatch(Distribute { dx, dy, x, plane: planes.plane, statistics, sums, scale, portion });
        });
    })
}

/// The gradient by one image.
struct Distribute<'a> {
    dx: &'a mut [f32],
    dy: &'a [f32],
    x: &'a [f32],
    plane: usize,
    statistics: &'a [f32],
    sums: &'a [f32],
    scale: &'a [f32],
    portion: f32,
}

impl WithSimd for Distribute<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { dx, dy, x, plane, statistics, sums, scale, portion } = self;
        let (means, inverses) = statistics.split_at(statistics.len() / 2);
        let planes = dx.chunks_exact_mut(plane).zip(dy.chunks_exact(plane).zip(x.chunks_exact(plane)));
        for (c, (dx, (dy, x))) in planes.enumerate() {
            let (mean, inverse) = (means[c], inverses[c]);
            let (sum, product) = (sums[2 * c], sums[2 * c + 1]);
            let factor = scale[c] * inverse;
            for (dx, (dy, x)) in dx.iter_mut().zip(dy.iter().zip(x)) {
                *dx = factor * (dy - portion * (sum + (x - mean) * inverse * product));
            }
        }
    }
}

/// `y[c] = sum_{n,h,w} x[n,c,h,w]`.
pub(crate) fn channel_sum(shape: Shape) -> CpuKernel {
    let (planes, shared) = (Planes::of(shape, 1), count(shape) >= 2 * WORTH_SHARING);
    CpuKernel::new(move |call| {
        let (x, arch) = (call.inputs[0], call.arch);
        share(shared, call.outputs[0].par_chunks_mut(CHANNELS).enumerate(), |(block, y)| {
            let add = |arch: Arch, channel| arch.dispatch(Total { planes, x, channel });
            y.iter_mut().enumerate().for_each(|(c, y)| *y = add(arch, block * CHANNELS + c));
        });
    })
}

/// The sum of a channel.
struct Total<'a> {
    planes: Planes,
    x: &'a [f32],
    channel: usize,
}

impl WithSimd for Total<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> f32 {
        let mut sums = [0.0; PARTS];
        for plane in self.planes.each(self.x, 0, self.channel) {
            add_up(&mut sums, [plane], |[v]| v);
        }
        total(&sums)
    }
}
