//! Exact and near copies among many images, without comparing each with each. It knows pixels, no files and no names.
//!
//! Two images are near copies if they differ by little, compared with how much two images of the set differ. Brightness
//! and contrast of an image do not count. docs/decisions/independent-groups.md has the measurements behind the numbers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use sha2::{Digest, Sha256};

use super::one_class::order;
use super::{DataError, Images};
use crate::threads::start_each;

/// Share of the distance of two images of the set up to which two are near copies.
const NEAR: f64 = 0.1;
/// Least standard deviation of an image's values, of 0 to 255: below it an image counts as flat, and its noise stays
/// small.
const FLAT: f64 = 4.0;
/// Pairs of images from which the distance of two images of the set is known.
const PAIRS: usize = 4096;
/// Side of the coarse picture that images are looked up by.
const COARSE: usize = 8;
/// Numbers that describe a coarse picture. Its mean is not one of them.
const NUMBERS: usize = COARSE * COARSE - 1;
/// Numbers that make the key of a cell.
const AXES: usize = 4;

/// Sets of images that grow together.
pub(super) struct Sets(Vec<u32>);

impl Sets {
    /// Each image by itself.
    pub(super) fn new(images: usize) -> Self {
        Self((0..images as u32).collect())
    }

    /// The set of an image, by the image that stands for it.
    pub(super) fn of(&mut self, image: usize) -> usize {
        let mut one = image;
        while self.0[one] as usize != one {
            self.0[one] = self.0[self.0[one] as usize];
            one = self.0[one] as usize;
        }
        one
    }

    /// Makes the sets of two images one, for which its first image stands.
    pub(super) fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.of(one), self.of(other));
        self.0[one.max(other)] = one.min(other) as u32;
    }
}

/// What is kept of each image.
struct Summary {
    digest: [u8; 32],
    sum: u64,
    /// Standard deviation of the values, at least [`FLAT`].
    deviation: f64,
    /// Variance of the values.
    variance: f64,
    coarse: [f32; NUMBERS],
}

/// Joins images with the same pixels.
///
/// # Errors
/// Images that cannot be read.
pub(super) fn join_exact_copies(images: &Images, sets: &mut Sets) -> Result<(), DataError> {
    join_equal(&each(images, |pixels| <[u8; 32]>::from(Sha256::digest(pixels)))?, |digest| *digest, sets);
    Ok(())
}

/// Joins images with the same pixels, and near copies. Copies of copies are in one set.
///
/// # Errors
/// Images that cannot be read.
pub(super) fn join_near_copies(images: &Images, sets: &mut Sets) -> Result<(), DataError> {
    let shape = [images.channels(), images.height(), images.width()];
    let mut summaries = each(images, |pixels| Summary::new(pixels, shape))?;
    join_equal(&summaries, |summary| summary.digest, sets);
    let different: Vec<usize> = (0..summaries.len()).filter(|&image| sets.of(image) == image).collect();
    let near = NEAR * typical_distance(images, &summaries)?;
    sort_numbers(&mut summaries);
    search(images, &summaries, &different, near, sets)
}

fn join_equal<T>(summaries: &[T], digest: impl Fn(&T) -> [u8; 32], sets: &mut Sets) {
    let mut first = HashMap::with_capacity(summaries.len());
    for (image, summary) in summaries.iter().enumerate() {
        sets.join(*first.entry(digest(summary)).or_insert(image), image);
    }
}

