use serde::Serialize;

use crate::config::LossWeights;

/// The losses of a step, unweighted, or their means over several steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Losses {
    /// Cross-entropy of the discriminator on images and reconstructions, in nats.
    pub discriminator: f32,
    /// Mean absolute error of the reconstructions, of pixels in -1..1.
    pub reconstruction: f32,
    /// Mean squared distance of the two latent vectors.
    pub latent: f32,
    /// Cross-entropy of the discriminator's verdict on the reconstructions with "real", in nats.
    pub adversarial: f32,
}

impl Losses {
    /// Number of losses in a row of the history.
    pub(super) const COUNT: usize = 4;

    /// From a row of the history.
    pub(super) fn from_row(row: &[f32]) -> Self {
        let at = |i: usize| row.get(i).copied().unwrap_or(f32::NAN);
        Self { discriminator: at(0), reconstruction: at(1), latent: at(2), adversarial: at(3) }
    }

    /// Each with its name.
    pub fn named(&self) -> [(&'static str, f32); Self::COUNT] {
        [
            ("discriminator", self.discriminator),
            ("reconstruction", self.reconstruction),
            ("latent", self.latent),
            ("adversarial", self.adversarial),
        ]
    }

    /// What the generator minimises.
    pub fn generator(&self, weights: &LossWeights) -> f32 {
        weights.reconstruction as f32 * self.reconstruction
            + weights.latent as f32 * self.latent
            + weights.adversarial as f32 * self.adversarial
    }

    /// Means over several steps.
    pub fn mean(steps: &[Self]) -> Self {
        let mean = |of: fn(&Self) -> f32| steps.iter().map(of).sum::<f32>() / steps.len().max(1) as f32;
        Self {
            discriminator: mean(|losses| losses.discriminator),
            reconstruction: mean(|losses| losses.reconstruction),
            latent: mean(|losses| losses.latent),
            adversarial: mean(|losses| losses.adversarial),
        }
    }
}
