//! Convolutions, transposed convolutions and weight gradients as matrix products over the windows of each image.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::activation::{activate, multiply_by_slope};
use super::col2im::Col2im;
use super::dense;
use super::gemm::{Gemm, Left};
use super::implicit_gemm::ImplicitGemm;
use super::kernel::{CpuKernel, Packing};
use super::threads::parallel_for;
use super::windows::Windows;
use crate::engine::activation::Activation;
use crate::engine::conv::{Epilogue, Geometry};
use crate::threads::pool_threads;

/// Multiply-accumulates of a convolution from which on other threads are worth their waking.
const MIN_PARALLEL_MACS: u64 = 1 << 18;
/// The same where each weight is read for one of them: it comes from far.
pub(super) const MIN_PARALLEL_MACS_OF_ONE_IMAGE: u64 = 1 << 16;
/// Images from which on it is worth it to pack weights for one run.
const MIN_PACKED_IMAGES: usize = 4;
/// Tasks for each thread, so that none waits long for the others.
const TASKS: usize = 4;
/// Numbers of windows that are multiplied at once in a weight gradient.
const WINDOWS_AT_ONCE: usize = 1 << 13;
/// Rows of tiles, the best ones first.
const ROWS: [usize; 2] = [16, 8];
/// Columns of a right factor that fill the registers.
const PANEL: usize = 32;

/// What all three are told.
#[derive(Clone, Copy)]
struct Shape {
    windows: Windows,
    images: usize,
    wide_channels: usize,
    narrow_channels: usize,
    parallel: bool,
}

impl Shape {
    fn of(geometry: &Geometry) -> Self {
        let windows = Windows::of(geometry);
        let is_read_once = windows.is_whole() && geometry.wide[0] == 1;
        Self {
            windows,
            images: geometry.wide[0],
            wide_channels: geometry.wide[1],
            narrow_channels: geometry.narrow[1],
            parallel: geometry.macs() >= if is_read_once { MIN_PARALLEL_MACS_OF_ONE_IMAGE } else { MIN_PARALLEL_MACS },
        }
    }

    /// Numbers of an image of the wide and of the narrow grid.
    fn image_lens(&self) -> [usize; 2] {
        [self.wide_channels * self.windows.pixels(), self.narrow_channels * self.windows.positions()]
    }

    /// Into how many tasks the images go, and images of each.
    fn tasks(&self) -> [usize; 2] {
        let wanted = if self.parallel { TASKS * pool_threads() } else { 1 };
        let images = self.images.div_ceil(wanted.min(self.images).max(1)).max(1);
        [self.images.div_ceil(images), images]
    }

    /// Channels of a task where the channels of each image are shared out, because there are fewer images than threads;
    /// a divisor of `channels`, and whole tiles if there is such that leaves enough tasks.
    fn block(&self, channels: usize) -> usize {
        let fewest = channels.div_ceil(if self.parallel { TASKS * pool_threads() } else { 1 });
        let divisors = || (fewest..=channels).filter(|block| channels.is_multiple_of(*block));
        let whole = |rows| divisors().find(|block| block.is_multiple_of(rows) && *block <= 2 * fewest);
        ROWS.into_iter().find_map(whole).or_else(|| divisors().next()).unwrap_or(channels)
    }

    /// Whether there are images enough for the threads.
    fn by_image(&self) -> bool {
        !self.parallel || self.images >= pool_threads()
    }
}

