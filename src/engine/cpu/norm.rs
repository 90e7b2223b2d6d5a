//! Batch norm, its gradients, and the sums that go with them: first the sums of each channel, then each image at once.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::activation::activate;
use super::kernel::CpuKernel;
use super::threads::parallel_for;
use super::vectors::{MIN_PARALLEL_LEN, PARTS, add_up, total};
use crate::engine::activation::Activation;
use crate::engine::ops::batch_norm::BatchNorm;
use crate::engine::ops::batch_norm_grad::BatchNormGrad;
use crate::engine::shape::{Shape, count};

/// Images that are gone through one after the other, channel by channel as they lie in memory. A set of images has as many such
/// groups whatever the number of threads.
#[derive(Clone, Copy)]
struct Groups {
    channels: usize,
    plane: usize,
    /// Images of a set, of a group, and groups of a set.
    images: usize,
    group: usize,
    groups: usize,
}

/// Groups of a set at most.
const GROUPS: usize = 8;

impl Groups {
    fn of([images, channels, h, w]: Shape, sets: usize) -> Self {
        let images = images / sets;
        let group = images.div_ceil(GROUPS).max(1);
        Self { channels, plane: h * w, images, group, groups: images.div_ceil(group) }
    }

    /// Elements of a channel of a set.
    fn elements(&self) -> f32 {
        (self.images * self.plane) as f32
    }

    /// Numbers of an image.
    fn image(&self) -> usize {
        self.channels * self.plane
    }

    /// Numbers that [`Self::sums`] works in, for `N` sums of each channel.
    fn scratch(&self, n: usize) -> usize {
        self.groups * n * self.channels * PARTS
    }

    /// The part of a set's images that belongs to a group.
    fn part<'a>(&self, x: &'a [f32], set: usize, group: usize) -> &'a [f32] {
        let (first, end) = (group * self.group, self.images.min((group + 1) * self.group));
        &x[(set * self.images + first) * self.image()..(set * self.images + end) * self.image()]
    }

    /// `N` sums over each channel of a set, `[N, channels]`: over the numbers that `f` makes of those of `inputs` and of the channel's
    /// `given` ones.
    fn sums<const I: usize, const G: usize, const N: usize>(
        self,
        (arch, parallel): (Arch, bool),
        (inputs, set): ([&[f32]; I], usize),
        given: [&[f32]; G],
        scratch: &mut [f32],
        sums: [&mut [f32]; N],
        f: impl Fn([f32; I], [f32; G]) -> [f32; N] + Copy + Sync,
    ) {
        let of_group = N * self.channels * PARTS;
        let scratch = &mut scratch[..self.groups * of_group];
        parallel_for(parallel, scratch.par_chunks_mut(of_group).enumerate(), |(group, parts)| {
            let inputs = inputs.map(|x| self.part(x, set, group));
            arch.dispatch(GroupSums { inputs, given, plane: self.plane, parts, f });
        });
        for (n, sums) in sums.into_iter().enumerate() {
            for (channel, sum) in sums.iter_mut().enumerate() {
                let parts = scratch.as_chunks::<PARTS>().0[channel * N + n..].iter().step_by(N * self.channels);
                *sum = parts.map(total).sum();
            }
        }
    }
}

/// The sums of one group: running sums for each channel, `N` of them.
struct GroupSums<'a, const I: usize, const G: usize, F> {
    inputs: [&'a [f32]; I],
    given: [&'a [f32]; G],
    plane: usize,
    parts: &'a mut [f32],
    f: F,
}

impl<const I: usize, const G: usize, const N: usize, F: Fn([f32; I], [f32; G]) -> [f32; N] + Copy> WithSimd
    for GroupSums<'_, I, G, F>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { inputs, given, plane, parts, f } = self;
        parts.fill(0.0);
        let parts = parts.as_chunks_mut::<PARTS>().0;
        let channels = parts.len() / N;
        for start in (0..inputs[0].len()).step_by(channels * plane) {
            for (channel, parts) in parts.chunks_exact_mut(N).enumerate() {
                let given = given.map(|given| given[channel]);
                let planes = inputs.map(|x| &x[start + channel * plane..][..plane]);
                for (n, parts) in parts.iter_mut().enumerate() {
                    add_up(parts, planes, |numbers| f(numbers, given)[n]);
                }
            }
        }
    }
}

