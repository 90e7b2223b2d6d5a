use crate::config::Statistics;
use crate::data::Images;
use crate::engine::{EngineError, Executor, Graph, Pending, Program, ProgramId, Readback, Variables};
use crate::model::EdeGan;

use super::error::TrainError;
use super::step::scoring_mode;

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

/// Batches on their way at once: the device works on one while the next is prepared.
const IN_FLIGHT: usize = 2;

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
        let scores = gan.score(&mut graph, variables, images, scoring_mode(statistics))?;
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
        let mut scored = Vec::with_capacity(indices.len());
        let mut waiting: std::collections::VecDeque<(usize, Pending)> = Default::default();
        let mut batches = indices.chunks(self.batch);
        loop {
            let batch = batches.next();
            if let Some(batch) = batch {
                // The last batch is filled up with its last image, whose further scores are dropped.
                let mut filled = batch.to_vec();
                filled.resize(self.batch, batch[batch.len() - 1]);
                let pixels = images.to_signed_padded(&filled, self.side)?;
                waiting.push_back((batch.len(), self.score_pixels(executor, &pixels)?));
            }
            if waiting.len() >= IN_FLIGHT || batch.is_none() {
                let Some((len, pending)) = waiting.pop_front() else { return Ok(scored) };
                let values = pending.wait()?;
                scored.extend((0..len).map(|image| Scored {
                    score: values[0][image],
                    reconstruction_l1: values[1][image],
                    reconstruction_l2: values[2][image],
                }));
                progress(scored.len());
            }
        }
    }
}