impl Summary {
    fn new(pixels: &[u8], [channels, height, width]: [usize; 3]) -> Self {
        let sum: u64 = pixels.iter().map(|&value| u64::from(value)).sum();
        let variance = covariance(pixels.len(), product(pixels, pixels), sum, sum);
        let deviation = variance.sqrt().max(FLAT);
        // Sums over blocks of equal size, whatever is left over at the far sides.
        let (tall, wide) = (height / COARSE, width / COARSE);
        let mut blocks = [0_i64; COARSE * COARSE];
        for (row, values) in pixels.chunks_exact(width.max(1)).take(channels * height).enumerate() {
            let place = (row % height).checked_div(tall).filter(|&place| place < COARSE);
            let Some(place) = place.filter(|_| wide > 0) else { continue };
            for (block, values) in blocks[place * COARSE..][..COARSE].iter_mut().zip(values.chunks_exact(wide)) {
                *block += values.iter().map(|&value| i64::from(value)).sum::<i64>();
            }
        }
        walsh_hadamard(&mut blocks);
        let scale = 1.0 / (pixels.len() as f64 * deviation);
        let coarse = std::array::from_fn(|place| (blocks[place + 1] as f64 * scale) as f32);
        Self { digest: Sha256::digest(pixels).into(), sum, deviation, variance, coarse }
    }

    /// Root mean square of what two images differ by, each with its mean taken away and divided by its deviation. Sums are
    /// of integers, so that grey images have the same distance with one value a pixel and with three.
    fn distance(&self, other: &Self, pixels: &[u8], others: &[u8]) -> f64 {
        let [one, two] = [self, other].map(|of| of.variance / (of.deviation * of.deviation));
        let both = covariance(pixels.len(), product(pixels, others), self.sum, other.sum);
        (one + two - 2.0 * both / (self.deviation * other.deviation)).max(0.0).sqrt()
    }

    /// Whether the distance can be at most this. The numbers of a coarse picture are coordinates of the image itself along
    /// patterns at right angles, so it is at least theirs.
    fn may_be_within(&self, other: &Self, most: f64) -> bool {
        let most = (most * most * SLACK) as f32;
        let mut sum = 0.0_f32;
        for (one, two) in self.coarse.chunks(9).zip(other.coarse.chunks(9)) {
            sum += one.iter().zip(two).map(|(one, two)| (one - two) * (one - two)).sum::<f32>();
            if sum > most {
                return false;
            }
        }
        true
    }
}

/// Room for rounding where a bound decides what is looked at.
const SLACK: f64 = 1.001;

/// Covariance of `len` pairs of values, from the sum of their products and their sums.
fn covariance(len: usize, products: u64, sum: u64, other: u64) -> f64 {
    let len = len as i128;
    (len * i128::from(products) - i128::from(sum) * i128::from(other)) as f64 / ((len * len).max(1)) as f64
}

/// Sum of the products of values.
fn product(one: &[u8], other: &[u8]) -> u64 {
    // So many products fit 32 bits.
    let parts = one.chunks(1 << 16).zip(other.chunks(1 << 16));
    parts
        .map(|(one, other)| u64::from(one.iter().zip(other).map(|(&a, &b)| u32::from(a) * u32::from(b)).sum::<u32>()))
        .sum()
}

