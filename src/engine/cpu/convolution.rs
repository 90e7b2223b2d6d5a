//! Convolutions, transposed convolutions and weight gradients as matrix products over the windows of each image.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::activation::{activate, multiply_by_slope};
use super::dense;
use super::kernel::{Call, CpuKernel};
use super::product::{Left, Product};
use super::windows::Windows;
use crate::engine::ops::activation::Activation;
use crate::engine::ops::conv_geometry::Geometry;
use crate::engine::ops::conv2d::Epilogue;

/// Multiply-accumulates of a convolution from which on other threads are worth their waking.
const WORTH_SHARING: u64 = 1 << 19;
/// Tasks for each thread, so that none waits long for the others.
const TASKS: usize = 4;
/// Numbers of taps that are added up while they are in the nearest cache.
const TAPS_AT_ONCE: usize = 1 << 13;
/// Numbers of a part of a weight gradient's windows.
const WINDOWS_AT_ONCE: usize = 1 << 19;
/// Columns of a weight gradient that are multiplied at once.
const PANEL: usize = 32;

/// What all three are told.
#[derive(Clone, Copy)]
struct Shape {
    windows: Windows,
    images: usize,
    wide_channels: usize,
    narrow_channels: usize,
    shared: bool,
}

impl Shape {
    fn of(geometry: &Geometry) -> Self {
        Self {
            windows: Windows::of(geometry),
            images: geometry.wide[0],
            wide_channels: geometry.wide[1],
            narrow_channels: geometry.narrow[1],
            shared: geometry.macs() >= WORTH_SHARING,
        }
    }

    /// Numbers of an image of the wide and of the narrow grid.
    fn image_lens(&self) -> [usize; 2] {
        [self.wide_channels * self.windows.pixels(), self.narrow_channels * self.windows.positions()]
    }

    /// Into how many tasks the images go, and images of each.
    fn tasks(&self) -> [usize; 2] {
        let wanted = if self.shared { TASKS * rayon::current_num_threads() } else { 1 };
        let images = self.images.div_ceil(wanted.min(self.images).max(1)).max(1);
        [self.images.div_ceil(images), images]
    }

    /// Channels of a task where the channels of each image are shared out, because there are fewer images than threads;
    /// a divisor of `channels`.
    fn block(&self, channels: usize) -> usize {
        let parts = if self.shared { TASKS * rayon::current_num_threads() } else { 1 };
        let least = channels.div_ceil(parts);
        (least..=channels).find(|block| channels.is_multiple_of(*block)).unwrap_or(channels)
    }

    /// Whether there are images enough for the threads.
    fn by_image(&self) -> bool {
        !self.shared || self.images >= rayon::current_num_threads()
    }
}

/// A convolution: its taps by row, from the left the weights.
pub(crate) fn conv2d(geometry: &Geometry, epilogue: &Epilogue) -> CpuKernel {
    let (shape, finish) = (Shape::of(geometry), Finish::of(epilogue));
    let windows = shape.windows;
    let [wide, narrow] = shape.image_lens();
    if windows.is_whole() {
        let sizes = [shape.images, shape.narrow_channels, wide];
        return CpuKernel::new(move |call| {
            dense::by_transposed(call.arch, sizes, call.inputs[0], call.inputs[1], call.outputs[0]);
            finish.run(call, 1);
        });
    }
    let (positions, sorted, taps) = (windows.positions(), windows.sorted_len(), windows.taps());
    let k = shape.wide_channels * taps;
    let lay_out = move |channels: &[f32], sorted: &mut [f32], columns: &mut [f32]| {
        let channels = channels.chunks_exact(windows.pixels());
        for (channel, columns) in channels.zip(columns.chunks_exact_mut(taps * positions)) {
            windows.taps_by_row(channel, sorted, columns, positions);
        }
    };
    let [tasks, images] = shape.tasks();
    let workspace = sorted + k * positions;
    if shape.by_image() {
        return CpuKernel::with_scratch(tasks * workspace, move |call| {
            let (x, w, arch) = (call.inputs[0], call.inputs[1], call.arch);
            let run = |(index, (y, workspace)): (usize, (&mut [f32], &mut [f32]))| {
                let (sorted, columns) = workspace.split_at_mut(sorted);
                for (image, y) in y.chunks_exact_mut(narrow).enumerate() {
                    lay_out(&x[(index * images + image) * wide..][..wide], sorted, columns);
                    let size = [shape.narrow_channels, positions, k];
                    let (left, right) = (Left::rows(w, k), (&*columns, positions));
                    Product { size, left, right, target: (y, positions), adds: false }.run(arch);
                }
                finish.part(call.inputs, arch, positions, index * images * narrow, y);
            };
            let y = call.outputs[0].par_chunks_mut(images * narrow).zip(call.scratch.par_chunks_mut(workspace));
            share(shape.shared, y.enumerate(), run);
        });
    }
    let block = shape.block(shape.narrow_channels);
    let group = shape.block(shape.wide_channels);
    CpuKernel::with_scratch(shape.wide_channels / group * sorted + k * positions, move |call| {
        let (x, w, arch) = (call.inputs[0], call.inputs[1], call.arch);
        let (rooms, columns) = call.scratch.split_at_mut(shape.wide_channels / group * sorted);
        let columns = &mut columns[..k * positions];
        for image in 0..shape.images {
            let channels = x[image * wide..][..wide].par_chunks(group * windows.pixels());
            let parts = columns.par_chunks_mut(group * taps * positions).zip(rooms.par_chunks_mut(sorted));
            channels.zip(parts).for_each(|(channels, (columns, sorted))| lay_out(channels, sorted, columns));
            let columns = &*columns;
            let y = call.outputs[0][image * narrow..][..narrow].par_chunks_mut(block * positions);
            y.enumerate().for_each(|(index, y)| {
                let size = [block, positions, k];
                let left = Left::rows(&w[index * block * k..], k);
                Product { size, left, right: (columns, positions), target: (&mut *y, positions), adds: false }
                    .run(arch);
                finish.part(call.inputs, arch, positions, image * narrow + index * block * positions, y);
            });
        }
    })
}

