//! Fits what further scores of a trained network take: to training images, calibrated on held-out ones. On own pictures
//! it also finds out which score tells painted defects best.

use std::sync::Arc;

use super::Data;
use super::sensitivity::PaintedAuroc;
use crate::config::Config;
use crate::data::{Images, at_most};
use crate::engine::{Executor, Variables};
use crate::model::{BaseScores, EdeGan, MAX_FITTED, ModelFile, NormalityModel, ScoreKind, Statistics};
use crate::run::BETTER;
use crate::sensitivity::DefectSet;
use crate::train::{TrainError, observe};

/// A trained network on an executor: its variables, networks, and how its norms work when it scores.
type Network<'a> = (&'a Variables, &'a EdeGan, Statistics);

/// The model with what its further scores take, scoring by the kind that the configuration says. There must be held-out
/// images.
///
/// # Errors
/// Images that cannot be read, scores that are not finite, and failures of the device.
pub(super) fn with_normality(
    config: &Config,
    model: ModelFile,
    executor: &mut dyn Executor,
    network: Network,
    data: &Data,
) -> Result<ModelFile, TrainError> {
    let (images, held_out) = (&data.train.images, &data.split.calibration);
    let training = at_most(&data.split.train, MAX_FITTED);
    let mut latents = Vec::new();
    observe(executor, network, images, &training, |seen| latents.extend_from_slice(seen.latent))?;
    let pixels = images.to_signed_padded(&training, model.architecture.side)?;
    let ModelFile { architecture, weights, preprocessing, .. } = &model;
    let mut normality = NormalityModel::fit(architecture, weights, preprocessing, &pixels, latents)?;
    let normal = base_scores(&normality, executor, network, images, held_out)?;
    normality.calibrate(&normal)?;
    if data.own.is_some() {
        let painted = DefectSet::new(images, held_out, config.training.seed)?.images;
        let all: Vec<usize> = (0..painted.count()).collect();
        let painted = base_scores(&normality, executor, network, &painted, &all)?;
        let area = |kind: ScoreKind| -> Result<f64, TrainError> {
            let of = |base: &[BaseScores]| base.iter().map(|base| normality.score_of(kind, base)).collect::<Vec<_>>();
            Ok(PaintedAuroc::new(&of(&normal), &of(&painted))?.mean())
        };
        // A little better is chance. Then the one that has some of each is safer.
        let mut best = (ScoreKind::Combined, area(ScoreKind::Combined)? + BETTER);
        for kind in ScoreKind::BASE {
            let area = area(kind)?;
            if area > best.1 {
                best = (kind, area);
            }
        }
        normality.favour(best.0);
    }
    let kind = config.scoring.score.kind(normality.favoured(), data.own.is_some());
    Ok(ModelFile { normality: Some(Arc::new(normality)), ..model }.scored_by(kind)?)
}

fn base_scores(
    normality: &NormalityModel,
    executor: &mut dyn Executor,
    network: Network,
    images: &Images,
    indices: &[usize],
) -> Result<Vec<BaseScores>, TrainError> {
    let mut scores = Vec::with_capacity(indices.len());
    observe(executor, network, images, indices, |seen| scores.push(normality.base_scores(seen)))?;
    Ok(scores)
}
