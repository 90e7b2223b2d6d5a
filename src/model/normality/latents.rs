//! The latent vectors of training images.

/// Latent vectors, side by side.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LatentBank {
    len: usize,
    numbers: Vec<f32>,
}

impl LatentBank {
    /// Takes vectors of `len` numbers each.
    pub(super) fn new(len: usize, numbers: Vec<f32>) -> Self {
        Self { len: len.max(1), numbers }
    }

    /// Numbers of a vector.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All numbers, vector after vector.
    pub(super) fn numbers(&self) -> &[f32] {
        &self.numbers
    }

    /// The Euclidean distance to the nearest vector.
    pub(super) fn distance(&self, latent: &[f32]) -> f32 {
        self.nearest(latent).map_or(f32::INFINITY, |(_, distance)| distance)
    }

    /// The place of the nearest vector, the first of several, and its Euclidean distance; none without any.
    pub(super) fn nearest(&self, latent: &[f32]) -> Option<(usize, f32)> {
        let squared = |known: &[f32]| known.iter().zip(latent).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let nearest = self.numbers.chunks_exact(self.len).map(squared).enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        nearest.map(|(place, squared)| (place, squared.sqrt()))
    }
}
