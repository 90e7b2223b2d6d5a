//! What differences are normal at each place: fitted to held-out normal images.

use rayon::prelude::*;
use thiserror::Error;

use super::difference::{SIGMA, smoothed};
use crate::calibration::DEFAULT_ALPHA;

/// Fewest images that a scale is fitted to: each is measured by the others, which must have a deviation.
pub const MIN_IMAGES: usize = 3;
/// Most images that a scale is fitted to, spread evenly over those held out.
pub const MAX_IMAGES: usize = 1_000;
/// By how many images the mean variance over all places counts at each place: with few images a place may look steady by
/// chance.
const PRIOR: f64 = 8.0;
/// Least deviation, of pixels in -1..1: an eighth of a grey level.
const MIN_DEVIATION: f64 = 0.125 / 127.5;

/// Why numbers are no scale of maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MapScaleError {
    /// Another number of values than there are places.
    #[error("{found} values for {expected} places")]
    Shape {
        /// Values that there are.
        found: usize,
        /// Places of a map.
        expected: usize,
    },
    /// A value that is infinite or not a number.
    #[error("a value is not finite")]
    NotFinite,
    /// A deviation of zero or less.
    #[error("a deviation is not above 0")]
    Deviation,
    /// Maxima that are missing or out of order.
    #[error("its maxima are not in ascending order, or there is none")]
    Maxima,
}

/// How the differences of normal images are spread at each place, and how high their maps go.
#[derive(Debug, Clone, PartialEq)]
pub struct MapScale {
    size: [usize; 2],
    mean: Vec<f32>,
    deviation: Vec<f32>,
    maxima: Vec<f32>,
    /// Width of the Gaussian that smooths, in places.
    sigma: f32,
}

impl MapScale {
    /// A scale of height x width places: mean and deviation of each place, and the maximum of the map of each held-out image,
    /// ascending.
    ///
    /// # Errors
    /// Numbers that do not fit the size, are not finite or out of order, and deviations that are not above zero.
    pub fn new(size: [usize; 2], mean: Vec<f32>, deviation: Vec<f32>, maxima: Vec<f32>) -> Result<Self, MapScaleError> {
        let expected = size.iter().product();
        if let Some(found) = [mean.len(), deviation.len()].into_iter().find(|&found| found != expected) {
            return Err(MapScaleError::Shape { found, expected });
        }
        if !mean.iter().chain(&deviation).chain(&maxima).all(|value| value.is_finite()) {
            return Err(MapScaleError::NotFinite);
        }
        if deviation.iter().any(|&value| value <= 0.0) {
            return Err(MapScaleError::Deviation);
        }
        if maxima.is_empty() || !maxima.is_sorted() {
            return Err(MapScaleError::Maxima);
        }
        Ok(Self { size, mean, deviation, maxima, sigma: SIGMA * size[0].max(size[1]) as f32 })
    }

    /// Fits a scale to the differences of held-out normal images, each `[H, W]`; none to fewer than [`MIN_IMAGES`].
    ///
    /// Each maximum is that of a map whose scale the other images alone make, as those of a new image is: by its own scale a
    /// map of few images could not go high.
    pub fn fit(size: [usize; 2], differences: &[Vec<f32>]) -> Option<Self> {
        Self::fit_with(size, differences, SIGMA)
    }

    /// The same with another width of the Gaussian that smooths, as a share of the longer side: for measurements.
    pub fn fit_with(size: [usize; 2], differences: &[Vec<f32>], sigma: f32) -> Option<Self> {
        let sigma = sigma * size[0].max(size[1]) as f32;
        let (count, places) = (differences.len() as f64, size.iter().product::<usize>());
        if differences.len() < MIN_IMAGES || places == 0 {
            return None;
        }
        let mut mean = vec![0.0; places];
        let each = |with: &mut dyn FnMut(usize, f64)| {
            let values = differences.iter().flat_map(|values| values.iter().enumerate());
            values.for_each(|(place, &value)| with(place, value.into()));
        };
        each(&mut |place, value| mean[place] += value / count);
        let mut squares = vec![0.0; places];
        each(&mut |place, value| squares[place] += (value - mean[place]).powi(2));
        let maximum = |values: &Vec<f32>| {
            let map = smoothed(&left_out(values, &mean, &squares, count), size, sigma);
            map.into_iter().fold(f32::NEG_INFINITY, f32::max)
        };
        let mut maxima: Vec<f32> = differences.par_iter().map(maximum).collect();
        maxima.sort_by(f32::total_cmp);
        let deviation = Deviation::new(squares.iter().copied(), count);
        let deviation = squares.iter().map(|&squares| deviation.of(squares) as f32).collect();
        let mean = mean.into_iter().map(|value| value as f32).collect();
        Self::new(size, mean, deviation, maxima).ok().map(|scale| Self { sigma, ..scale })
    }

