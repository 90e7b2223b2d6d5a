//! Drivers that were given up while they were at work.

use std::sync::atomic::{AtomicBool, Ordering};

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
