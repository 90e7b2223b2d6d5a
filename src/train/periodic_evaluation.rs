//! Periodic evaluation: now and then AUROC, for people to see. Training does not depend on it.

use std::num::NonZeroUsize;

use super::error::TrainError;
use super::score::{Scored, Scorer};
use crate::data::{Images, LabelledImages, OneClass};
use crate::engine::Executor;
use crate::metrics::auroc;

/// Most images of each kind that are looked at.
const MAX_IMAGES: usize = 500;

/// Now and then during training, the AUROC on some of the evaluation images: for a person to see how it goes.
/// Nothing in training depends on it, nor does what training leaves.
pub struct PeriodicEvaluation<'a> {
    every: NonZeroUsize,
    images: &'a Images,
    /// Normal ones first.
    indices: Vec<usize>,
    normal: usize,
}

impl<'a> PeriodicEvaluation<'a> {
    /// A periodic evaluation after every so many steps, at up to 500 normal and 500 anomalous images, taken evenly from
    /// the evaluation images.
    ///
    /// # Errors
    /// Images that are all of one kind.
    pub fn new(every: NonZeroUsize, eval: &'a LabelledImages, split: &OneClass) -> Result<Self, TrainError> {
        let (normal, anomalous): (Vec<usize>, Vec<usize>) =
            split.test.iter().partition(|&&index| eval.labels[index] == split.normal);
        if normal.is_empty() || anomalous.is_empty() {
            let problem = "--evaluate-every takes normal and anomalous images to evaluate on; leave it out";
            return Err(TrainError::Settings(problem.into()));
        }
        let mut indices = some(&normal);
        let normal = indices.len();
        indices.extend(some(&anomalous));
        Ok(Self { every, images: &eval.images, indices, normal })
    }

    /// The first step after `done` that is followed by a periodic evaluation.
    pub(super) fn next(&self, done: usize) -> usize {
        (done / self.every + 1).saturating_mul(self.every.get())
    }

    /// AUROC of the generator as it is on the executor.
    pub(super) fn auroc(&self, executor: &mut dyn Executor, scorer: &Scorer) -> Result<f64, TrainError> {
        let scored = scorer.score(executor, self.images, &self.indices, |_| {})?;
        let scores: Vec<f32> = scored.iter().map(|&Scored { score, .. }| score).collect();
        let (normal, anomalous) = scores.split_at(self.normal);
        Ok(auroc(normal, anomalous)?.unwrap_or(f64::NAN))
    }
}

/// At most so many, evenly from first to last.
fn some(indices: &[usize]) -> Vec<usize> {
    let count = indices.len().min(MAX_IMAGES);
    (0..count).map(|place| indices[place * indices.len() / count]).collect()
}