/// A transposed convolution: from the left the weights of each channel's taps, whose products are added up where they
/// belong.
pub(crate) fn conv_transpose2d(geometry: &Geometry, epilogue: &Epilogue) -> CpuKernel {
    let (shape, finish) = (Shape::of(geometry), Finish::of(epilogue));
    let windows = shape.windows;
    let [wide, narrow] = shape.image_lens();
    if windows.is_whole() {
        // Each image is a row of the narrow grid times the weights.
        let [_, images] = shape.tasks();
        return CpuKernel::new(move |call| {
            let (x, w, arch) = (call.inputs[0], call.inputs[1], call.arch);
            let run = |(index, y): (usize, &mut [f32])| {
                let rows = y.len() / wide;
                let left = Left::rows(&x[index * images * narrow..], narrow);
                let size = [rows, wide, narrow];
                Product { size, left, right: (w, wide), target: (&mut *y, wide), adds: false }.run(arch);
                finish.part(call.inputs, arch, windows.pixels(), index * images * wide, y);
            };
            share(shape.shared, call.outputs[0].par_chunks_mut(images * wide).enumerate(), run);
        });
    }
    let (positions, sorted, taps, pixels) =
        (windows.positions(), windows.sorted_len(), windows.taps(), windows.pixels());
    let at_once = (TAPS_AT_ONCE / (taps * positions)).clamp(1, shape.wide_channels);
    let workspace = sorted + at_once * taps * positions;
    let block = if shape.by_image() { shape.wide_channels } else { shape.block(shape.wide_channels) };
    let images = if shape.by_image() { shape.tasks()[1] } else { 1 };
    let chunk = images * block * pixels;
    let tasks = (shape.images * wide).div_ceil(chunk);
    CpuKernel::with_scratch(tasks * workspace, move |call| {
        let (x, w, arch) = (call.inputs[0], call.inputs[1], call.arch);
        let run = |(index, (y, workspace)): (usize, (&mut [f32], &mut [f32]))| {
            let (sorted, columns) = workspace.split_at_mut(sorted);
            let first = index * chunk;
            let channels = y.len() / pixels;
            let mut done = 0;
            while done < channels {
                let at = first / pixels + done;
                let (image, channel) = (at / shape.wide_channels, at % shape.wide_channels);
                let count = at_once.min(channels - done).min(shape.wide_channels - channel);
                let left = Left::Columns { data: &w[channel * taps..], stride: shape.wide_channels * taps };
                Product {
                    size: [count * taps, positions, shape.narrow_channels],
                    left,
                    right: (&x[image * narrow..][..narrow], positions),
                    target: (&mut *columns, positions),
                    adds: false,
                }
                .run(arch);
                let y = &mut y[done * pixels..][..count * pixels];
                arch.dispatch(AddTaps { windows, columns, sorted, wide: y });
                done += count;
            }
            finish.part(call.inputs, arch, pixels, first, y);
        };
        let y = call.outputs[0].par_chunks_mut(chunk).zip(call.scratch.par_chunks_mut(workspace));
        share(shape.shared, y.enumerate(), run);
    })
}

/// [`Windows::add_taps`] for several channels.
struct AddTaps<'a> {
    windows: Windows,
    columns: &'a [f32],
    sorted: &'a mut [f32],
    wide: &'a mut [f32],
}

impl WithSimd for AddTaps<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { windows, columns, sorted, wide } = self;
        let columns = columns.chunks_exact(windows.taps() * windows.positions());
        for (wide, columns) in wide.chunks_exact_mut(windows.pixels()).zip(columns) {
            windows.add_taps(columns, sorted, wide);
        }
    }
}