/// See [`BatchNorm`].
pub(crate) fn batch_norm(op: &BatchNorm, shape: Shape) -> CpuKernel {
    let &BatchNorm { sets, running, fixed, epsilon, activation } = op;
    let groups = Groups::of(shape, sets);
    let (channels, parallel) = (groups.channels, count(shape) >= 2 * MIN_PARALLEL_LEN);
    CpuKernel::with_scratch(groups.scratch(1), move |call| {
        let (x, scale, shift, arch) = (call.inputs[0], call.inputs[1], call.inputs[2], call.arch);
        let [y, statistics] = call.outputs else { unreachable!("two outputs") };
        let n = groups.elements();
        for (set, statistics) in statistics.chunks_exact_mut(2 * channels).enumerate() {
            let (means, inverses) = statistics.split_at_mut(channels);
            if fixed {
                means.copy_from_slice(&call.inputs[3][..channels]);
                let variances = &call.inputs[3][channels..];
                inverses.iter_mut().zip(variances).for_each(|(inverse, v)| *inverse = 1.0 / (v + epsilon).sqrt());
                continue;
            }
            let how = (arch, parallel);
            groups.sums(how, ([x], set), [], call.scratch, [means], |[v], []| [v]);
            means.iter_mut().for_each(|mean| *mean /= n);
            let squares = |[v]: [f32; 1], [mean]: [f32; 1]| [(v - mean) * (v - mean)];
            groups.sums(how, ([x], set), [means], call.scratch, [inverses], squares);
            if let (Some(running), Some(averages)) = (running, call.mutated.first_mut()) {
                let (mean_averages, variance_averages) = averages.split_at_mut(channels);
                for c in 0..channels {
                    mean_averages[c] += running.momentum * (means[c] - mean_averages[c]);
                    variance_averages[c] += running.momentum * (inverses[c] / (n - 1.0) - variance_averages[c]);
                }
            }
            inverses.iter_mut().for_each(|squares| *squares = 1.0 / (*squares / n + epsilon).sqrt());
        }
        let (statistics, image) = (&**statistics, groups.image());
        parallel_for(parallel, y.par_chunks_mut(image).zip(x.par_chunks(image)).enumerate(), |(index, (y, x))| {
            let (means, inverses) =
                statistics[2 * (index / groups.images) * channels..][..2 * channels].split_at(channels);
            arch.dispatch(Normalise {
                x,
                y,
                plane: groups.plane,
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

/// See [`BatchNormGrad`].
pub(crate) fn batch_norm_grad(op: &BatchNormGrad, shape: Shape) -> CpuKernel {
    let &BatchNormGrad { sets, fixed } = op;
    let groups = Groups::of(shape, sets);
    let (channels, parallel) = (groups.channels, count(shape) >= 2 * MIN_PARALLEL_LEN);
    // Of each set the sums of the gradient, and of its products with the normalised input.
    let sums_len = 2 * sets * channels;
    CpuKernel::with_scratch(sums_len + groups.scratch(2), move |call| {
        let (dy, x, scale, statistics) = (call.inputs[0], call.inputs[1], call.inputs[2], call.inputs[3]);
        let [dx, dscale, dshift] = call.outputs else { unreachable!("three outputs") };
        let arch = call.arch;
        let (sums, scratch) = call.scratch.split_at_mut(sums_len);
        for (set, sums) in sums.chunks_exact_mut(2 * channels).enumerate() {
            let (means, inverses) = statistics[2 * set * channels..][..2 * channels].split_at(channels);
            let (gradients, products) = sums.split_at_mut(channels);
            let both = |[dy, x]: [f32; 2], [mean, inverse]: [f32; 2]| [dy, dy * ((x - mean) * inverse)];
            groups.sums((arch, parallel), ([dy, x], set), [means, inverses], scratch, [gradients, products], both);
        }
        let sums = &*sums;
        for c in 0..channels {
            let of_sets = |which: usize| (0..sets).map(|set| sums[(2 * set + which) * channels + c]).sum();
            [dshift[c], dscale[c]] = [of_sets(0), of_sets(1)];
        }
        let portion = if fixed { 0.0 } else { 1.0 / groups.elements() };
        let image = groups.image();
        let images = dx.par_chunks_mut(image).zip(dy.par_chunks(image).zip(x.par_chunks(image)));
        parallel_for(parallel, images.enumerate(), |(index, (dx, (dy, x)))| {
            let set = index / groups.images;
            let statistics = &statistics[2 * set * channels..][..2 * channels];
            let sums = &sums[2 * set * channels..][..2 * channels];
            arch.dispatch(Distribute { dx, dy, x, plane: groups.plane, statistics, sums, scale, portion });
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
        let (gradients, products) = sums.split_at(sums.len() / 2);
        let planes = dx.chunks_exact_mut(plane).zip(dy.chunks_exact(plane).zip(x.chunks_exact(plane)));
        for (c, (dx, (dy, x))) in planes.enumerate() {
            let (mean, inverse) = (means[c], inverses[c]);
            let (sum, product) = (gradients[c], products[c]);
            let factor = scale[c] * inverse;
            for (dx, (dy, x)) in dx.iter_mut().zip(dy.iter().zip(x)) {
                *dx = factor * (dy - portion * (sum + (x - mean) * inverse * product));
            }
        }
    }
}

/// `y[c] = sum_{n,h,w} x[n,c,h,w]`.
pub(crate) fn channel_sum(shape: Shape) -> CpuKernel {
    let (groups, parallel) = (Groups::of(shape, 1), count(shape) >= 2 * MIN_PARALLEL_LEN);
    CpuKernel::with_scratch(groups.scratch(1), move |call| {
        let sums = [&mut *call.outputs[0]];
        groups.sums((call.arch, parallel), ([call.inputs[0]], 0), [], call.scratch, sums, |[v], []| [v]);
    })
}
