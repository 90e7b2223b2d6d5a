//! How long scoring takes: batches of a detector, and single images on the CPU. It knows no network.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::detector::Detector;
use super::error::ScoringError;
use super::path::ScoringPath;
use crate::engine::CpuScorer;

/// How fast a network is scored, as a line of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Name of the network.
    pub network: String,
    /// The path that it was scored on.
    pub path: ScoringPath,
    /// Images at a time.
    pub batch: usize,
    /// Microseconds that a batch takes, from pixels in memory to scores in memory: the median,
    pub median_us: f64,
    /// the 95th percentile,
    pub p95_us: f64,
    /// and the 99th.
    pub p99_us: f64,
    /// Images a second, at the median.
    pub images_per_s: f64,
}

/// How long batches took.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Images at a time.
    pub batch: usize,
    /// Seconds of each batch, ascending; at least one.
    seconds: Vec<f64>,
}

impl Measurement {
    /// Seconds of a batch that so many parts in a hundred do not exceed.
    pub fn percentile(&self, percent: usize) -> f64 {
        let last = self.seconds.len() - 1;
        self.seconds[(self.seconds.len() * percent / 100).min(last)]
    }

    /// Median seconds of a batch.
    pub fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// As a line of a table.
    pub fn figure(&self, network: impl Into<String>, path: ScoringPath) -> Figure {
        Figure {
            network: network.into(),
            path,
            batch: self.batch,
            median_us: 1e6 * self.median(),
            p95_us: 1e6 * self.percentile(95),
            p99_us: 1e6 * self.percentile(99),
            images_per_s: self.batch as f64 / self.median(),
        }
    }
}

/// Fewest batches that are timed.
const MIN_BATCHES: usize = 5;
/// Most batches that are timed.
const MAX_BATCHES: usize = 10_000;

/// Scores batches of `batch` images one after the other for about this long, read-back included, and says how long each
/// took. At least five are timed, after one that is not: it finds memory and kernels cold.
///
/// # Errors
/// A batch that the detector does not take; failures of the device.
pub fn measure(detector: &mut Detector, batch: usize, time: Duration) -> Result<Measurement, ScoringError> {
    let pixels: Vec<f32> = (0..batch * detector.image_len()).map(|i| (i as f32 * 0.37).sin()).collect();
    detector.score(&pixels)?;
    let started = Instant::now();
    let mut seconds = Vec::new();
    while seconds.len() < MIN_BATCHES || (seconds.len() < MAX_BATCHES && started.elapsed() < time) {
        let start = Instant::now();
        detector.score(&pixels)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(Measurement { batch, seconds })
}

/// How long one image takes on one thread: the shorter of two, after one that finds memory cold.
pub(crate) fn time_one_image(scorer: &CpuScorer) -> Duration {
    let pixels = vec![0.5; scorer.image_len()];
    let time = || {
        let started = Instant::now();
        scorer.score(&pixels, &mut [0.0], None);
        started.elapsed().max(Duration::from_nanos(1))
    };
    time();
    time().min(time())
}
