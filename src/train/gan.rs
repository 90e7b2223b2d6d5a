//! The losses of an encoder-decoder-encoder GAN and the updates that follow from them, as graphs.

use crate::config::LossWeights;
use crate::engine::{Activation, AdamGroups, AdamSettings, EngineError, Graph, Measure, Tensor, Variables};
use crate::model::{EdeGan, Generated, NormMode, Statistics};

/// A network's optimizer: what it works on, and when.
pub(super) struct Optimizer<'a> {
    pub groups: AdamGroups,
    pub settings: &'a AdamSettings,
    /// Steps taken, and the table by step.
    pub clock_and_table: [Tensor; 2],
}

impl Optimizer<'_> {
    /// Adds the gradients of `loss` by the network's parameters and their update.
    pub(super) fn update(&self, graph: &mut Graph, variables: &Variables, loss: Tensor) -> Result<(), EngineError> {
        let parameters: Vec<Tensor> =
            variables.of(self.groups.parameters).map(|variable| graph.variable(variables, variable)).collect();
        let gradients = graph.gradients(loss, &parameters)?;
        graph.adam(variables, self.groups, self.settings, self.clock_and_table, &gradients)
    }
}

/// The terms of a generator's own loss, unweighted scalars.
pub(super) struct GeneratorLosses {
    pub reconstruction: Tensor,
    pub latent: Tensor,
    pub adversarial: Tensor,
}

impl GeneratorLosses {
    /// The weighted terms.
    pub(super) fn terms(&self, weights: &LossWeights) -> [(Tensor, f64); 3] {
        [
            (self.reconstruction, weights.reconstruction),
            (self.latent, weights.latent),
            (self.adversarial, weights.adversarial),
        ]
    }
}

/// Adds the discriminator's loss on images and reconstructions, and its update; returns the loss.
///
/// The discriminator sees both as one batch of two sets: each is normed by its own statistics, and the mean over both
/// is (BCE(D(x), real) + BCE(D(x'), fake)) / 2.
pub(super) fn train_discriminator(
    graph: &mut Graph,
    variables: &Variables,
    gan: &EdeGan,
    images: Tensor,
    made: &Generated,
    optimizer: &Optimizer,
) -> Result<Tensor, EngineError> {
    let [batch, ..] = graph.shape(images);
    let fakes = graph.detach(made.reconstruction);
    let both = graph.batch_concat(images, fakes)?;
    let logits = gan.discriminator.forward(graph, variables, both, NormMode::Batch { sets: 2 })?;
    let truth = graph.constant([2 * batch, 1, 1, 1], &[vec![1.0; batch], vec![0.0; batch]].concat())?;
    let loss = cross_entropy(graph, logits, truth)?;
    optimizer.update(graph, variables, loss)?;
    Ok(loss)
}

/// Adds the generator's own losses, against the discriminator as it is now.
pub(super) fn generator_losses(
    graph: &mut Graph,
    variables: &Variables,
    gan: &EdeGan,
    images: Tensor,
    made: &Generated,
) -> Result<GeneratorLosses, EngineError> {
    let [batch, ..] = graph.shape(images);
    let logits = gan.discriminator.forward(graph, variables, made.reconstruction, NormMode::Batch { sets: 1 })?;
    let real = graph.constant([batch, 1, 1, 1], &vec![1.0; batch])?;
    Ok(GeneratorLosses {
        adversarial: cross_entropy(graph, logits, real)?,
        reconstruction: mean_distance(graph, images, made.reconstruction, Measure::L1)?,
        latent: mean_distance(graph, made.latent, made.reconstruction_latent, Measure::MeanSquared)?,
    })
}

/// Adds what teaches the second encoder alone: the same latent distance, whose gradient reaches neither the first encoder nor
/// the decoder. Running averages follow the images once already.
pub(super) fn second_encoder_loss(
    graph: &mut Graph,
    variables: &Variables,
    gan: &EdeGan,
    made: &Generated,
    statistics: Statistics,
) -> Result<Tensor, EngineError> {
    let [reconstruction, latent] = [made.reconstruction, made.latent].map(|x| graph.detach(x));
    let sets = if statistics == Statistics::PerImage { graph.shape(latent)[0] } else { 1 };
    let again = gan.encoder2.forward(graph, variables, reconstruction, NormMode::Batch { sets })?;
    mean_distance(graph, latent, again, Measure::MeanSquared)
}

/// Adds what the latent distances of pseudo-anomalies lack to a margin: `mean max(0, margin - mean (z1 - z2)^2)`.
pub(super) fn pseudo_anomaly_loss(graph: &mut Graph, made: &Generated, margin: f64) -> Result<Tensor, EngineError> {
    let distances = graph.distance(made.latent, made.reconstruction_latent, Measure::MeanSquared)?;
    let shape = graph.shape(distances);
    let margin = graph.constant(shape, &vec![margin as f32; shape[0]])?;
    let lacking = graph.sub(margin, distances)?;
    let lacking = graph.activation(lacking, Activation::Relu)?;
    graph.mean(lacking)
}

/// The weighted sum of scalars. Terms of weight 0 are left out, unless all are.
pub(super) fn weighted_sum(graph: &mut Graph, terms: &[(Tensor, f64)]) -> Result<Tensor, EngineError> {
    let mut total = None;
    for &(term, weight) in terms.iter().filter(|(_, weight)| *weight != 0.0) {
        let weighted = graph.scale(term, weight as f32)?;
        total = Some(match total {
            Some(total) => graph.add(total, weighted)?,
            None => weighted,
        });
    }
    match (total, terms) {
        (Some(total), _) => Ok(total),
        (None, &[(term, _), ..]) => graph.scale(term, 0.0),
        (None, []) => Ok(graph.scalar(0.0)),
    }
}

/// The mean over a batch of the distance of each pair.
pub(super) fn mean_distance(graph: &mut Graph, a: Tensor, b: Tensor, measure: Measure) -> Result<Tensor, EngineError> {
    let each = graph.distance(a, b, measure)?;
    graph.mean(each)
}

fn cross_entropy(graph: &mut Graph, logits: Tensor, truth: Tensor) -> Result<Tensor, EngineError> {
    let each = graph.bce_with_logits(logits, truth)?;
    graph.mean(each)
}
