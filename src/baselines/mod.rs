//! Simple detectors on the same pixels, so that a network can be held against them. They know no network.

mod nearest_neighbour;
mod pca;
mod pixels;

pub use nearest_neighbour::NearestNeighbour;
pub use pca::Pca;

use crate::data::{DataError, Images};

/// A simple detector that has seen normal images.
pub trait Baseline: Sync {
    /// Its name, in reports.
    fn name(&self) -> &'static str;

    /// Anomaly scores of the images at `indices`, in that order; higher is more anomalous.
    ///
    /// # Errors
    /// An index past the last image, images of another shape than those it was made of, and unreadable ones.
    fn scores(&self, images: &Images, indices: &[usize]) -> Result<Vec<f32>, DataError>;
}

/// Every simple detector, made of the normal images at `indices`, at least one.
///
/// # Errors
/// An index past the last image, and unreadable images.
pub fn baselines(images: &Images, indices: &[usize]) -> Result<Vec<Box<dyn Baseline>>, DataError> {
    Ok(vec![Box::new(NearestNeighbour::new(images, indices)?), Box::new(Pca::new(images, indices)?)])
}
