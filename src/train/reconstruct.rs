//! Reconstructions of a few images, to look at.

use super::error::TrainError;
use super::model_file::Model;
use crate::data::Images;
use crate::engine::{Executor, Graph, Measure, Program, Readback};

/// What a model makes of some images, in the order they were named.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reconstructions {
    /// Values in -1..1, images x channels x side x side.
    pub pixels: Vec<f32>,
    /// Anomaly score of each image.
    pub scores: Vec<f32>,
}

/// Reconstructs the images with the given indices, a few dozen at most: all of them lie on the device at once.
///
/// # Errors
/// An index past the last image, images of another shape, and failures of the device.
pub fn reconstruct(
    executor: &mut dyn Executor,
    model: &Model,
    images: &Images,
    indices: &[usize],
) -> Result<Reconstructions, TrainError> {
    if indices.is_empty() {
        return Ok(Reconstructions::default());
    }
    let [channels, side, _] = model.gan.encoder1.spec.input;
    let mut graph = Graph::new();
    let input = graph.input("images", [indices.len(), channels, side, side]);
    let made = model.gan.generate(&mut graph, &model.variables, input, model.statistics.scoring())?;
    let score = graph.distance(made.latent, made.reconstruction_latent, Measure::L2)?;
    graph.output("reconstruction", made.reconstruction);
    graph.output("score", score);
    let program = executor.load(Program::compile(&graph, &model.variables)?)?;
    executor.input(program, "images", &images.to_signed_padded(indices, side)?)?;
    executor.run(program, 1)?;
    let outputs = ["reconstruction", "score"].map(|name| Readback::Output(program, name));
    let mut read = executor.read(&outputs)?.wait()?.into_iter();
    executor.unload(program);
    let (pixels, mut scores) = (read.next().unwrap_or_default(), read.next().unwrap_or_default());
    if let Some(others) = model.other_scores(executor, images, indices)? {
        scores = others;
    }
    Ok(Reconstructions { pixels, scores })
}
