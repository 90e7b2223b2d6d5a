use super::error::TrainError;
use super::model_file::Model;
use super::score::{Scored, Scorer};
use crate::calibration::{Calibration, CalibrationError};
use crate::data::{LabelledImages, OneClass};
use crate::engine::Executor;
use crate::metrics::{BestF1, auroc, average_precision, best_f1};
use crate::run::{Score, ThresholdReport};

/// How well a generator tells the test set's normal images from the others.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Area under the ROC curve, anomalous images as positives.
    pub auroc: f64,
    /// Average precision, anomalous images as positives.
    pub average_precision: f64,
    /// AUROC where the mean absolute error of the reconstruction is the score.
    pub reconstruction_auroc_l1: f64,
    /// AUROC where the Euclidean error of the reconstruction is the score.
    pub reconstruction_auroc_l2: f64,
    /// Mean absolute error of the reconstructions of normal images, of pixels in -1..1.
    pub reconstruction_l1_normal: f64,
    /// The same of a blank image in their place: what a dead decoder would reach.
    pub blank_l1_normal: f64,
    /// The best F1 of any threshold, chosen by the test labels.
    pub best_f1: BestF1,
    /// Score of every test image.
    pub scores: Vec<Score>,
}

/// Images to score at a time where there are many: enough to keep every core and most GPUs busy.
pub const SCORED_AT_ONCE: usize = 100;

/// The false-alarm rate that is promised unless another is asked for.
const ALPHA: f64 = 0.01;

impl Evaluation {
    /// Scores the whole test set with a model whose weights are on the executor; `progress` hears how many images are
    /// done.
    pub fn run(
        executor: &mut dyn Executor,
        model: &Model,
        test: &LabelledImages,
        split: &OneClass,
        progress: impl FnMut(usize),
    ) -> Result<Self, TrainError> {
        let scorer = Scorer::new(executor, &model.variables, &model.gan, model.statistics, SCORED_AT_ONCE)?;
        let scored = scorer.score(executor, &test.images, &split.test, progress)?;
        let alone = || TrainError::Settings("the test set has no anomalous image to tell from the normal ones".into());
        let labels: Vec<u8> = split.test.iter().map(|&index| test.labels[index]).collect();
        let parts = |of: fn(&Scored) -> f32| split.part_scores(&labels, &scored.iter().map(of).collect::<Vec<_>>());
        let area = |of: fn(&Scored) -> f32| {
            let (normal, anomalous) = parts(of);
            auroc(&normal, &anomalous)?.ok_or_else(alone)
        };
        let (normal, anomalous) = parts(|scored| scored.score);
        let (errors, _) = parts(|scored| scored.reconstruction_l1);
        let normals = split.test.iter().copied().filter(|&index| test.labels[index] == split.normal);
        let pixels = test.images.to_signed_padded(&normals.collect::<Vec<_>>(), model.gan.architecture.side)?;
        Ok(Self {
            auroc: area(|scored| scored.score)?,
            average_precision: average_precision(&normal, &anomalous)?.ok_or_else(alone)?,
            best_f1: best_f1(&normal, &anomalous)?.ok_or_else(alone)?,
            reconstruction_auroc_l1: area(|scored| scored.reconstruction_l1)?,
            reconstruction_auroc_l2: area(|scored| scored.reconstruction_l2)?,
            reconstruction_l1_normal: mean(errors.iter().map(|&error| error.into())),
            // Background is -1.
            blank_l1_normal: mean(pixels.iter().map(|&pixel| f64::from(pixel + 1.0).abs())),
            scores: split
                .test
                .iter()
                .zip(labels)
                .zip(&scored)
                .map(|((&index, label), scored)| Score { index: index as u32, label, score: scored.score })
                .collect(),
        })
    }

    /// What a calibration promises at a false-alarm rate of `alpha` (none for 0.01, or the smallest that it can promise
    /// where that is larger), and what comes of it on the test set, whose class `normal` is normal.
    ///
    /// # Errors
    /// A rate that makes no sense, or takes more images than there are.
    pub fn threshold(
        &self,
        calibration: &Calibration,
        alpha: Option<f64>,
        normal: u8,
    ) -> Result<ThresholdReport, CalibrationError> {
        let alpha = alpha.unwrap_or_else(|| ALPHA.max(calibration.least_alpha()));
        let threshold = calibration.threshold(alpha)?;
        let flagged = |wanted: bool| {
            let of_kind = self.scores.iter().filter(|score| (score.label == normal) == wanted);
            mean(of_kind.map(|score| f64::from(u8::from(score.score > threshold))).collect::<Vec<_>>().into_iter())
        };
        Ok(ThresholdReport {
            images: calibration.scores().len() as u64,
            alpha,
            threshold,
            false_alarm_rate: flagged(true),
            detection_rate: flagged(false),
        })
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let len = values.len().max(1) as f64;
    values.sum::<f64>() / len
}
