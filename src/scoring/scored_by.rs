//! What a model's images are scored by: the network's own distance, or what is made of all that it gives.

use std::sync::Arc;

use super::detector::{Scores, Wanted};
use crate::model::{ModelFile, NormalityModel, ScoreKind};

/// The kind of score, with what it takes.
#[derive(Clone)]
pub(crate) struct ScoredBy {
    kind: ScoreKind,
    /// None where it takes nothing but the network.
    normality: Option<Arc<NormalityModel>>,
}

impl ScoredBy {
    pub(crate) fn of(file: &ModelFile) -> Self {
        let normality = file.normality.clone().filter(|_| file.score != ScoreKind::Latent);
        Self { kind: file.score, normality }
    }

    /// What the network must give so that there is all that is wanted.
    pub(crate) fn needed(&self, wanted: Wanted) -> Wanted {
        let [reconstructions, latents] = self.kind.needs();
        Wanted { reconstructions: wanted.reconstructions || reconstructions, latents: wanted.latents || latents }
    }

    /// The images that are needed again once the network is done.
    pub(super) fn kept(&self, pixels: &[f32]) -> Option<Vec<f32>> {
        self.normality.is_some().then(|| pixels.to_vec())
    }

    /// From what the network gave to what is wanted.
    pub(crate) fn finished(&self, pixels: Option<&[f32]>, mut scores: Scores, wanted: Wanted) -> Scores {
        if let Some((normality, pixels)) = self.normality.as_ref().zip(pixels) {
            let Scores { scores: distances, reconstructions, latents } = &scores;
            scores.scores =
                normality.scores(self.kind, pixels, distances, latents.as_deref(), reconstructions.as_deref());
        }
        scores.reconstructions = scores.reconstructions.filter(|_| wanted.reconstructions);
        scores.latents = scores.latents.filter(|_| wanted.latents);
        scores
    }
}