/// A convolution: the weights times the pixels that their taps meet, image by image.
pub(crate) fn conv2d(geometry: &Geometry, epilogue: &Epilogue) -> CpuKernel {
    let (shape, finish) = (Shape::of(geometry), Finish::of(epilogue));
    let Shape { windows, images: count, wide_channels, narrow_channels, parallel } = shape;
    let [wide, narrow] = shape.image_lens();
    if windows.is_whole() {
        return CpuKernel::new(move |call| {
            let sizes = [count, narrow_channels, wide];
            dense::by_transposed(call.arch, sizes, call.inputs[0], call.inputs[1], call.outputs[0]);
            finish.part(call.inputs, call.arch, 1, 0, call.outputs[0]);
        });
    }
    let (sorted, taps) = (windows.sorted_len(), windows.taps());
    let (row, room) = (wide_channels * taps, wide_channels * sorted);
    let of_channel = windows.places();
    let places = (0..wide_channels).flat_map(|channel| of_channel.iter().map(move |place| channel * sorted + place));
    let places: Vec<u32> = places.map(|place| place as u32).collect();
    let multiply = move |arch, weights: &[f32], pixels: &[f32], y: &mut [f32]| {
        let pixels = (pixels, windows.step());
        ImplicitGemm { weights, places: &places, pixels, grid: windows.narrow, target: y }.run(arch);
    };
    if shape.by_image() {
        let [tasks, images] = shape.tasks();
        return CpuKernel::with_scratch(tasks * room, move |call| {
            let (inputs, arch) = (call.inputs, call.arch);
            let y = call.outputs[0].par_chunks_mut(images * narrow).zip(call.scratch.par_chunks_mut(room));
            parallel_for(parallel, y.enumerate(), |(task, (y, pixels))| {
                pixels.fill(0.0);
                for (image, y) in y.chunks_exact_mut(narrow).enumerate() {
                    let channels = &inputs[0][(task * images + image) * wide..][..wide];
                    arch.dispatch(Sort { windows, channels, sorted: pixels });
                    multiply(arch, inputs[1], pixels, y);
                    finish.part(inputs, arch, windows.positions(), (task * images + image) * narrow, y);
                }
            });
        });
    }
    let (block, group) = (shape.block(narrow_channels), shape.block(wide_channels));
    CpuKernel::with_scratch(room, move |call| {
        let (inputs, arch, part) = (call.inputs, call.arch, block * windows.positions());
        let pixels = &mut call.scratch[..room];
        for image in 0..count {
            let channels = inputs[0][image * wide..][..wide].par_chunks(group * windows.pixels());
            parallel_for(parallel, pixels.par_chunks_mut(group * sorted).zip(channels), |(sorted, channels)| {
                sorted.fill(0.0);
                arch.dispatch(Sort { windows, channels, sorted });
            });
            let y = call.outputs[0][image * narrow..][..narrow].par_chunks_mut(part).enumerate();
            parallel_for(parallel, y, |(index, y)| {
                multiply(arch, &inputs[1][index * block * row..], pixels, y);
                finish.part(inputs, arch, windows.positions(), image * narrow + index * part, y);
            });
        }
    })
}

/// [`Windows::sort`] for several channels.
struct Sort<'a> {
    windows: Windows,
    channels: &'a [f32],
    sorted: &'a mut [f32],
}

impl WithSimd for Sort<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { windows, channels, sorted } = self;
        let sorted = sorted.chunks_exact_mut(windows.sorted_len());
        channels.chunks_exact(windows.pixels()).zip(sorted).for_each(|(channel, sorted)| windows.sort(channel, sorted));
    }
}

