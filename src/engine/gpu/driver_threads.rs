//! Worker threads of llvmpipe, Mesa's driver that computes on the CPU.
//!
//! Waking them costs some 50 microseconds a dispatch, so that short kernels run faster without any, long ones faster with one
//! a core. The driver reads their number from the environment when an instance is made.

use std::env;
use std::ffi::OsString;
use std::sync::OnceLock;

use super::adapter::AdapterSummary;

/// The variable that llvmpipe reads.
const VARIABLE: &str = "LP_NUM_THREADS";

/// What the user set, found out before anything here is set.
fn by_user() -> &'static Option<OsString> {
    static BY_USER: OnceLock<Option<OsString>> = OnceLock::new();
    BY_USER.get_or_init(|| env::var_os(VARIABLE))
}

/// The numbers of worker threads that are worth trying on an adapter; none where the driver has no such setting, or the user
/// has chosen with `LP_NUM_THREADS`.
pub(super) fn driver_thread_choices(adapter: &AdapterSummary) -> Vec<usize> {
    if by_user().is_some() || !adapter.driver.contains("llvmpipe") {
        return Vec::new();
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    vec![0, cores]
}

/// Gives adapters that are opened from now on so many worker threads, or as many as their driver thinks best. Without effect
/// where the user has chosen.
#[allow(unsafe_code, reason = "the driver takes the number from the environment and from nowhere else")]
pub fn set_driver_threads(threads: Option<usize>) {
    if by_user().is_some() {
        return;
    }
    // SAFETY: Rust's own readers of the environment take its lock. Of others, the drivers read it while an instance is made,
    // which the thread that calls this waits for, later; those at work have read it.
    unsafe {
        match threads {
            Some(threads) => env::set_var(VARIABLE, threads.to_string()),
            None => env::remove_var(VARIABLE),
        }
    }
}