/// The coordinates along the patterns of Walsh and Hadamard, in place; the first is the sum.
fn walsh_hadamard(values: &mut [i64]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

/// Root mean square of the distances of two images: of all pairs where they are few, else of some drawn at random, which
/// are the same ones each time.
fn typical_distance(images: &Images, summaries: &[Summary]) -> Result<f64, DataError> {
    let count = summaries.len();
    let pairs: Vec<(usize, usize)> = if count * count.saturating_sub(1) / 2 <= PAIRS {
        (0..count).flat_map(|one| (one + 1..count).map(move |other| (one, other))).collect()
    } else {
        let drawn = order(0, count, 2 * PAIRS, true);
        let pairs = drawn.chunks_exact(2).map(|pair| (pair[0] as usize, pair[1] as usize));
        pairs.filter(|(one, other)| one != other).collect()
    };
    let mut squares = 0.0;
    for &(one, other) in &pairs {
        let distance = summaries[one].distance(&summaries[other], &images.image(one)?, &images.image(other)?);
        squares += distance * distance;
    }
    Ok((squares / pairs.len().max(1) as f64).sqrt())
}

/// Puts those of the numbers first that tell images apart best.
fn sort_numbers(summaries: &mut [Summary]) {
    let count = summaries.len().max(1) as f64;
    let mut spread: Vec<(f64, usize)> = (0..NUMBERS)
        .map(|number| {
            let values = || summaries.iter().map(|summary| f64::from(summary.coarse[number]));
            let mean = values().sum::<f64>() / count;
            (values().map(|value| (value - mean).powi(2)).sum(), number)
        })
        .collect();
    spread.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    for summary in summaries {
        let former = summary.coarse;
        summary.coarse = std::array::from_fn(|place| former[spread[place].1]);
    }
}

type Cell = [i32; AXES];

/// Joins what is within `near` of each other, from one image to the next. Images lie in cells as wide as that, so that
/// whatever is near one lies in a cell beside its own. An image that was found leaves its cell: a scene of many images is
/// passed through once, and not once for each of them.
fn search(
    images: &Images,
    summaries: &[Summary],
    different: &[usize],
    near: f64,
    sets: &mut Sets,
) -> Result<(), DataError> {
    let wide = (near * SLACK).max(1e-6);
    let cell = |image: usize| -> Cell {
        std::array::from_fn(|axis| (f64::from(summaries[image].coarse[axis]) / wide).floor() as i32)
    };
    let mut cells: HashMap<Cell, Vec<u32>> = HashMap::new();
    for &image in different {
        cells.entry(cell(image)).or_default().push(image as u32);
    }
    let mut found = vec![false; summaries.len()];
    for &first in different {
        let mut next = if found[first] { Vec::new() } else { vec![first] };
        found[first] = true;
        while let Some(image) = next.pop() {
            let pixels = images.image(image)?;
            for key in neighbours(cell(image)) {
                let Some(list) = cells.get_mut(&key) else { continue };
                let mut place = 0;
                while let Some(&other) = list.get(place) {
                    let other = other as usize;
                    if !found[other] && summaries[image].may_be_within(&summaries[other], near) {
                        let distance = summaries[image].distance(&summaries[other], &pixels, &images.image(other)?);
                        if distance <= near {
                            found[other] = true;
                            sets.join(image, other);
                            next.push(other);
                        }
                    }
                    if found[other] {
                        list.swap_remove(place);
                    } else {
                        place += 1;
                    }
                }
            }
        }
    }
    Ok(())
}

/// A cell and those around it.
fn neighbours(cell: Cell) -> impl Iterator<Item = Cell> {
    (0..3_usize.pow(AXES as u32)).map(move |number| {
        std::array::from_fn(|axis| cell[axis].saturating_add((number / 3_usize.pow(axis as u32) % 3) as i32 - 1))
    })
}

/// What comes of the pixels of each image, on every core.
fn each<T: Send>(images: &Images, of: impl Fn(&[u8]) -> T + Sync) -> Result<Vec<T>, DataError> {
    /// Images that a thread takes at a time.
    const TAKEN: usize = 64;
    let count = images.count();
    let next = AtomicUsize::new(0);
    let work = |sender: mpsc::Sender<_>| {
        loop {
            let first = next.fetch_add(TAKEN, Ordering::Relaxed);
            if first >= count {
                break;
            }
            let taken = first..count.min(first + TAKEN);
            let made: Result<Vec<T>, DataError> = taken.map(|image| Ok(of(&images.image(image)?))).collect();
            if sender.send((first, made)).is_err() {
                break;
            }
        }
    };
    let mut parts = Vec::with_capacity(count.div_ceil(TAKEN));
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let threads = thread::available_parallelism().map_or(1, usize::from).min(count.div_ceil(TAKEN));
        let started = start_each(0..threads, |_| {
            let (sender, work) = (sender.clone(), &work);
            thread::Builder::new().spawn_scoped(scope, move || work(sender))
        });
        if started.is_err() {
            work(sender.clone());
        }
        drop(sender);
        parts.extend(receiver);
    });
    parts.sort_unstable_by_key(|(first, _)| *first);
    let mut all = Vec::with_capacity(count);
    for (_, made) in parts {
        all.extend(made?);
    }
    Ok(all)
}
