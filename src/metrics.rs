//! How well scores part normal images from anomalous ones. A higher score means more anomalous.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why scores could not be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MetricError {
    /// A score of a normal image is NaN; its place among the normal scores.
    #[error("score {0} of the normal images is not a number; the network diverged or its weights are damaged")]
    NormalNan(usize),
    /// A score of an anomalous image is NaN; its place among the anomalous scores.
    #[error("score {0} of the anomalous images is not a number; the network diverged or its weights are damaged")]
    AnomalousNan(usize),
}

/// Area under the receiver operating characteristic: the chance that an anomalous image scores higher than a normal
/// one, ties counting half (the Mann-Whitney statistic). Counted in integers; O(n log n). In [0, 1], `None` when either
/// class is empty.
///
/// # Errors
/// A NaN score; infinities are ranked like any number.
pub fn auroc(normal: &[f32], anomalous: &[f32]) -> Result<Option<f64>, MetricError> {
    let ranked = rank(normal, anomalous)?;
    let (mut below, mut half_wins) = (0_u128, 0_u128);
    for (ties_normal, ties_anomalous) in tie_groups(&ranked) {
        half_wins += ties_anomalous * (2 * below + ties_normal);
        below += ties_normal;
    }
    let half_pairs = 2 * normal.len() as u128 * anomalous.len() as u128;
    Ok((half_pairs > 0).then(|| half_wins as f64 / half_pairs as f64))
}

/// Average precision with the anomalous images as positives: the sum over the thresholds, from the highest score down,
/// of precision times the recall gained, equal scores making one threshold. In [0, 1], `None` when either class is
/// empty.
///
/// # Errors
/// A NaN score; infinities are ranked like any number.
pub fn average_precision(normal: &[f32], anomalous: &[f32]) -> Result<Option<f64>, MetricError> {
    let ranked = rank(normal, anomalous)?;
    if normal.is_empty() || anomalous.is_empty() {
        return Ok(None);
    }
    let (mut found, mut flagged, mut sum) = (0_u128, 0_u128, 0.0);
    for (ties_normal, ties_anomalous) in tie_groups(&ranked).rev() {
        found += ties_anomalous;
        flagged += ties_anomalous + ties_normal;
        sum += ties_anomalous as f64 * (found as f64 / flagged as f64);
    }
    Ok(Some(sum / anomalous.len() as f64))
}

/// What is called anomalous from some score up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OperatingPoint {
    /// That score.
    pub score: f32,
    /// Normal images with it or a higher one: false alarms.
    pub false_alarms: usize,
    /// Anomalous images with it or a higher one.
    pub detected: usize,
}

/// An operating point for each score that there is, from the highest down: the points of the ROC and the
/// precision-recall curve.
///
/// # Errors
/// A NaN score; infinities are ranked like any number.
pub fn operating_points(normal: &[f32], anomalous: &[f32]) -> Result<Vec<OperatingPoint>, MetricError> {
    let ranked = rank(normal, anomalous)?;
    let (mut false_alarms, mut detected) = (0, 0);
    let points = ranked.chunk_by(|a, b| a.0 == b.0).rev().map(|ties| {
        let anomalous = ties.iter().filter(|(_, anomalous)| *anomalous).count();
        detected += anomalous;
        false_alarms += ties.len() - anomalous;
        OperatingPoint { score: ties[0].0, false_alarms, detected }
    });
    Ok(points.collect())
}

/// The best F1 that any threshold reaches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BestF1 {
    /// Harmonic mean of precision and recall, anomalous images as positives, in (0, 1].
    pub f1: f64,
    /// Images that score above it are taken for anomalous.
    pub threshold: f32,
}

/// The best F1 over all thresholds, with the highest threshold that reaches it. Compared in integers; O(n log n). The
/// threshold is chosen by the labels, so the figure is a bound on what can be had without them, not a forecast. `None`
/// when either class is empty.
///
/// # Errors
/// A NaN score; infinities are ranked like any number.
pub fn best_f1(normal: &[f32], anomalous: &[f32]) -> Result<Option<BestF1>, MetricError> {
    let ranked = rank(normal, anomalous)?;
    if normal.is_empty() || anomalous.is_empty() {
        return Ok(None);
    }
    // F1 is 2 found / (flagged + all anomalous).
    let (mut found, mut flagged) = (0_u128, 0_u128);
    let (mut best, mut lowest) = ((0_u128, 1_u128), f32::INFINITY);
    for ties in ranked.chunk_by(|a, b| a.0 == b.0).rev() {
        found += ties.iter().filter(|(_, anomalous)| *anomalous).count() as u128;
        flagged += ties.len() as u128;
        let candidate = (found, flagged + anomalous.len() as u128);
        if candidate.0 * best.1 > best.0 * candidate.1 {
            (best, lowest) = (candidate, ties[0].0);
        }
    }
    Ok(Some(BestF1 { f1: 2.0 * best.0 as f64 / best.1 as f64, threshold: lowest.next_down() }))
}

/// All scores in ascending order, each with whether it is an anomalous image's.
fn rank(normal: &[f32], anomalous: &[f32]) -> Result<Vec<(f32, bool)>, MetricError> {
    let nan = |scores: &[f32]| scores.iter().position(|score| score.is_nan());
    if let Some(place) = nan(normal) {
        return Err(MetricError::NormalNan(place));
    }
    if let Some(place) = nan(anomalous) {
        return Err(MetricError::AnomalousNan(place));
    }
    let mut ranked: Vec<_> = normal.iter().map(|&s| (s, false)).chain(anomalous.iter().map(|&s| (s, true))).collect();
    ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    Ok(ranked)
}

/// How many normal and anomalous images share each score, from the lowest score up.
fn tie_groups(ranked: &[(f32, bool)]) -> impl DoubleEndedIterator<Item = (u128, u128)> {
    ranked.chunk_by(|a, b| a.0 == b.0).map(|ties| {
        let anomalous = ties.iter().filter(|(_, anomalous)| *anomalous).count();
        ((ties.len() - anomalous) as u128, anomalous as u128)
    })
}
