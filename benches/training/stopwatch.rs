//! Medians over blocks of calls.

use std::time::{Duration, Instant};

/// What a block of calls takes together.
const BLOCK: f64 = 0.1;
/// Fewest blocks that are timed.
const MIN_RUNS: usize = 5;

/// Median and 95th percentile, in seconds, of what a call takes. `run` is told how many times to do its work, and
/// returns when all is done; a median is over blocks of such calls, for a device is kept busy in training.
pub(crate) fn time(time: Duration, mut run: impl FnMut(usize)) -> [f64; 2] {
    let mut block = |calls: usize| {
        let start = Instant::now();
        run(calls);
        start.elapsed().as_secs_f64() / calls as f64
    };
    let calls = (BLOCK / block(4)).ceil().clamp(1.0, 1024.0) as usize;
    let begun = Instant::now();
    let mut seconds = Vec::new();
    while seconds.len() < MIN_RUNS || begun.elapsed() < time {
        seconds.push(block(calls));
    }
    seconds.sort_by(f64::total_cmp);
    [seconds[seconds.len() / 2], seconds[(seconds.len() * 95 / 100).min(seconds.len() - 1)]]
}
