//! The scale of heat maps as tensors of a model file.

use super::Architecture;
use crate::anomaly_map::MapScale;
use crate::data::Preprocessing;
use crate::weights::{Weights, WeightsError};

/// Mean and deviation of each place, `[H, W]`, and the maxima of held-out images, ascending.
const NAMES: [&str; 3] = ["map.mean", "map.deviation", "map.maxima"];

/// Most numbers that mean and deviation of all places can be.
pub(super) fn most_values(architecture: &Architecture) -> u64 {
    2 * (architecture.side * architecture.side) as u64
}

/// Takes the tensors of a scale away, where there are any.
pub(super) fn remove(weights: &mut Weights) {
    NAMES.iter().for_each(|&name| drop(weights.tensors.remove(name)));
}

/// The scale that a file holds; none of a model without one.
///
/// # Errors
/// Tensors that are missing beside others, of another shape than the model's pictures, or no scale.
pub(super) fn take(weights: &mut Weights, preprocessing: &Preprocessing) -> Result<Option<MapScale>, WeightsError> {
    if NAMES.iter().all(|&name| !weights.tensors.contains_key(name)) {
        return Ok(None);
    }
    let size = [preprocessing.height, preprocessing.width];
    let [mean, deviation, maxima] = NAMES;
    let count = weights.tensors.get(maxima).map_or(0, |tensor| tensor.values.len());
    let [mean, deviation, maxima] =
        [weights.take(mean, &size)?, weights.take(deviation, &size)?, weights.take(maxima, &[count])?];
    let scale = MapScale::new(size, mean, deviation, maxima);
    let foreign =
        |error| WeightsError::Damaged { path: weights.origin.clone(), message: format!("tensors `map.*`: {error}") };
    scale.map(Some).map_err(foreign)
}

/// Adds the tensors of a scale.
pub(super) fn insert(weights: &mut Weights, scale: &MapScale) {
    let [mean, deviation, maxima] = NAMES;
    weights.insert(mean, &scale.size(), scale.mean().to_vec());
    weights.insert(deviation, &scale.size(), scale.deviation().to_vec());
    weights.insert(maxima, &[scale.maxima().len()], scale.maxima().to_vec());
}
