//! The error that the principal components of training images leave.

use nalgebra::{DMatrix, DVector, SymmetricEigen};
use rayon::prelude::*;

use super::Baseline;
use super::pixels::{at_most, pixels};
use crate::data::{DataError, Images};

/// Most components that are kept.
const COMPONENTS: usize = 32;
/// Most training images that they are computed from, spread evenly over all.
const MOST: usize = 500;
/// Components with less than this share of the first one's variance are rounding.
const LEAST: f64 = 1e-9;

/// Scores an image by the Euclidean error of its reconstruction from the first 32 principal components of training images,
/// in pixels of 0 to 255.
pub struct Pca {
    mean: DVector<f64>,
    /// A component a column, each of length one.
    components: DMatrix<f64>,
}

impl Pca {
    /// Takes the images at `indices`, at least one.
    ///
    /// # Errors
    /// An index past the last image, and unreadable images.
    pub fn new(images: &Images, indices: &[usize]) -> Result<Self, DataError> {
        let known = pixels(images, &at_most(indices, MOST))?;
        let len = known.first().map_or(0, Vec::len);
        let values = known.iter().flatten().map(|&value| f64::from(value));
        let mut known = DMatrix::from_iterator(len, known.len(), values);
        let mean = known.column_mean();
        for mut image in known.column_iter_mut() {
            image -= &mean;
        }
        // The eigenvectors of the images' products with each other give those of the pixels' covariance, at less cost.
        let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(known.tr_mul(&known));
        let mut order: Vec<usize> = (0..eigenvalues.len()).collect();
        order.sort_by(|&one, &other| eigenvalues[other].total_cmp(&eigenvalues[one]));
        let first = order.first().map_or(0.0, |&first| eigenvalues[first]);
        order.truncate(COMPONENTS);
        order.retain(|&place| eigenvalues[place] > LEAST * first);
        let columns = order.iter().map(|&place| &known * eigenvectors.column(place) / eigenvalues[place].sqrt());
        let columns: Vec<DVector<f64>> = columns.collect();
        let components = if columns.is_empty() { DMatrix::zeros(len, 0) } else { DMatrix::from_columns(&columns) };
        Ok(Self { mean, components })
    }
}

impl Baseline for Pca {
    fn name(&self) -> &'static str {
        "pca"
    }

    fn scores(&self, images: &Images, indices: &[usize]) -> Result<Vec<f32>, DataError> {
        let error = |image: &Vec<u8>| {
            let centred = DVector::from_iterator(image.len(), image.iter().map(|&value| f64::from(value))) - &self.mean;
            let kept = self.components.tr_mul(&centred);
            // What components of length one explain is the length of what they keep.
            (centred.norm_squared() - kept.norm_squared()).max(0.0).sqrt() as f32
        };
        Ok(pixels(images, indices)?.par_iter().map(error).collect())
    }
}
