//! What a generator makes of many images, for the scores that take more than the distance of latent vectors.

use super::batches::in_batches;
use super::error::TrainError;
use super::evaluation::SCORED_AT_ONCE;
use super::model_file::Model;
use crate::data::Images;
use crate::engine::{Executor, Graph, Program, Variables};
use crate::model::{BaseScores, EdeGan, Observation, ScoreKind, Statistics};

/// Names of the program's outputs.
const OUTPUTS: [&str; 3] = ["score", "latents", "reconstruction"];

/// Shows `take` what a generator, whose weights are on the executor, makes of the images at `indices`, in that order.
///
/// # Errors
/// An index past the last image, images of another shape, and failures of the device.
pub fn observe(
    executor: &mut dyn Executor,
    (variables, gan, statistics): (&Variables, &EdeGan, Statistics),
    images: &Images,
    indices: &[usize],
    mut take: impl FnMut(Observation),
) -> Result<(), TrainError> {
    let [channels, side, _] = gan.encoder1.spec.input;
    let mut graph = Graph::new();
    let input = graph.input("images", [SCORED_AT_ONCE, channels, side, side]);
    let (score, made) = gan.score_with(&mut graph, variables, input, statistics.scoring())?;
    for (name, tensor) in OUTPUTS.into_iter().zip([score, made.latent, made.reconstruction]) {
        graph.output(name, tensor);
    }
    let program = executor.load(Program::compile(&graph, variables)?)?;
    let pixels = |batch: &[usize]| Ok(images.to_signed_padded(batch, side)?);
    let len = channels * side * side;
    let mut each = |done: usize, [scores, latents, reconstructions]: [&[f32]; 3]| {
        let seen = pixels(&indices[done..done + scores.len()])?;
        let latents = latents.chunks_exact(gan.architecture.latents);
        let made = latents.zip(reconstructions.chunks_exact(len));
        for ((&distance, pixels), (latent, reconstruction)) in scores.iter().zip(seen.chunks_exact(len)).zip(made) {
            take(Observation { pixels, distance, latent, reconstruction });
        }
        Ok(())
    };
    let observed = in_batches(executor, program, OUTPUTS, SCORED_AT_ONCE, indices, pixels, &mut each);
    executor.unload(program);
    observed
}

impl Model {
    /// All scores of the images at `indices` but the combined one, in that order; none where only the distance of latent
    /// vectors was fitted.
    ///
    /// # Errors
    /// As of [`observe`].
    pub fn base_scores(
        &self,
        executor: &mut dyn Executor,
        images: &Images,
        indices: &[usize],
    ) -> Result<Option<Vec<BaseScores>>, TrainError> {
        let Some(normality) = &self.normality else { return Ok(None) };
        let mut scores = Vec::with_capacity(indices.len());
        let networks = (&self.variables, &self.gan, self.statistics);
        observe(executor, networks, images, indices, |seen| scores.push(normality.base_scores(seen)))?;
        Ok(Some(scores))
    }

    /// The scores of the images at `indices` by the kind that the model scores by; none where that is the distance of latent
    /// vectors.
    ///
    /// # Errors
    /// As of [`observe`].
    pub(super) fn other_scores(
        &self,
        executor: &mut dyn Executor,
        images: &Images,
        indices: &[usize],
    ) -> Result<Option<Vec<f32>>, TrainError> {
        let normality = self.normality.as_ref().filter(|_| self.score != ScoreKind::Latent);
        let Some(normality) = normality else { return Ok(None) };
        let base = self.base_scores(executor, images, indices)?.unwrap_or_default();
        Ok(Some(base.iter().map(|base| normality.score_of(self.score, base)).collect()))
    }
}
