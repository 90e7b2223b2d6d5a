//! What a network makes of normal images, as far as it tells more than the distance of two latent vectors: the latent
//! vectors of training images, and the mean and covariance of the first encoder's features at each place. From these come
//! further scores of an image. They are fitted after training, on images of training and on held-out ones.

mod combined;
mod first_layer;
mod gaussians;
mod latents;
mod tensors;

use self::combined::Combination;
use self::first_layer::FirstLayer;
use self::gaussians::PlaceGaussians;
use self::latents::LatentBank;
use super::Architecture;
use crate::calibration::{Calibration, CalibrationError};
use crate::data::Preprocessing;
use crate::score_kind::ScoreKind;
use crate::weights::{Weights, WeightsError};

pub(super) use tensors::{max_numbers, remove};

/// Most training images that are fitted to.
pub const MAX_FITTED: usize = 1_000;

/// What a network made of an image.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The image, `[C, S, S]` with pixels in -1..1.
    pub pixels: &'a [f32],
    /// The distance of its latent vector from that of its reconstruction.
    pub distance: f32,
    /// Its latent vector.
    pub latent: &'a [f32],
    /// Its reconstruction, shaped as the image.
    pub reconstruction: &'a [f32],
}

/// An image's scores, by [`ScoreKind::index`]: all but the combined one.
pub type BaseScores = [f32; ScoreKind::BASE.len()];

/// What is known of normal images, for the scores of [`ScoreKind`].
#[derive(Clone, Debug, PartialEq)]
pub struct NormalityModel {
    first_layer: FirstLayer,
    gaussians: PlaceGaussians,
    latents: LatentBank,
    combination: Combination,
    area: Area,
    /// The score that tells painted defects best, where that was tried.
    favoured: Option<ScoreKind>,
}

/// The part of the network's image that a picture fills.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    side: usize,
    /// First and past the last row.
    rows: [usize; 2],
    /// First and past the last column.
    columns: [usize; 2],
}

impl NormalityModel {
    /// Fits to up to [`MAX_FITTED`] training images, `[n, C, S, S]` with pixels in -1..1, and their latent vectors
    /// `[n, latents]`. It has no calibration yet; see [`Self::calibrate`].
    ///
    /// # Errors
    /// Weights that lack the first encoder's first layer.
    pub(crate) fn fit(
        architecture: &Architecture,
        weights: &Weights,
        preprocessing: &Preprocessing,
        pixels: &[f32],
        latents: Vec<f32>,
    ) -> Result<Self, WeightsError> {
        let first_layer = FirstLayer::of(architecture, weights)?;
        let gaussians = PlaceGaussians::fit(&first_layer, pixels);
        let latents = LatentBank::new(architecture.latents, latents);
        let (combination, area) = (Combination::default(), Area::of(preprocessing));
        Ok(Self { first_layer, gaussians, latents, combination, area, favoured: None })
    }

    /// Takes the scores of held-out normal images.
    ///
    /// # Errors
    /// No image, and scores that are not finite.
    pub(crate) fn calibrate(&mut self, held_out: &[BaseScores]) -> Result<(), CalibrationError> {
        self.combination = Combination::new(held_out)?;
        Ok(())
    }

    /// Says which score tells painted defects best.
    pub(crate) fn favour(&mut self, kind: ScoreKind) {
        self.favoured = Some(kind);
    }

    /// The score that tells painted defects best; none where that was not tried, as for data sets.
    pub fn favoured(&self) -> Option<ScoreKind> {
        self.favoured
    }

    /// The scores of held-out normal images, by one kind of score.
    ///
    /// # Errors
    /// A model that is not calibrated.
    pub fn calibration(&self, kind: ScoreKind) -> Result<Calibration, CalibrationError> {
        self.combination.calibration(kind)
    }

    /// Training images whose latent vectors are kept.
    pub(crate) fn fitted(&self) -> usize {
        self.latents.numbers().len() / self.latents.len()
    }

    /// The training image with the nearest latent vector: its place among those that were fitted to, and the distance. None
    /// without any.
    pub(crate) fn nearest(&self, latent: &[f32]) -> Option<(usize, f32)> {
        self.latents.nearest(latent)
    }

    /// All scores of an image but the combined one.
    pub(crate) fn base_scores(&self, seen: Observation) -> BaseScores {
        ScoreKind::BASE.map(|kind| self.score(kind, seen))
    }

    fn score(&self, kind: ScoreKind, seen: Observation) -> f32 {
        match kind {
            ScoreKind::Latent => seen.distance,
            ScoreKind::Reconstruction => self.area.error(seen.pixels, seen.reconstruction),
            ScoreKind::Neighbour => self.latents.distance(seen.latent),
            ScoreKind::Features => self.gaussians.score(&self.first_layer.features(seen.pixels)),
            ScoreKind::Combined => self.combination.score(&self.base_scores(seen)),
        }
    }

    /// An image's score of any kind, from its others.
    pub(crate) fn score_of(&self, kind: ScoreKind, base: &BaseScores) -> f32 {
        if kind == ScoreKind::Combined { self.combination.score(base) } else { base[kind.index()] }
    }

    /// The scores of images, `[n, C, S, S]` with pixels in -1..1, from what the network made of them: distances, latent
    /// vectors and reconstructions. Of the latter two only those that [`ScoreKind::needs`] must be there.
    pub(crate) fn scores(
        &self,
        kind: ScoreKind,
        pixels: &[f32],
        distances: &[f32],
        latents: Option<&[f32]>,
        reconstructions: Option<&[f32]>,
    ) -> Vec<f32> {
        let image_len = pixels.len() / distances.len().max(1);
        // What a kind does not need, nobody gave.
        fn of(numbers: Option<&[f32]>, index: usize, len: usize) -> &[f32] {
            numbers.and_then(|numbers| numbers.get(index * len..(index + 1) * len)).unwrap_or_default()
        }
        let score = |index: usize| {
            let seen = Observation {
                pixels: of(Some(pixels), index, image_len),
                distance: distances[index],
                latent: of(latents, index, self.latents.len()),
                reconstruction: of(reconstructions, index, image_len),
            };
            self.score(kind, seen)
        };
        (0..distances.len()).map(score).collect()
    }
}

impl Area {
    fn of(preprocessing: &Preprocessing) -> Self {
        let &Preprocessing { height, width, side, .. } = preprocessing;
        let (top, left) = (side.saturating_sub(height) / 2, side.saturating_sub(width) / 2);
        Self { side, rows: [top, top + height], columns: [left, left + width] }
    }

    /// The root of the mean squared difference of two images `[C, S, S]`, over this part of them.
    fn error(&self, pixels: &[f32], reconstruction: &[f32]) -> f32 {
        let &Self { side, rows: [top, bottom], columns: [left, right] } = self;
        let (mut sum, mut count) = (0.0_f64, 0.0_f64);
        for (row, (seen, made)) in pixels.chunks_exact(side).zip(reconstruction.chunks_exact(side)).enumerate() {
            if (top..bottom).contains(&(row % side)) {
                let differences = seen[left..right].iter().zip(&made[left..right]);
                sum += differences.map(|(seen, made)| f64::from(seen - made).powi(2)).sum::<f64>();
                count += (right - left) as f64;
            }
        }
        (sum / count.max(1.0)).sqrt() as f32
    }
}
