//! How well a trained generator tells normal images from others. The metrics are `metrics.rs`'s.

use super::error::TrainError;
use super::model_file::Model;
use super::score::{Scored, Scorer};
use crate::calibration::{Calibration, CalibrationError};
use crate::data::{Images, LabelledImages, OneClass};
use crate::engine::Executor;
use crate::metrics::{BestF1, auroc, average_precision, best_f1};
use crate::model::Architecture;
use crate::run::{Score, ThresholdReport};

/// How well a generator tells the normal evaluation images from the others. What takes anomalous images is absent
/// where there are none.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Area under the ROC curve, anomalous images as positives.
    pub auroc: Option<f64>,
    /// Average precision, anomalous images as positives.
    pub average_precision: Option<f64>,
    /// AUROC where the mean absolute error of the reconstruction is the score.
    pub reconstruction_auroc_l1: Option<f64>,
    /// AUROC where the Euclidean error of the reconstruction is the score.
    pub reconstruction_auroc_l2: Option<f64>,
    /// Mean absolute error of the reconstructions of normal images, of pixels in -1..1.
    pub reconstruction_l1_normal: f64,
    /// The same of the best image of one colour in their place, the background of a digit: what a dead decoder would
    /// reach.
    pub blank_l1_normal: f64,
    /// The best F1 of any threshold, chosen by the test labels.
    pub best_f1: Option<BestF1>,
    /// Score of every test image.
    pub scores: Vec<Score>,
}

/// Images to score at a time where there are many: enough to keep every core and most GPUs busy.
pub const SCORED_AT_ONCE: usize = 100;

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
        let mut scored = scorer.score(executor, &test.images, &split.test, progress)?;
        let others = model.other_scores(executor, &test.images, &split.test)?;
        for (scored, other) in scored.iter_mut().zip(others.iter().flatten()) {
            scored.score = *other;
        }
        let labels: Vec<u8> = split.test.iter().map(|&index| test.labels[index]).collect();
        let parts = |of: fn(&Scored) -> f32| split.part_scores(&labels, &scored.iter().map(of).collect::<Vec<_>>());
        let area = |of: fn(&Scored) -> f32| {
            let (normal, anomalous) = parts(of);
            auroc(&normal, &anomalous)
        };
        let (normal, anomalous) = parts(|scored| scored.score);
        let (errors, _) = parts(|scored| scored.reconstruction_l1);
        let normals = split.test.iter().copied().filter(|&index| test.labels[index] == split.normal);
        Ok(Self {
            auroc: area(|scored| scored.score)?,
            average_precision: average_precision(&normal, &anomalous)?,
            best_f1: best_f1(&normal, &anomalous)?,
            reconstruction_auroc_l1: area(|scored| scored.reconstruction_l1)?,
            reconstruction_auroc_l2: area(|scored| scored.reconstruction_l2)?,
            reconstruction_l1_normal: mean(errors.iter().map(|&error| error.into())),
            blank_l1_normal: constant_image_error(&test.images, normals, &model.gan.architecture)?,
            scores: split
                .test
                .iter()
                .zip(labels)
                .zip(&scored)
                .map(|((&index, label), scored)| {
                    let p_value = model.calibration.as_ref().map(|of| of.p_value(scored.score)).transpose()?;
                    Ok(Score { index: index as u32, label, score: scored.score, p_value })
                })
                .collect::<Result<_, CalibrationError>>()?,
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
        let alpha = alpha.unwrap_or_else(|| calibration.default_alpha());
        let threshold = calibration.threshold(alpha)?;
        // Without anomalous images the calibration images are evaluated, of which the share is known beforehand.
        let has_anomalies = self.auroc.is_some();
        let flagged = |wanted: bool| {
            let of_kind = self.scores.iter().filter(|score| (score.label == normal) == wanted);
            let flags = of_kind.map(|score| f64::from(u8::from(score.score > threshold)));
            has_anomalies.then(|| mean(flags.collect::<Vec<_>>().into_iter()))
        };
        let scores = calibration.scores();
        Ok(ThresholdReport {
            images: scores.len() as u64,
            quartiles: [0, 1, 2, 3, 4].map(|quarter| scores[quarter * (scores.len() - 1) / 4]),
            alpha,
            threshold,
            false_alarm_rate: flagged(true),
            detection_rate: flagged(false),
        })
    }
}

/// Mean absolute error, of pixels in -1..1, that images leave to the best image of one colour: in each channel the
/// median.
fn constant_image_error(
    images: &Images,
    indices: impl Iterator<Item = usize>,
    architecture: &Architecture,
) -> Result<f64, TrainError> {
    let Architecture { channels, side, .. } = *architecture;
    let mut counts = vec![[0_u64; 256]; channels];
    let mut square = vec![0; channels * side * side];
    for index in indices {
        images.padded(index, side, &mut square)?;
        for (counts, plane) in counts.iter_mut().zip(square.chunks_exact(side * side)) {
            for &byte in plane {
                counts[usize::from(byte)] += 1;
            }
        }
    }
    let pixels: u64 = counts.as_flattened().iter().sum();
    let sum = |counts: &[u64; 256]| {
        let half = counts.iter().sum::<u64>() / 2;
        let mut below = 0;
        let median = counts.iter().position(|count| {
            below += count;
            below > half
        });
        let median = median.unwrap_or_default();
        counts.iter().enumerate().map(|(value, &count)| count as f64 * value.abs_diff(median) as f64).sum::<f64>()
    };
    Ok(counts.iter().map(sum).sum::<f64>() / 127.5 / pixels.max(1) as f64)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let len = values.len().max(1) as f64;
    values.sum::<f64>() / len
}
