//! How many steps make a submission. It goes by the clock alone, and has no influence on results.

use std::time::{Duration, Instant};

use super::checkpoint::Checkpoint;
use super::error::TrainError;
use super::losses::HISTORY;
use super::trainer::Trainer;
use crate::engine::{Executor, Readback};

/// Time that one submission should take: long enough to hide its cost, short enough to react.
const SUBMISSION: Duration = Duration::from_millis(300);
/// Submissions on their way at once.
pub(super) const IN_FLIGHT: usize = 2;

/// Keeps submissions near the time they should take, and well below the history's length.
pub(super) struct Pacing {
    steps: usize,
    last: Instant,
}

impl Pacing {
    /// Begins with single steps.
    pub(super) fn new() -> Self {
        Self { steps: 1, last: Instant::now() }
    }

    /// Steps of the next submission.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// Leaves out the time since the last submission, which went to something else.
    pub(super) fn restart(&mut self) {
        self.last = Instant::now();
    }

    /// A submission of so many steps is done.
    pub(super) fn submission_took(&mut self, steps: usize) {
        let per_step = self.last.elapsed().as_secs_f64() / steps as f64;
        self.last = Instant::now();
        let fitting = (SUBMISSION.as_secs_f64() / per_step.max(1e-9)) as usize;
        self.steps = fitting.clamp(1, (2 * self.steps).min(HISTORY / (2 * IN_FLIGHT)));
    }
}

impl Trainer {
    /// Seconds of a step, from some that are taken to find out; what they train is undone. They take about `time`, and two
    /// steps at least.
    ///
    /// # Errors
    /// Failures of the device.
    pub fn trial(&mut self, executor: &mut dyn Executor, time: Duration) -> Result<f64, TrainError> {
        let before = Checkpoint::take(executor, &self.variables, &self.state(), self.stage, 0.0)?;
        let mut done = self.steps_done();
        let mut steps = |count: usize| -> Result<f64, TrainError> {
            let started = Instant::now();
            let end = done + count;
            while done < end {
                let some = (end - done).min(self.most_steps());
                self.submit(executor, done, some)?;
                done += some;
            }
            executor.read(&[Readback::Variable(self.step.clock)])?.wait()?;
            Ok(started.elapsed().as_secs_f64() / count as f64)
        };
        // The first finds memory and kernels cold; the second tells how many make a trial.
        steps(1)?;
        let mut seconds = steps(1)?;
        let half = (time.as_secs_f64() / seconds.max(1e-9) / 2.0) as usize;
        if half > 0 {
            let half = half.min(HISTORY / 2);
            seconds = steps(half)?.min(steps(half)?);
        }
        self.restore(executor, before)?;
        Ok(seconds)
    }
}
