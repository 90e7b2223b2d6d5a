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
/// Part of its time that waking must take of a piece of work, for without workers it computes on one core.
const WORTH: f64 = 0.25;

/// Numbers of driver threads that were tried for a phase of work, each with the seconds that a piece of it took; none where
/// there was nothing to choose.
pub type TriedThreads = Vec<(usize, f64)>;

/// The number of a trial that took least.
pub fn fastest(tried: &TriedThreads) -> Option<usize> {
    tried.iter().min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|&(threads, _)| threads)
}

/// A phase of work: so many pieces, such as steps, of so many dispatches each.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// Pieces.
    pub pieces: usize,
    /// Dispatches of a piece.
    pub dispatches: usize,
}

impl Phase {
    /// One that a trial pays for in any case.
    pub const LONG: Self = Self { pieces: usize::MAX, dispatches: usize::MAX };
}

/// Opens a device for a phase of work, with the number of driver threads that proves fastest: `prepare` makes the work ready on
/// it, `time` says how many seconds a piece takes, and leaves the work as it was. The driver keeps the number that it likes
/// best, one a core, where all that another could win is less than the trial would cost, or little beside what a piece takes;
/// where the user has chosen with `LP_NUM_THREADS`; and where it is another driver. Results do not depend on the number.
///
/// # Errors
/// Those of `open`, `prepare` and `time`.
pub fn open_fastest<W, E: From<EngineError>>(
    phase: Phase,
    open: &dyn Fn() -> Result<Box<dyn Executor>, EngineError>,
    prepare: impl Fn(Box<dyn Executor>) -> Result<W, E>,
    time: impl Fn(&mut W) -> Result<f64, E>,
) -> Result<(W, TriedThreads), E> {
    let executor = open()?;
    let choices = executor.driver_thread_choices();
    let mut work = prepare(executor)?;
    let waking = phase.dispatches as f64 * WAKING;
    let most = phase.pieces as f64 * waking;
    let Some((&own, others)) = choices.split_first().filter(|_| most >= TRIAL) else {
        if !choices.is_empty() {
            tracing::info!("the driver chooses its worker threads: other numbers could win {most:.1} s at most");
        }
        return Ok((work, TriedThreads::new()));
    };
    let mut last = own;
    let mut tried = vec![(own, time(&mut work)?)];
    if waking < WORTH * tried[0].1 {
        return Ok((work, tried));
    }
    let _own_again = OwnAgain;
    for &threads in others {
        drop(work);
        set(Some(threads));
        work = prepare(open()?)?;
        tried.push((threads, time(&mut work)?));
        last = threads;
    }
    if let Some(threads) = fastest(&tried).filter(|&threads| threads != last) {
        drop(work);
        set(Some(threads).filter(|&threads| threads != own));
        work = prepare(open()?)?;
    }
    Ok((work, tried))
}

/// The numbers of worker threads that are worth trying on an adapter, first what the driver takes by itself; none where it
/// has no such setting, or the user has chosen. A single worker computes no more at once than none, and has to be woken.
pub(super) fn driver_thread_choices(adapter: &AdapterSummary) -> Vec<usize> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if by_user().is_some() || cores == 1 || !adapter.driver.contains("llvmpipe") {
        return Vec::new();
    }
    iter::once(cores).chain([2, 0].into_iter().filter(|&threads| threads < cores)).collect()
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
