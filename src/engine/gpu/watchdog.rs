//! The watchdog of drivers: work on a thread of its own with a time limit, and a note of drivers that did not come
//! back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::context::{driver_failed, no_thread};
use crate::engine::error::EngineError;

static HUNG: AtomicBool = AtomicBool::new(false);

/// Remembers that a driver was left at work.
pub(super) fn mark_driver_hung() {
    HUNG.store(true, Ordering::Relaxed);
}

/// Whether a driver did not finish in time, and may be at work until the process ends.
///
/// Such a process should leave without the driver's clearing up (`_exit`), which would take from its threads what they
/// work with.
pub fn driver_hung() -> bool {
    HUNG.load(Ordering::Relaxed)
}

/// What comes of work in a driver, on a thread of its own, so that nobody else hangs with it.
pub(super) fn watched<T: Send + 'static>(
    during: &str,
    timeout: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EngineError> {
    let (sender, finished) = mpsc::channel();
    let thread = std::thread::Builder::new().spawn(move || {
        // Nobody waits any more for a driver that hangs.
        let _ = sender.send(work());
    });
    thread.map_err(|error| no_thread(during, &error))?;
    finished.recv_timeout(timeout).map_err(|error| match error {
        RecvTimeoutError::Timeout => {
            mark_driver_hung();
            EngineError::TimedOut { during: during.into(), seconds: timeout.as_secs_f64() }
        }
        RecvTimeoutError::Disconnected => driver_failed(during),
    })
}
