//! The error that the principal components of training images leave.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::Baseline;
use super::pixels::pixels;
use crate::data::{DataError, Images, at_most};

/// Most components that are kept.
const COMPONENTS: usize = 32;
/// Most training images that they are computed from, spread evenly over all.
const MOST: usize = 500;
/// Rounds of orthogonal iteration. The error that is left changes little after some dozen.
const ROUNDS: usize = 60;
/// Vectors of less than this share of the longest one's length are rounding.
const LEAST: f64 = 1e-9;

/// Scores an image by the Euclidean error of its reconstruction from the first 32 principal components of training images,
/// in pixels of 0 to 255.
pub struct Pca {
    mean: Vec<f64>,
    /// Orthonormal vectors that span the components.
    basis: Vec<Vec<f64>>,
}

impl Pca {
    /// Takes the images at `indices`, at least one.
    ///
    /// # Errors
    /// An index past the last image, and unreadable images.
    pub fn new(images: &Images, indices: &[usize]) -> Result<Self, DataError> {
        let known = pixels(images, &at_most(indices, MOST))?;
        let mut mean = vec![0.0; known.first().map_or(0, Vec::len)];
        for image in &known {
            mean.iter_mut().zip(image).for_each(|(mean, &value)| *mean += f64::from(value) / known.len() as f64);
        }
        let known: Vec<Vec<f64>> = known.iter().map(|image| centred(image, &mean)).collect();
        // Orthogonal iteration (Golub and Van Loan, Matrix Computations, 8.2.4) on the images' products with each other,
        // which are fewer than the pixels' covariances and have the same components. No library of linear algebra is taken
        // for these lines.
        let products: Vec<Vec<f64>> =
            known.par_iter().map(|one| known.iter().map(|other| dot(one, other)).collect()).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut random = || known.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
        let mut vectors: Vec<Vec<f64>> = (0..COMPONENTS.min(known.len())).map(|_| random()).collect();
        for _ in 0..ROUNDS {
            orthonormalise(&mut vectors);
            vectors = vectors.par_iter().map(|vector| products.iter().map(|row| dot(row, vector)).collect()).collect();
        }
        let combined = |vector: &Vec<f64>| {
            let mut sum = vec![0.0; mean.len()];
            for (image, factor) in known.iter().zip(vector) {
                sum.iter_mut().zip(image).for_each(|(sum, value)| *sum += factor * value);
            }
            sum
        };
        let mut basis: Vec<Vec<f64>> = vectors.par_iter().map(combined).collect();
        orthonormalise(&mut basis);
        Ok(Self { mean, basis })
    }
}

impl Baseline for Pca {
    fn name(&self) -> &'static str {
        "pca"
    }

    fn scores(&self, images: &Images, indices: &[usize]) -> Result<Vec<f32>, DataError> {
        let error = |image: &Vec<u8>| {
            let image = centred(image, &self.mean);
            let kept: f64 = self.basis.iter().map(|vector| dot(vector, &image).powi(2)).sum();
            (dot(&image, &image) - kept).max(0.0).sqrt() as f32
        };
        Ok(pixels(images, indices)?.par_iter().map(error).collect())
    }
}

fn centred(image: &[u8], mean: &[f64]) -> Vec<f64> {
    image.iter().zip(mean).map(|(&value, mean)| f64::from(value) - mean).collect()
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// Makes vectors orthogonal and of length one, one after the other. Those that depend on others are left out.
fn orthonormalise(vectors: &mut Vec<Vec<f64>>) {
    let longest = vectors.iter().map(|vector| dot(vector, vector)).fold(0.0, f64::max).sqrt();
    let mut done: Vec<Vec<f64>> = Vec::with_capacity(vectors.len());
    for mut vector in vectors.drain(..) {
        // Twice, for rounding leaves some of the others in it the first time.
        for other in done.iter().chain(&done) {
            let share = dot(&vector, other);
            vector.iter_mut().zip(other).for_each(|(value, other)| *value -= share * other);
        }
        let length = dot(&vector, &vector).sqrt();
        if length > LEAST * longest {
            vector.iter_mut().for_each(|value| *value /= length);
            done.push(vector);
        }
    }
    *vectors = done;
}
