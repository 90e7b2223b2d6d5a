//! Worker threads of llvmpipe, Mesa's driver that computes on the CPU.
//!
//! Waking them costs some 50 microseconds a dispatch, so that short kernels run faster without any, long ones faster with one
//! a core. The driver reads their number from the environment when an instance is made, so that another number takes another
//! device.

use std::env;
use std::ffi::OsString;
use std::iter;
use std::sync::OnceLock;

use super::adapter::AdapterSummary;
use crate::engine::{EngineError, Executor};

/// The variable that llvmpipe reads.
const VARIABLE: &str = "LP_NUM_THREADS";
/// Seconds a dispatch that waking the workers costs, and that another number of them can therefore win at most.
const WAKING: f64 = 50e-6;
/// Seconds that a trial costs: devices are opened, and kernels compiled for each.
const TRIAL: f64 = 1.5;

/// Numbers of driver threads that were tried for a phase of work, each with the seconds that a piece of it took; none where
/// there was nothing to choose.
pub type TriedThreads = Vec<(usize, f64)>;

/// The number of a trial that took least.
pub fn fastest(tried: &TriedThreads) -> Option<usize> {
    tried.iter().min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|&(threads, _)| threads)
}

/// Opens a device for a phase of work that takes so many dispatches, with the number of driver threads that proves fastest:
/// `time` says how many seconds a piece of the work takes on a device, which is then closed. The driver keeps the number
/// that it likes best, one a core, where all that another could win is less than the trial would cost; where the user has
/// chosen with `LP_NUM_THREADS`; and where it is another driver. Results do not depend on the number.
///
/// # Errors
/// Those of `open` and `time`.
pub fn open_fastest<E: From<EngineError>>(
    dispatches: usize,
    open: &dyn Fn() -> Result<Box<dyn Executor>, EngineError>,
    mut time: impl FnMut(Box<dyn Executor>) -> Result<f64, E>,
) -> Result<(Box<dyn Executor>, TriedThreads), E> {
    let executor = open()?;
    let choices = executor.driver_thread_choices();
    let most = dispatches as f64 * WAKING;
    let Some(&own) = choices.first().filter(|_| most >= TRIAL) else {
        if !choices.is_empty() {
            tracing::info!("the driver chooses its worker threads: other numbers could win {most:.1} s at most");
        }
        return Ok((executor, TriedThreads::new()));
    };
    let mut tried = vec![(own, time(executor)?)];
    let _own_again = OwnAgain;
    for &threads in &choices[1..] {
        set(Some(threads));
        tried.push((threads, time(open()?)?));
    }
    set(fastest(&tried).filter(|&threads| threads != own));
    Ok((open()?, tried))
}

/// The numbers of worker threads that are worth trying on an adapter, first what the driver takes by itself; none where it
/// has no such setting, or the user has chosen.
pub(super) fn driver_thread_choices(adapter: &AdapterSummary) -> Vec<usize> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if by_user().is_some() || cores == 1 || !adapter.driver.contains("llvmpipe") {
        return Vec::new();
    }
    iter::once(cores).chain([2, 1, 0].into_iter().filter(|&threads| threads < cores)).collect()
}

/// What the user set, found out before anything here is set.
fn by_user() -> &'static Option<OsString> {
    static BY_USER: OnceLock<Option<OsString>> = OnceLock::new();
    BY_USER.get_or_init(|| env::var_os(VARIABLE))
}

/// Gives devices that are opened from now on so many worker threads, or as many as the driver likes.
#[allow(unsafe_code, reason = "the driver takes the number from the environment and from nowhere else")]
fn set(threads: Option<usize>) {
    // SAFETY: Rust's own readers of the environment take its lock. Of others, the drivers read it while an instance is made,
    // which the thread that calls this waits for, later; those at work have read it.
    unsafe {
        match threads {
            Some(threads) => env::set_var(VARIABLE, threads.to_string()),
            None => env::remove_var(VARIABLE),
        }
    }
}

/// Leaves the number to the driver again when a trial is over, however it ends.
struct OwnAgain;

impl Drop for OwnAgain {
    fn drop(&mut self) {
        set(None);
    }
}