/// A transposed convolution: the weights of each channel's taps times an image, added up where the taps belong.
pub(crate) fn conv_transpose2d(geometry: &Geometry, epilogue: &Epilogue) -> CpuKernel {
    let (shape, finish) = (Shape::of(geometry), Finish::of(epilogue));
    let Shape { windows, images: count, wide_channels, narrow_channels, parallel } = shape;
    let [wide, narrow] = shape.image_lens();
    let (positions, taps, pixels) = (windows.positions(), windows.taps(), windows.pixels());
    if windows.is_whole() {
        // Images are rows of the left factor: the fewer tasks, the more of them share what is read of the weights.
        let images = if parallel { count.div_ceil(pool_threads()) } else { count.max(1) };
        let row = if count == 1 { shape.block(wide_channels) * pixels } else { wide };
        return CpuKernel::new(move |call| {
            let (inputs, arch) = (call.inputs, call.arch);
            parallel_for(parallel, call.outputs[0].par_chunks_mut(images * row).enumerate(), |(task, y)| {
                let start = task * images * row;
                let left = Left::rows(&inputs[0][start / wide * narrow..], narrow);
                let (size, right) = ([y.len() / row, row, narrow], (&inputs[1][start % wide..], wide));
                Gemm { size, left, right, target: (&mut *y, row), adds: false }.run(arch);
                finish.part(inputs, arch, pixels, start, y);
            });
        });
    }
    // Small images are multiplied together, side by side.
    let group = if shape.by_image() { (PANEL / positions).clamp(1, count.max(1)) } else { 1 };
    let images = if shape.by_image() { shape.tasks()[1].next_multiple_of(group) } else { 1 };
    let block = if shape.by_image() { wide_channels } else { shape.block(wide_channels) };
    let (chunk, panel, columns) = (images * block * pixels, narrow_channels * taps, group * positions);
    let col2im = Col2im::new(windows);
    let (margin, sums) = (col2im.margin(), col2im.room());
    let made = 2 * margin + taps * columns;
    let room = sums + made + narrow_channels * columns;
    // In panels the taps of one channel lie together, for all channels of the narrow grid.
    let pack = move |weights: &[f32], panels: &mut [f32]| {
        parallel_for(parallel, panels.par_chunks_mut(panel).enumerate(), |(channel, panel)| {
            let weights = weights[channel * taps..].chunks(wide_channels * taps);
            panel.chunks_exact_mut(taps).zip(weights).for_each(|(to, from)| to.copy_from_slice(&from[..taps]));
        });
    };
    let packing =
        Packing { input: 1, len: wide_channels * panel, pack: Box::new(pack), always: count >= MIN_PACKED_IMAGES };
    let kernel = CpuKernel::with_scratch((count * wide).div_ceil(chunk) * room, move |call| {
        let (inputs, panels, arch) = (call.inputs, call.packed, call.arch);
        let y = call.outputs[0].par_chunks_mut(chunk).zip(call.scratch.par_chunks_mut(room)).enumerate();
        parallel_for(parallel, y, |(task, (y, room))| {
            let (sums, rest) = room.split_at_mut(sums);
            let (products, right) = rest.split_at_mut(made);
            let (first, channels) = (task * chunk / pixels, block.min(y.len() / pixels));
            for (index, y) in y.chunks_mut(group * block * pixels).enumerate() {
                let image = first / wide_channels + index * group;
                let count = y.len() / (channels * pixels);
                let x = &inputs[0][image * narrow..][..count * narrow];
                let right = match count {
                    1 => x,
                    _ => {
                        side_by_side(x, count, positions, right);
                        &*right
                    }
                };
                for channel in 0..channels {
                    let at = first % wide_channels + channel;
                    Gemm {
                        size: [taps, count * positions, narrow_channels],
                        left: match panels {
                            [] => Left::Columns { data: &inputs[1][at * taps..], stride: wide_channels * taps },
                            _ => Left::Columns { data: &panels[at * panel..][..panel], stride: taps },
                        },
                        right: (right, count * positions),
                        target: (&mut products[margin..], count * positions),
                        adds: false,
                    }
                    .run(arch);
                    for (index, wide) in y.chunks_exact_mut(channels * pixels).enumerate() {
                        let wide = &mut wide[channel * pixels..][..pixels];
                        col2im.add_up(arch, (products, count * positions), index * positions, sums, wide);
                    }
                }
                finish.part(inputs, arch, pixels, task * chunk + index * group * block * pixels, y);
            }
        });
    });
    kernel.packing(packing)
}

/// Lays `count` images of rows of so many numbers side by side: each row is that of every image.
fn side_by_side(images: &[f32], count: usize, row: usize, together: &mut [f32]) {
    let image = images.len() / count;
    for (at, to) in together.chunks_exact_mut(count * row).take(image / row).enumerate() {
        for (index, to) in to.chunks_exact_mut(row).enumerate() {
            to.copy_from_slice(&images[index * image + at * row..][..row]);
        }
    }
}

