//! What of it stands in model files: tensors below `normality.`, and a metadata value.

use serde::{Deserialize, Serialize};

use super::combined::Combination;
use super::first_layer::FirstLayer;
use super::gaussians::{Grid, PlaceGaussians};
use super::latents::LatentBank;
use super::{Area, BaseScores, MAX_FITTED, NormalityModel, ScoreKind};
use crate::data::Preprocessing;
use crate::model::Architecture;
use crate::weights::{Weights, WeightsError};

/// How the tensors' names begin.
const PREFIX: &str = "normality.";
const LATENTS: &str = "normality.latents";
const MEANS: &str = "normality.feature_means";
const WHITENING: &str = "normality.feature_whitening";
/// Scores of held-out images, a row for each kind of [`ScoreKind::BASE`].
const SCORES: &str = "normality.scores";
/// The metadata key.
const KEY: &str = "normality";

/// The metadata value.
#[derive(Serialize, Deserialize)]
struct Described {
    /// The kinds of score that the rows of the held-out images' scores are of.
    scores: Vec<ScoreKind>,
    /// The layer that features are of.
    features: String,
    /// The score that tells painted defects best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    favoured: Option<ScoreKind>,
}

/// Most numbers that the tensors of a model can hold, with so many held-out images.
pub(in crate::model) fn max_numbers(architecture: &Architecture, held_out: u64) -> u64 {
    let spec = architecture.encoder("encoder1");
    let [channels, side, _] = spec.layer_inputs().nth(1).map_or(spec.output(), |(_, input)| input);
    let grid = Grid::new(side, channels);
    let features = side * side * grid.channels + grid.cells() * grid.triangle();
    (MAX_FITTED * architecture.latents + features) as u64 + ScoreKind::BASE.len() as u64 * held_out
}

/// Takes away what is not a network's.
pub(in crate::model) fn remove(weights: &mut Weights) {
    weights.tensors.retain(|name, _| !name.starts_with(PREFIX));
}

impl NormalityModel {
    /// Adds what a file holds of it.
    pub(in crate::model) fn insert_into(&self, weights: &mut Weights) {
        let grid = self.gaussians.grid;
        let vectors = self.latents.numbers().len() / self.latents.len();
        weights.insert(LATENTS, &[vectors, self.latents.len()], self.latents.numbers().to_vec());
        weights.insert(MEANS, &[grid.side, grid.side, grid.channels], self.gaussians.means.clone());
        weights.insert(WHITENING, &[grid.cells(), grid.triangle()], self.gaussians.whitening.clone());
        let held_out = self.combination.held_out();
        let rows = ScoreKind::BASE.iter().flat_map(|kind| held_out.iter().map(|scores| scores[kind.index()]));
        weights.insert(SCORES, &[ScoreKind::BASE.len(), held_out.len()], rows.collect());
        let described =
            Described { scores: ScoreKind::BASE.to_vec(), features: "encoder1.conv1".into(), favoured: self.favoured };
        weights.metadata.insert(KEY.into(), serde_json::json!(described).to_string());
    }

    /// Takes what a file holds of it out of its tensors; none where the file has none.
    ///
    /// # Errors
    /// Tensors that are missing, of another shape or not finite, and scores that this program does not compute.
    pub(in crate::model) fn take_from(
        weights: &mut Weights,
        architecture: &Architecture,
        preprocessing: &Preprocessing,
    ) -> Result<Option<Self>, WeightsError> {
        let Some(said) = weights.metadata.get(KEY) else {
            return Ok(None);
        };
        let path = weights.origin.clone();
        let foreign = |message: String| WeightsError::Damaged { path: path.clone(), message };
        let described: Described =
            serde_json::from_str(said).map_err(|error| foreign(format!("metadata `{KEY}`: {error}")))?;
        if described.scores != ScoreKind::BASE || described.features != "encoder1.conv1" {
            return Err(foreign(format!("metadata `{KEY}`: scores or features that this program does not compute")));
        }
        let first_layer = FirstLayer::of(architecture, weights)?;
        let grid = Grid::of(&first_layer);
        // How many vectors and images there are, the file says.
        let rows =
            |name: &str, axis: usize| weights.tensors.get(name).and_then(|tensor| tensor.shape.get(axis)).copied();
        let vectors = rows(LATENTS, 0).filter(|count| (1..=MAX_FITTED).contains(count));
        let vectors = vectors.ok_or_else(|| foreign(format!("tensor `{LATENTS}` has not 1 to {MAX_FITTED} rows")))?;
        let images = rows(SCORES, 1).unwrap_or_default();
        let latents = weights.take(LATENTS, &[vectors, architecture.latents])?;
        let means = weights.take(MEANS, &[grid.side, grid.side, grid.channels])?;
        let whitening = weights.take(WHITENING, &[grid.cells(), grid.triangle()])?;
        let scores = weights.take(SCORES, &[ScoreKind::BASE.len(), images])?;
        for (name, values) in [(LATENTS, &latents), (MEANS, &means), (WHITENING, &whitening)] {
            if values.iter().any(|value| !value.is_finite()) {
                return Err(foreign(format!("tensor `{name}` has a value that is not finite")));
            }
        }
        // A score is a distance.
        if let Some(score) = scores.iter().find(|&&score| score < 0.0) {
            return Err(foreign(format!("tensor `{SCORES}`: {score} is no score, which is at least 0")));
        }
        let of_image =
            |image: usize| -> BaseScores { ScoreKind::BASE.map(|kind| scores[kind.index() * images + image]) };
        let combination = Combination::new(&(0..images).map(of_image).collect::<Vec<_>>());
        Ok(Some(Self {
            first_layer,
            gaussians: PlaceGaussians { grid, means, whitening },
            latents: LatentBank::new(architecture.latents, latents),
            combination: combination.map_err(|error| foreign(format!("tensor `{SCORES}`: {error}")))?,
            area: Area::of(preprocessing),
            favoured: described.favoured,
        }))
    }
}