/// The gradient of a convolution by its weights: from the left the narrow grid, the windows by position from the right.
pub(crate) fn conv2d_weight_grad(geometry: &Geometry) -> CpuKernel {
    let shape = Shape::of(geometry);
    let windows = shape.windows;
    let [wide, narrow] = shape.image_lens();
    let (positions, taps, padded) = (windows.positions(), windows.taps(), windows.padded_len());
    let columns = shape.wide_channels * taps;
    // Whole channels in each panel, so that a window's row lies in one.
    let channels = (PANEL / taps).clamp(1, shape.wide_channels);
    let panels = shape.wide_channels.div_ceil(channels);
    let images = (WINDOWS_AT_ONCE / (positions * columns)).clamp(1, shape.images.max(1));
    let panel = images * positions * channels * taps;
    let block = shape.block(shape.narrow_channels);
    let room = padded + panel;
    CpuKernel::with_scratch(panels * room, move |call| {
        let (x, g, arch) = (call.inputs[0], call.inputs[1], call.arch);
        for first in (0..shape.images).step_by(images) {
            let images = images.min(shape.images - first);
            let lay_out = |(index, room): (usize, &mut [f32])| {
                let (padded, rows) = room.split_at_mut(padded);
                for image in 0..images {
                    for channel in 0..channels.min(shape.wide_channels - index * channels) {
                        let at = (first + image) * wide + (index * channels + channel) * windows.pixels();
                        let rows = &mut rows[image * positions * channels * taps + channel * taps..];
                        windows.taps_by_position(&x[at..][..windows.pixels()], padded, rows, channels * taps);
                    }
                }
            };
            share(shape.shared, call.scratch[..panels * room].par_chunks_mut(room).enumerate(), lay_out);
            let scratch = &*call.scratch;
            let multiply = |(index, dw): (usize, &mut [f32])| {
                let left = Left::Rows {
                    data: &g[first * narrow + index * block * positions..],
                    stride: positions,
                    piece: positions,
                    next: narrow,
                };
                for (panel, right) in scratch[..panels * room].chunks_exact(room).enumerate() {
                    let start = panel * channels * taps;
                    let size = [dw.len() / columns, (channels * taps).min(columns - start), images * positions];
                    let right = (&right[padded..], channels * taps);
                    let target = (&mut dw[start..], columns);
                    Product { size, left, right, target, adds: first > 0 }.run(arch);
                }
            };
            let dw = call.outputs[0].par_chunks_mut(block * columns).enumerate();
            share(shape.shared, dw, multiply);
        }
    })
}

/// Does work over all threads, or on this one.
pub(super) fn share<I: IndexedParallelIterator>(shared: bool, items: I, work: impl Fn(I::Item) + Sync + Send) {
    if shared {
        items.with_max_len(1).for_each(work);
    } else {
        items.with_min_len(usize::MAX).for_each(work);
    }
}

/// What is done to the sums of a convolution.
#[derive(Clone, Copy)]
struct Finish {
    bias: bool,
    added: Option<usize>,
    activation: Activation,
    gate: Option<(Activation, usize)>,
}

impl Finish {
    fn of(epilogue: &Epilogue) -> Self {
        Self {
            bias: epilogue.bias,
            added: epilogue.adds.then(|| epilogue.added_input()),
            activation: epilogue.activation,
            gate: epilogue.gate.map(|gate| (gate, epilogue.gate_input())),
        }
    }

    /// Does it to the whole result, of so many numbers a channel.
    fn run(&self, call: &mut Call, plane: usize) {
        self.part(call.inputs, call.arch, plane, 0, call.outputs[0]);
    }

    /// Does it to the part of the result that begins at `start`, whole channels of it.
    fn part(&self, inputs: &[&[f32]], arch: Arch, plane: usize, start: usize, y: &mut [f32]) {
        if self.bias || self.added.is_some() || self.activation != Activation::Identity || self.gate.is_some() {
            arch.dispatch(FinishPart { finish: self, inputs, plane, start, y });
        }
    }
}

struct FinishPart<'a> {
    finish: &'a Finish,
    inputs: &'a [&'a [f32]],
    plane: usize,
    start: usize,
    y: &'a mut [f32],
}

impl WithSimd for FinishPart<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { finish: &Finish { bias, added, activation, gate }, inputs, plane, start, y } = self;
        if bias {
            let channels = inputs[2].len();
            for (index, row) in y.chunks_exact_mut(plane).enumerate() {
                let bias = inputs[2][(start / plane + index) % channels];
                row.iter_mut().for_each(|v| *v += bias);
            }
        }
        if let Some(added) = added {
            let added = &inputs[added][start..][..y.len()];
            y.iter_mut().zip(added).for_each(|(v, added)| *v += added);
        }
        activate(simd, activation, y);
        if let Some((activation, gate)) = gate {
            let made = &inputs[gate][start..][..y.len()];
            multiply_by_slope(activation, made, y);
        }
    }
}