    /// Height and width of its maps.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Mean of the differences at each place, of pixels in -1..1.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// Their standard deviation at each place.
    pub fn deviation(&self) -> &[f32] {
        &self.deviation
    }

    /// The maximum of the map of each held-out image, ascending, in standard deviations.
    pub fn maxima(&self) -> &[f32] {
        &self.maxima
    }

    /// The map that a difference `[H, W]` makes: by how many standard deviations it exceeds the mean of each place, zero where
    /// it does not, smoothed.
    pub fn map(&self, difference: &[f32]) -> Vec<f32> {
        smoothed(&self.excess(difference), self.size, self.sigma)
    }

    /// [`Self::map`] of what lies in a rectangle alone, as if there was nothing around it; NaN elsewhere. `corner` and
    /// `filled` are columns and rows.
    pub fn map_within(&self, difference: &[f32], corner: [usize; 2], filled: [usize; 2]) -> Vec<f32> {
        let ([left, top], [columns, rows], width) = (corner, filled, self.size[1]);
        let excess = self.excess(difference);
        let inner: Vec<f32> = excess
            .chunks_exact(width)
            .skip(top)
            .take(rows)
            .flat_map(|row| &row[left..left + columns])
            .copied()
            .collect();
        let inner = smoothed(&inner, [rows, columns], self.sigma);
        let mut map = vec![f32::NAN; difference.len()];
        for (row, inner) in map.chunks_exact_mut(width).skip(top).zip(inner.chunks_exact(columns)) {
            row[left..left + columns].copy_from_slice(inner);
        }
        map
    }

    fn excess(&self, difference: &[f32]) -> Vec<f32> {
        let places = difference.iter().zip(&self.mean).zip(&self.deviation);
        places.map(|((value, mean), deviation)| ((value - mean) / deviation).max(0.0)).collect()
    }

    /// The level that of new normal images no more than the share `alpha` is expected to exceed at any place: 0.01, or the
    /// smallest that so many images can promise.
    pub fn level(&self) -> f32 {
        let count = self.maxima.len();
        // As a p-value counts: the image itself is one of count + 1.
        let above = ((self.alpha() * (count + 1) as f64 + 1e-9) as usize).clamp(1, count);
        self.maxima[count - above]
    }

    /// The share of normal images that [`Self::level`] goes by.
    pub fn alpha(&self) -> f64 {
        DEFAULT_ALPHA.max(1.0 / (self.maxima.len() + 1) as f64)
    }
}

/// What makes deviations of sums of squares.
struct Deviation {
    /// Mean variance over all places, as often as it counts.
    prior: f64,
    freedom: f64,
}

impl Deviation {
    fn new(squares: impl ExactSizeIterator<Item = f64>, count: f64) -> Self {
        let (places, freedom) = (squares.len().max(1) as f64, count - 1.0);
        Self { prior: PRIOR * squares.sum::<f64>() / places / freedom, freedom }
    }

    fn of(&self, squares: f64) -> f64 {
        ((squares + self.prior) / (self.freedom + PRIOR)).sqrt().max(MIN_DEVIATION)
    }
}

