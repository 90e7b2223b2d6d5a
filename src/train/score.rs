//! Scores and reconstruction errors of many images, by a model on an executor.

use crate::data::Images;
use crate::engine::{EngineError, Executor, Graph, Pending, Program, ProgramId, Readback, Variables};
use crate::model::{EdeGan, Statistics};

use super::batches::in_batches;
use super::error::TrainError;

/// What scoring says of one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// Anomaly score `||z1 - z2||`; higher is more anomalous.
    pub score: f32,
    /// Mean absolute error of the reconstruction, of pixels in -1..1.
    pub reconstruction_l1: f32,
    /// Euclidean distance of image and reconstruction.
    pub reconstruction_l2: f32,
}

/// Names of the program's outputs.
const OUTPUTS: [&str; 3] = ["score", "reconstruction l1", "reconstruction l2"];

/// A generator loaded for scoring, in batches of a fixed size.
pub struct Scorer {
    program: ProgramId,
    batch: usize,
    side: usize,
}

impl Scorer {
    /// Loads the scoring program of `gan` for batches of `batch` images of `[C, H, W]`.
    pub fn new(
        executor: &mut dyn Executor,
        variables: &Variables,
        gan: &EdeGan,
        statistics: Statistics,
        batch: usize,
    ) -> Result<Self, TrainError> {
        let program = executor.load(Self::program(variables, gan, statistics, batch)?)?;
        Ok(Self { program, batch, side: gan.encoder1.spec.input[1] })
    }

    /// What it loads.
    ///
    /// # Errors
    /// Networks that do not go together.
    pub fn program(
        variables: &Variables,
        gan: &EdeGan,
        statistics: Statistics,
        batch: usize,
    ) -> Result<Program, EngineError> {
        let [channels, height, width] = gan.encoder1.spec.input;
        let mut graph = Graph::new();
        let images = graph.input("images", [batch, channels, height, width]);
        let scores = gan.score(&mut graph, variables, images, statistics.scoring())?;
        for (name, score) in OUTPUTS.into_iter().zip(scores) {
            graph.output(name, score);
        }
        Program::compile(&graph, variables)
    }

    /// Begins to score a whole batch of pixels in -1..1, `[batch, C, H, W]`: scores, then absolute and Euclidean
    /// reconstruction errors.
    pub fn score_pixels(&self, executor: &mut dyn Executor, pixels: &[f32]) -> Result<Pending, TrainError> {
        executor.input(self.program, "images", pixels)?;
        executor.run(self.program, 1)?;
        let outputs = OUTPUTS.map(|name| Readback::Output(self.program, name));
        Ok(executor.read(&outputs)?)
    }

    /// Scores the images with the given indices, in that order; `progress` hears how many are done.
    pub fn score(
        &self,
        executor: &mut dyn Executor,
        images: &Images,
        indices: &[usize],
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<Scored>, TrainError> {
        let pixels = |batch: &[usize]| Ok(images.to_signed_padded(batch, self.side)?);
        let mut all = Vec::with_capacity(indices.len());
        let take = |_, [scores, l1, l2]: [&[f32]; 3]| {
            let scored = scores.iter().zip(l1).zip(l2);
            all.extend(scored.map(|((&score, &l1), &l2)| Scored {
                score,
                reconstruction_l1: l1,
                reconstruction_l2: l2,
            }));
            progress(all.len());
            Ok(())
        };
        in_batches(executor, self.program, OUTPUTS, self.batch, indices, pixels, take)?;
        Ok(all)
    }
}
