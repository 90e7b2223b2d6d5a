//! The one-class protocol: train on the images of one class, test on all.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{CLASSES, DataError, Part};

/// Which images a one-class run uses, as indices into the set that it trains on and the one that it is evaluated on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneClass {
    /// The normal class.
    pub normal: u8,
    /// Training images of the normal class, in file order.
    pub train: Vec<usize>,
    /// Images of the normal class that are held out of training to calibrate with, as indices into the training set.
    pub calibration: Vec<usize>,
    /// Evaluation images, in file order: all of the test set, or those held out of the training set.
    pub test: Vec<usize>,
}

/// Every so many training images of a class, one is held out for validation.
const HELD_OUT: usize = 6;

impl OneClass {
    /// Picks the images of class `normal` from the labels of the training set, and every image of the test set.
    ///
    /// # Errors
    /// A class out of range, or one without an image in the training or the test set.
    pub fn new(normal: u8, train_labels: &[u8], test_labels: &[u8]) -> Result<Self, DataError> {
        let train = (0..train_labels.len()).filter(|&index| train_labels[index] == normal).collect();
        let test = (0..test_labels.len()).collect();
        Self { normal, train, calibration: Vec::new(), test }.checked(test_labels)
    }

    /// Holds every sixth training image of each class out, to evaluate on instead of the test set, and picks the others
    /// of class `normal` to train on. Both are indices into the training set.
    ///
    /// # Errors
    /// A class out of range, or one with fewer than six images.
    pub fn validation(normal: u8, train_labels: &[u8]) -> Result<Self, DataError> {
        let mut seen = [0_usize; CLASSES as usize];
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for (index, &label) in train_labels.iter().enumerate() {
            let Some(seen) = seen.get_mut(usize::from(label)) else { continue };
            *seen += 1;
            if *seen % HELD_OUT == 0 {
                test.push(index);
            } else if label == normal {
                train.push(index);
            }
        }
        Self { normal, train, calibration: Vec::new(), test }.checked(train_labels)
    }

    /// Holds a share of the training images, rounded down, out to calibrate with; none where the share is 0, which must
    /// be below 1.
    ///
    /// They are spread evenly over the file order, for neighbours in it are often alike: photos taken one after the
    /// other, say. No seed plays a part, so that networks of different seeds, and a student and the teacher that it is
    /// given, are calibrated on the same images, which none of them was trained on.
    pub fn calibrated(mut self, share: f64) -> Self {
        let wanted = held_out(self.train.len(), share);
        (self.train, self.calibration) = spread(self.train, wanted);
        self
    }

    /// Refuses a split that cannot be trained or evaluated; `labels` are those that `test` points into.
    fn checked(self, labels: &[u8]) -> Result<Self, DataError> {
        if self.normal >= CLASSES {
            return Err(DataError::NormalClass { class: self.normal });
        }
        if self.train.is_empty() {
            return Err(DataError::NoImage { class: self.normal, part: Part::Train });
        }
        if !self.test.iter().any(|&index| labels[index] == self.normal) {
            return Err(DataError::NoImage { class: self.normal, part: Part::Test });
        }
        Ok(self)
    }

    /// Parts the scores of labelled images, one per label, into those of the normal class and those of all others, each
    /// in order.
    pub fn part_scores(&self, labels: &[u8], scores: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let mut parts = (Vec::new(), Vec::new());
        for (&label, &score) in labels.iter().zip(scores) {
            if label == self.normal { &mut parts.0 } else { &mut parts.1 }.push(score);
        }
        parts
    }
}

/// As many of `indices` as `most`, spread evenly over them.
pub(crate) fn at_most(indices: &[usize], most: usize) -> Vec<usize> {
    let count = indices.len().min(most);
    (0..count).map(|place| indices[place * indices.len() / count]).collect()
}

/// How many of `images` images a share of them is, rounded down.
pub(super) fn held_out(images: usize, share: f64) -> usize {
    // A product such as 100 x 0.29 lies just below the integer meant.
    (images as f64 * share + 1e-6) as usize
}

/// The fewest images of which a share, which is above 0, is this many.
pub fn images_for(held: usize, share: f64) -> usize {
    let least = (held as f64 / share).floor() as usize;
    (least..).find(|&images| held_out(images, share) >= held).unwrap_or(least)
}

/// Takes `wanted` of the images out, spread evenly over their order; the rest comes first.
pub(super) fn spread(images: Vec<usize>, wanted: usize) -> (Vec<usize>, Vec<usize>) {
    let (mut rest, mut taken) = (Vec::new(), Vec::new());
    for (place, &image) in images.iter().enumerate() {
        let before = |place: usize| place * wanted / images.len();
        if before(place + 1) > before(place) { &mut taken } else { &mut rest }.push(image);
    }
    (rest, taken)
}

/// The order in which training takes samples from `images` images: one permutation of `0..images` after the other,
/// without an end. With `shuffle` each is drawn afresh; without it, each is the file order. Empty where there are no
/// images. No more than one permutation is held at a time.
///
/// A seed gives the same order on every machine: Fisher-Yates from the last place down, each draw the upper 64 bits of
/// a 64-bit ChaCha8 output times the number of places left; the key is the seed, little-endian, then zeros.
#[derive(Debug, Clone)]
pub struct SampleOrder {
    rng: ChaCha8Rng,
    epoch: Vec<u32>,
    place: usize,
    shuffle: bool,
}

impl SampleOrder {
    /// The order from its start.
    pub fn new(seed: u64, images: usize, shuffle: bool) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let epoch: Vec<u32> = (0..u32::MAX).take(images).collect();
        Self { rng: ChaCha8Rng::from_seed(key), place: epoch.len(), epoch, shuffle }
    }
}

impl Iterator for SampleOrder {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.place == self.epoch.len() {
            self.place = 0;
            if self.shuffle {
                for place in (1..self.epoch.len()).rev() {
                    let other = (u128::from(self.rng.next_u64()) * (place as u128 + 1)) >> 64;
                    self.epoch.swap(place, other as usize);
                }
            }
        }
        let image = self.epoch.get(self.place).copied();
        self.place += usize::from(image.is_some());
        image
    }
}

/// The first `samples` samples of a [`SampleOrder`].
pub fn order(seed: u64, images: usize, samples: usize, shuffle: bool) -> Vec<u32> {
    SampleOrder::new(seed, images, shuffle).take(samples).collect()
}