/// What an image's map is smoothed from, by the scale that all other images make.
fn left_out(values: &[f32], mean: &[f64], squares: &[f64], count: f64) -> Vec<f32> {
    let apart: Vec<f64> = values.iter().zip(mean).map(|(&value, mean)| f64::from(value) - mean).collect();
    let without: Vec<f64> = squares
        .iter()
        .zip(&apart)
        .map(|(squares, apart)| (squares - apart * apart * count / (count - 1.0)).max(0.0))
        .collect();
    let deviation = Deviation::new(without.iter().copied(), count - 1.0);
    let places = without.iter().zip(&apart);
    // The mean of the others lies on the other side of the mean of all.
    let excess = places.map(|(&squares, apart)| apart * count / (count - 1.0) / deviation.of(squares));
    excess.map(|excess| excess.max(0.0) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two places, far too few for the Gaussian to reach from one to the other.
    const SIZE: [usize; 2] = [1, 2];

    /// Differences that vary little at the first place and much at the second, without a pattern.
    fn differences(count: usize) -> Vec<Vec<f32>> {
        let noise = |seed: usize| ((seed * 7_919 + 13) % 101) as f32 / 101.0;
        (0..count).map(|image| vec![0.1 + 0.01 * noise(image), 0.5 + 0.4 * noise(image + 50)]).collect()
    }

    #[test]
    fn a_place_that_always_differs_is_not_bright() {
        let scale = MapScale::fit(SIZE, &differences(200)).unwrap();
        let map = scale.map(&[0.105, 0.7]);
        assert!(map.iter().all(|&value| value < 0.5), "{map:?}");
        // The same step is more at the place that is steady.
        let map = scale.map(&[0.205, 0.8]);
        assert!(map[0] > 3.0 * map[1], "{map:?}");
        // What fits better than usual makes up for nothing.
        assert_eq!(scale.map(&[0.0, 0.0]), [0.0, 0.0]);
    }

    #[test]
    fn what_lies_around_the_picture_does_not_matter() {
        let size = [32, 64];
        let scale = MapScale::new(size, vec![0.0; 2048], vec![0.5; 2048], vec![1.0]).unwrap();
        let mut difference = vec![9.0; 2048];
        let inside = |place: &usize| (10..40).contains(&(place % 64)) && (4..28).contains(&(place / 64));
        (0..2048).filter(inside).for_each(|place| difference[place] = 1.0);
        let map = scale.map_within(&difference, [10, 4], [30, 24]);
        for (place, value) in map.iter().enumerate() {
            assert!(if inside(&place) { (value - 2.0).abs() < 1e-4 } else { value.is_nan() }, "{place}: {value}");
        }
        assert!(scale.map(&difference)[4 * 64 + 10] > 5.0);
    }

    #[test]
    fn few_images_do_not_make_a_place_look_steady() {
        let mut few = differences(4);
        few.iter_mut().for_each(|values| values[0] = 0.1);
        let scale = MapScale::fit(SIZE, &few).unwrap();
        assert!(scale.deviation()[0] > 0.3 * scale.deviation()[1], "{:?}", scale.deviation());
        assert_eq!(MapScale::fit(SIZE, &few[..2]), None);
        // All the same: any change is a change.
        let same = MapScale::fit(SIZE, &vec![vec![0.1, 0.2]; 5]).unwrap();
        assert!(same.deviation().iter().all(|&value| value > 0.0 && value < 0.01));
    }

    #[test]
    fn a_maximum_is_by_the_scale_of_the_others() {
        let all = differences(6);
        let scale = MapScale::fit(SIZE, &all).unwrap();
        let mut expected: Vec<f32> = (0..6)
            .map(|image| {
                let others: Vec<_> = (0..6).filter(|&other| other != image).map(|other| all[other].clone()).collect();
                let map = MapScale::fit(SIZE, &others).unwrap().map(&all[image]);
                map.into_iter().fold(f32::NEG_INFINITY, f32::max)
            })
            .collect();
        expected.sort_by(f32::total_cmp);
        for (got, expected) in scale.maxima().iter().zip(&expected) {
            assert!((got - expected).abs() < 1e-3, "{:?}, not {expected:?}", scale.maxima());
        }
    }

    #[test]
    fn the_level_is_that_which_few_normal_images_exceed() {
        let level = |count: usize| {
            let maxima = (1..=count).map(|one| one as f32).collect();
            let scale = MapScale::new([1, 1], vec![0.0], vec![1.0], maxima).unwrap();
            (scale.level(), scale.alpha())
        };
        assert_eq!(level(4), (4.0, 0.2));
        assert_eq!(level(99), (99.0, 0.01));
        assert_eq!(level(199), (198.0, 0.01));
    }

    #[test]
    fn odd_numbers_are_no_scale() {
        let new = |mean: &[f32], deviation: &[f32], maxima: &[f32]| {
            MapScale::new([1, 2], mean.to_vec(), deviation.to_vec(), maxima.to_vec())
        };
        assert!(new(&[0.0, 0.0], &[1.0, 1.0], &[1.0, 2.0]).is_ok());
        assert_eq!(new(&[0.0], &[1.0, 1.0], &[1.0]), Err(MapScaleError::Shape { found: 1, expected: 2 }));
        assert_eq!(new(&[0.0, f32::NAN], &[1.0, 1.0], &[1.0]), Err(MapScaleError::NotFinite));
        for deviation in [0.0, -1.0] {
            assert_eq!(new(&[0.0, 0.0], &[1.0, deviation], &[1.0]), Err(MapScaleError::Deviation));
        }
        for maxima in [&[][..], &[2.0, 1.0]] {
            assert_eq!(new(&[0.0, 0.0], &[1.0, 1.0], maxima), Err(MapScaleError::Maxima));
        }
    }
}