/// The gradient of a convolution by its weights: the narrow grid times the windows by position.
pub(crate) fn conv2d_weight_grad(geometry: &Geometry) -> CpuKernel {
    let shape = Shape::of(geometry);
    let Shape { windows, images: count, wide_channels, narrow_channels, parallel } = shape;
    let [wide, narrow] = shape.image_lens();
    let (positions, taps, padded) = (windows.positions(), windows.taps(), windows.padded_len());
    let (columns, block) = (wide_channels * taps, shape.block(narrow_channels));
    if windows.is_whole() {
        // Each image is a window.
        return CpuKernel::new(move |call| {
            let ([x, g], arch) = ([call.inputs[0], call.inputs[1]], call.arch);
            parallel_for(parallel, call.outputs[0].par_chunks_mut(block * columns).enumerate(), |(part, dw)| {
                let left = Left::Columns { data: &g[part * block..], stride: narrow };
                let size = [dw.len() / columns, columns, count];
                Gemm { size, left, right: (x, wide), target: (dw, columns), adds: false }.run(arch);
            });
        });
    }
    // Whole channels in each panel, so that the taps of one lie together; images in parts that stay in the nearest cache.
    let channels = (PANEL / taps).clamp(1, wide_channels);
    let (row, panels) = (channels * taps, wide_channels.div_ceil(channels));
    let images = (WINDOWS_AT_ONCE / (positions * row)).clamp(1, count.max(1));
    let tasks = if parallel { panels.min(TASKS * pool_threads()) } else { 1 };
    let panels_of_task = panels.div_ceil(tasks);
    let (made, room) = (narrow_channels * row, padded + images * positions * row);
    CpuKernel::with_scratch(panels * made + tasks * room, move |call| {
        let ([x, g], arch) = ([call.inputs[0], call.inputs[1]], call.arch);
        let (products, rooms) = call.scratch.split_at_mut(panels * made);
        let chunks = products.par_chunks_mut(panels_of_task * made).zip(rooms.par_chunks_mut(room)).enumerate();
        parallel_for(parallel, chunks, |(task, (products, room))| {
            let (padded, rows) = room.split_at_mut(padded);
            for (index, product) in products.chunks_exact_mut(made).enumerate() {
                let start = (task * panels_of_task + index) * channels;
                let end = wide_channels.min(start + channels);
                for first in (0..count).step_by(images) {
                    let images = images.min(count - first);
                    let wide = x[first * wide..][..images * wide].chunks_exact(wide);
                    for (image, rows) in wide.zip(rows.chunks_exact_mut(positions * row)) {
                        let channels = &image[start * windows.pixels()..end * windows.pixels()];
                        arch.dispatch(Im2row { windows, channels, padded, rows, row });
                    }
                    let data = &g[first * narrow..];
                    let left = Left::Rows { data, stride: positions, piece: positions, next: narrow };
                    let size = [narrow_channels, (end - start) * taps, images * positions];
                    Gemm { size, left, right: (rows, row), target: (product, row), adds: first > 0 }.run(arch);
                }
            }
        });
        let products = &*products;
        parallel_for(parallel, call.outputs[0].par_chunks_mut(block * columns).enumerate(), |(part, dw)| {
            for (index, dw) in dw.chunks_exact_mut(columns).enumerate() {
                let made = products[(part * block + index) * row..].chunks(made);
                dw.chunks_mut(row).zip(made).for_each(|(to, from)| to.copy_from_slice(&from[..to.len()]));
            }
        });
    })
}

/// [`Windows::im2row`] for several channels, whose taps lie side by side in rows apart by `row` numbers.
struct Im2row<'a> {
    windows: Windows,
    channels: &'a [f32],
    padded: &'a mut [f32],
    rows: &'a mut [f32],
    row: usize,
}

impl WithSimd for Im2row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { windows, channels, padded, rows, row } = self;
        padded.fill(0.0);
        for (index, channel) in channels.chunks_exact(windows.pixels()).enumerate() {
            windows.im2row(channel, padded, &mut rows[index * windows.taps()..], row);
        }
    }
}

/// What is done to the sums of a convolution.
#[derive(Clone, Copy)]
struct Finish {
    bias: bool,
    added: Option<usize>,
    activation: Activation,
    activation_grad: Option<(Activation, usize)>,
}

impl Finish {
    fn of(epilogue: &Epilogue) -> Self {
        Self {
            bias: epilogue.bias,
            added: epilogue.adds.then(|| epilogue.added_input()),
            activation: epilogue.activation,
            activation_grad: epilogue
                .activation_grad
                .map(|activation_grad| (activation_grad, epilogue.activated_input())),
        }
    }

    /// Does it to the part of the result that begins at `start`, whole channels of it.
    fn part(&self, inputs: &[&[f32]], arch: Arch, plane: usize, start: usize, y: &mut [f32]) {
        if self.bias
            || self.added.is_some()
            || self.activation != Activation::Identity
            || self.activation_grad.is_some()
        {
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
        let Self { finish: &Finish { bias, added, activation, activation_grad }, inputs, plane, start, y } = self;
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
        if let Some((activation, activation_grad)) = activation_grad {
            let made = &inputs[activation_grad][start..][..y.len()];
            multiply_by_slope(activation, made, y);
        }
    }
}
