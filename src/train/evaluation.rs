use super::error::TrainError;
use super::score::Scorer;
use crate::config::Config;
use crate::data::{LabelledImages, OneClass};
use crate::engine::{Executor, Variables};
use crate::metrics::{auroc, average_precision};
use crate::model::EdeGan;
use crate::run::Score;

/// How well a generator tells the test set's normal images from the others.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Area under the ROC curve, anomalous images as positives.
    pub auroc: f64,
    /// Average precision, anomalous images as positives.
    pub average_precision: f64,
    /// Mean absolute error of the reconstructions of normal images, of pixels in -1..1.
    pub reconstruction_l1_normal: f64,
    /// The same of a blank image in their place: what a dead decoder would reach.
    pub blank_l1_normal: f64,
    /// Score of every test image.
    pub scores: Vec<Score>,
}

/// Images scored at a time: enough to keep every core and most GPUs busy.
const BATCH: usize = 100;

impl Evaluation {
    /// Scores the whole test set with the networks on the executor; `progress` hears how many images
    /// are done.
    pub fn run(
        executor: &mut dyn Executor,
        variables: &Variables,
        gan: &EdeGan,
        config: &Config,
        test: &LabelledImages,
        split: &OneClass,
        progress: impl FnMut(usize),
    ) -> Result<Self, TrainError> {
        let indices: Vec<usize> = split.test.clone().collect();
        let scorer = Scorer::new(executor, variables, gan, config, BATCH)?;
        let scored = scorer.score(executor, &test.images, &indices, progress)?;
        let values: Vec<f32> = scored.iter().map(|scored| scored.score).collect();
        let (normal, anomalous) = split.part_scores(&test.labels, &values);
        let alone = || TrainError::Settings("the test set has no anomalous image to tell from the normal ones".into());

        let is_normal = |&index: &usize| test.labels[index] == split.normal;
        let errors = indices.iter().zip(&scored).filter(|(index, _)| is_normal(index));
        let errors: Vec<f64> = errors.map(|(_, scored)| scored.reconstruction_error.into()).collect();
        let normals: Vec<usize> = indices.iter().copied().filter(is_normal).collect();
        let pixels = test.images.to_signed_padded(&normals, config.data.side)?;
        Ok(Self {
            auroc: auroc(&normal, &anomalous)?.ok_or_else(alone)?,
            average_precision: average_precision(&normal, &anomalous)?.ok_or_else(alone)?,
            reconstruction_l1_normal: mean(errors.into_iter()),
            // Background is -1.
            blank_l1_normal: mean(pixels.iter().map(|&pixel| f64::from(pixel + 1.0).abs())),
            scores: indices
                .iter()
                .zip(&values)
                .map(|(&index, &score)| Score { index: index as u32, label: test.labels[index], score })
                .collect(),
        })
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let len = values.len().max(1) as f64;
    values.sum::<f64>() / len
}
