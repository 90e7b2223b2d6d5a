//! How long a model takes to score a batch on an executor.

use std::time::{Duration, Instant};

use super::error::TrainError;
use super::model_file::Model;
use super::score::Scorer;
use crate::engine::Executor;

/// Most batches that are scored to find out how long one takes.
const MAX_IMAGES: usize = 200;

/// Seconds that scoring so many images at a time takes, read-back included: the median of up to 200 batches, and of
/// those that begin within this time, after the first ones.
pub fn scoring_latency(
    executor: &mut dyn Executor,
    model: &Model,
    batch: usize,
    time: Duration,
) -> Result<f64, TrainError> {
    let scorer = Scorer::new(executor, &model.variables, &model.gan, model.statistics, batch)?;
    let architecture = &model.gan.architecture;
    let len = batch * architecture.channels * architecture.side * architecture.side;
    let pixels: Vec<f32> = (0..len).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut seconds = || -> Result<f64, TrainError> {
        let start = Instant::now();
        scorer.score_pixels(executor, &pixels)?.wait()?;
        Ok(start.elapsed().as_secs_f64())
    };
    for _ in 0..3 {
        seconds()?;
    }
    let started = Instant::now();
    let mut times = vec![seconds()?];
    while times.len() < MAX_IMAGES && started.elapsed() < time {
        times.push(seconds()?);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
