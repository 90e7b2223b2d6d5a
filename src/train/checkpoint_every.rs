//! When checkpoints are due, by time or by steps, and how people write that.

use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

/// When checkpoints are written: as time goes by, at certain steps, or both. It has no influence on results.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CheckpointEvery {
    /// After so much time without one.
    pub time: Option<Duration>,
    /// After every step of a stage, counted from 1, that is a multiple of this.
    pub steps: Option<NonZeroUsize>,
}

/// A text that says no such thing.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither a time above zero nor a number of steps; write 30s, 5m, 2h, 500, or two of them as 5m,500")]
pub struct NotAnInterval(String);

/// Longest time: what is more means "never".
const MAX_SECONDS: f64 = 1e9;

impl Default for CheckpointEvery {
    fn default() -> Self {
        Self { time: Some(Duration::from_secs(60)), steps: None }
    }
}

impl CheckpointEvery {
    /// The first of the steps after `step` that wants a checkpoint.
    pub(super) fn next_step(&self, step: usize) -> Option<usize> {
        let every = self.steps?.get();
        (step / every + 1).checked_mul(every)
    }

    /// Whether a checkpoint so old wants another one.
    pub(super) fn is_due(&self, age: Duration) -> bool {
        self.time.is_some_and(|time| age >= time)
    }
}

impl FromStr for CheckpointEvery {
    type Err = NotAnInterval;

    fn from_str(text: &str) -> Result<Self, NotAnInterval> {
        let wrong = || NotAnInterval(text.to_owned());
        let mut every = Self { time: None, steps: None };
        for part in text.split(',').map(str::trim) {
            let digits = part.trim_end_matches(|letter: char| letter.is_ascii_alphabetic() || letter == ' ');
            let seconds = match part[digits.len()..].trim() {
                "" | "step" | "steps" => {
                    let steps = digits.parse().map_err(|_| wrong())?;
                    if every.steps.replace(steps).is_some() {
                        return Err(wrong());
                    }
                    continue;
                }
                "s" => 1.0,
                "m" | "min" => 60.0,
                "h" => 3600.0,
                _ => return Err(wrong()),
            };
            let number: f64 = digits.parse().map_err(|_| wrong())?;
            let time = Duration::try_from_secs_f64((number * seconds).min(MAX_SECONDS)).map_err(|_| wrong())?;
            if time.is_zero() || every.time.replace(time).is_some() {
                return Err(wrong());
            }
        }
        Ok(every)
    }
}
