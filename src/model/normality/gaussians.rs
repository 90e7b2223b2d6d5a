//! A Gaussian for each place of a feature map: how far the features there are from those of normal images.
//!
//! As PaDiM does it with a pretrained network (Defard and others 2021), but with the detector's own first layer.

use rayon::prelude::*;

use super::first_layer::{FirstLayer, MAX_CHANNELS};

/// Most numbers that the covariances of all places may take: 8 MiB. Larger maps have one covariance for several places.
const MAX_NUMBERS: usize = 1 << 21;
/// Images whose features are in memory at once.
const AT_ONCE: usize = 32;
/// Added to each variance, as a share of the mean variance, so that features that never change do not divide by zero.
const RIDGE: f64 = 1e-3;

/// Mean and covariance of features by place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PlaceGaussians {
    pub grid: Grid,
    /// `[side, side, channels]`.
    pub means: Vec<f32>,
    /// For each cell the inverse of the Cholesky factor of the covariance, which makes features uncorrelated: its lower
    /// triangle, column by column.
    pub whitening: Vec<f32>,
}

/// The places of a feature map, and the cells that share a covariance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grid {
    /// Places along a side.
    pub side: usize,
    /// Features of a place.
    pub channels: usize,
    /// Places along a side of a cell.
    pub cell: usize,
}

impl Grid {
    /// That of a layer.
    pub(super) fn of(layer: &FirstLayer) -> Self {
        Self::new(layer.side, layer.channels)
    }

    /// That of a feature map with so many places along a side, and so many features of each.
    pub(super) fn new(side: usize, channels: usize) -> Self {
        let mut grid = Self { side, channels: channels.min(MAX_CHANNELS), cell: 1 };
        while grid.cells() * grid.triangle() > MAX_NUMBERS && grid.cell < grid.side {
            grid.cell *= 2;
        }
        grid
    }

    fn places(self) -> usize {
        self.side * self.side
    }

    fn cells_along(self) -> usize {
        self.side.div_ceil(self.cell)
    }

    /// How many cells there are.
    pub(super) fn cells(self) -> usize {
        self.cells_along() * self.cells_along()
    }

    /// Numbers of the lower triangle of a covariance.
    pub(super) fn triangle(self) -> usize {
        self.channels * (self.channels + 1) / 2
    }

    fn cell_of(self, place: usize) -> usize {
        place / self.side / self.cell * self.cells_along() + place % self.side / self.cell
    }

    fn places_of(self, cell: usize) -> impl Iterator<Item = usize> {
        let [top, left] = [cell / self.cells_along() * self.cell, cell % self.cells_along() * self.cell];
        let rows = top..(top + self.cell).min(self.side);
        rows.flat_map(move |row| (left..(left + self.cell).min(self.side)).map(move |column| row * self.side + column))
    }
}

impl PlaceGaussians {
    /// Fits to images `[n, C, S, S]`, at least one. The same images give the same numbers with any number of threads.
    pub(super) fn fit(layer: &FirstLayer, pixels: &[f32]) -> Self {
        let grid = Grid::of(layer);
        let channels = grid.channels;
        let image_len = layer.image_len();
        let count = (pixels.len() / image_len).max(1) as f64;
        // Image after image at each place, so that sums are in a fixed order.
        let each = |take: &mut dyn FnMut(&[Vec<f32>])| {
            for images in pixels.chunks(AT_ONCE * image_len) {
                take(&images.par_chunks_exact(image_len).map(|image| layer.features(image)).collect::<Vec<_>>());
            }
        };
        let mut means = vec![0.0_f64; grid.places() * channels];
        each(&mut |features| {
            means.par_chunks_mut(channels).enumerate().for_each(|(place, means)| {
                for features in features {
                    let features = &features[place * channels..(place + 1) * channels];
                    means.iter_mut().zip(features).for_each(|(mean, &value)| *mean += f64::from(value) / count);
                }
            });
        });
        let mut covariances = vec![0.0_f64; grid.cells() * channels * channels];
        each(&mut |features| {
            covariances.par_chunks_mut(channels * channels).enumerate().for_each(|(cell, covariance)| {
                for (features, place) in features.iter().flat_map(|image| grid.places_of(cell).map(move |p| (image, p)))
                {
                    let at = place * channels..(place + 1) * channels;
                    let centred: Vec<f64> = features[at.clone()]
                        .iter()
                        .zip(&means[at])
                        .map(|(&value, mean)| f64::from(value) - mean)
                        .collect();
                    for (row, &value) in covariance.chunks_exact_mut(channels).zip(&centred) {
                        row.iter_mut().zip(&centred).for_each(|(sum, other)| *sum += value * other);
                    }
                }
            });
        });
        let whitening = whitening(grid, &mut covariances, count);
        Self { grid, means: means.into_iter().map(|mean| mean as f32).collect(), whitening }
    }

