use std::time::{Duration, Instant};

use super::error::TrainError;
use super::model_file::Model;
use super::score::Scorer;
use crate::engine::Executor;

/// Most images scored, and most time spent, on finding out how long one takes.
const MOST: usize = 200;
const LONGEST: Duration = Duration::from_secs(2);

/// Seconds that scoring a single image takes, read-back included: the median of up to 200, after the first ones.
pub fn scoring_latency(executor: &mut dyn Executor, model: &Model) -> Result<f64, TrainError> {
    let scorer = Scorer::new(executor, &model.variables, &model.gan, model.statistics, 1)?;
    let architecture = &model.gan.architecture;
    let len = architecture.channels * architecture.side * architecture.side;
    let pixels: Vec<f32> = (0..len).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut time = || -> Result<f64, TrainError> {
        let start = Instant::now();
        scorer.score_pixels(executor, &pixels)?.wait()?;
        Ok(start.elapsed().as_secs_f64())
    };
    for _ in 0..3 {
        time()?;
    }
    let started = Instant::now();
    let mut times = vec![time()?];
    while times.len() < MOST && started.elapsed() < LONGEST {
        times.push(time()?);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
