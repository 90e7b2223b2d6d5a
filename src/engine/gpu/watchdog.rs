//! Drivers that were given up while they were at work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::context::driver_failed;
use crate::engine::error::EngineError;

static GIVEN_UP: AtomicBool = AtomicBool::new(false);

/// Remembers that a driver was left at work.
pub(super) fn give_driver_up() {
    GIVEN_UP.store(true, Ordering::Relaxed);
}

/// Whether a driver did not finish in time, and may be at work until the process ends.
///
/// Such a process should leave without the driver's clearing up (`_exit`), which would take from its threads what they
/// work with.
pub fn driver_given_up() -> bool {
    GIVEN_UP.load(Ordering::Relaxed)
}

/// What comes of work in a driver, on a thread of its own, so that nobody else hangs with it.
pub(super) fn watched<T: Send + 'static>(
    during: &str,
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EngineError> {
    let (sender, finished) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody waits any more for a driver that was given up.
        let _ = sender.send(work());
    });
    finished.recv_timeout(patience).map_err(|error| match error {
        RecvTimeoutError::Timeout => {
            give_driver_up();
            EngineError::TimedOut { during: during.into(), seconds: patience.as_secs_f64() }
        }
        RecvTimeoutError::Disconnected => driver_failed(during),
    })
}