    /// How far features `[side, side, channels]` are from the usual at the worst place: the root of the mean squared
    /// whitened difference.
    pub(super) fn score(&self, features: &[f32]) -> f32 {
        let channels = self.grid.channels;
        let mut whitened = vec![0.0_f32; channels];
        let places = features.chunks_exact(channels).zip(self.means.chunks_exact(channels)).enumerate();
        let squared = places.map(|(place, (features, means))| {
            let triangle = self.grid.triangle();
            let mut columns = &self.whitening[self.grid.cell_of(place) * triangle..][..triangle];
            whitened.fill(0.0);
            for (index, (value, mean)) in features.iter().zip(means).enumerate() {
                let (column, rest) = columns.split_at(channels - index);
                columns = rest;
                let difference = value - mean;
                whitened[index..].iter_mut().zip(column).for_each(|(sum, factor)| *sum += difference * factor);
            }
            whitened.iter().map(|value| value * value).sum::<f32>()
        });
        // A number that is not finite must show.
        let worst = squared.fold(0.0_f32, |worst, value| if value > worst || value.is_nan() { value } else { worst });
        (worst / channels as f32).sqrt()
    }
}

/// The whitening matrices of cells, from the sums of their squared differences.
///
/// Each covariance is drawn towards the mean of all, by the share `channels / (samples + channels)`: a covariance of fewer
/// samples than features means little.
fn whitening(grid: Grid, covariances: &mut [f64], images: f64) -> Vec<f32> {
    let channels = grid.channels;
    let size = channels * channels;
    let samples: Vec<f64> = (0..grid.cells()).map(|cell| images * grid.places_of(cell).count() as f64).collect();
    let mut pooled = vec![0.0; size];
    for (covariance, samples) in covariances.chunks_exact_mut(size).zip(&samples) {
        for (sum, pooled) in covariance.iter_mut().zip(&mut pooled) {
            *sum /= samples;
            *pooled += *sum / grid.cells() as f64;
        }
    }
    let variance = (0..channels).map(|index| pooled[index * channels + index]).sum::<f64>() / channels as f64;
    let ridge = (RIDGE * variance).max(f64::from(f32::EPSILON));
    let cells = covariances.par_chunks_mut(size).zip(&samples).flat_map_iter(|(covariance, samples)| {
        let share = channels as f64 / (samples + channels as f64);
        covariance.iter_mut().zip(&pooled).for_each(|(own, all)| *own += share * (all - *own));
        (0..channels).for_each(|index| covariance[index * channels + index] += ridge);
        inverse_cholesky(covariance, channels)
    });
    cells.collect()
}

/// The inverse of the Cholesky factor of a positive definite matrix, its lower triangle column by column.
fn inverse_cholesky(matrix: &mut [f64], size: usize) -> Vec<f32> {
    // The factor, in place (Golub and Van Loan, Matrix Computations, 4.2).
    for column in 0..size {
        for row in column..size {
            let product: f64 = (0..column).map(|k| matrix[row * size + k] * matrix[column * size + k]).sum();
            let rest = matrix[row * size + column] - product;
            let pivot = matrix[column * size + column];
            matrix[row * size + column] = if row == column { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / pivot };
        }
    }
    // Column after column by forward substitution.
    let mut inverse = Vec::with_capacity(size * (size + 1) / 2);
    for column in 0..size {
        let mut solved = vec![0.0; size];
        for row in column..size {
            let product: f64 = (column..row).map(|k| matrix[row * size + k] * solved[k]).sum();
            solved[row] = (f64::from(u8::from(row == column)) - product) / matrix[row * size + row];
            inverse.push(solved[row] as f32);
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitened_numbers_are_uncorrelated() {
        let covariance = [4.0, 2.0, 0.4, 2.0, 3.0, -0.5, 0.4, -0.5, 1.0];
        let inverse = inverse_cholesky(&mut covariance.clone(), 3);
        let [a, b, c, d, e, f] = inverse.try_into().unwrap();
        let rows = [[a, 0.0, 0.0], [b, d, 0.0], [c, e, f]].map(|row| row.map(f64::from));
        for (i, one) in rows.iter().enumerate() {
            for (j, other) in rows.iter().enumerate() {
                let product: f64 = (0..9).map(|place| one[place / 3] * covariance[place] * other[place % 3]).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-6, "{i} {j} {product}");
            }
        }
    }

    #[test]
    fn large_maps_share_covariances() {
        let grid = Grid { side: 5, channels: 2, cell: 2 };
        assert_eq!(grid.cells(), 9);
        let mut places: Vec<usize> = (0..9).flat_map(|cell| grid.places_of(cell)).collect();
        assert!((0..9).all(|cell| grid.places_of(cell).all(|place| grid.cell_of(place) == cell)));
        places.sort_unstable();
        assert_eq!(places, (0..25).collect::<Vec<_>>());
    }
}
