//! Starting threads: where the system gives no more, those that there are do the work.

use std::error::Error;
use std::io;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Starts a thread for each of `items`, and returns those that could be started. A warning says that they are fewer.
///
/// # Errors
/// The system's reason, if it starts none though one is wanted.
pub(crate) fn start_each<I, T>(
    items: impl IntoIterator<Item = I>,
    mut start: impl FnMut(I) -> io::Result<T>,
) -> io::Result<Vec<T>> {
    let items: Vec<I> = items.into_iter().collect();
    let wanted = items.len();
    let mut started = Vec::with_capacity(wanted);
    for item in items {
        match start(item) {
            Ok(thread) => started.push(thread),
            Err(error) if started.is_empty() => return Err(error),
            Err(error) => {
                tracing::warn!(
                    "{} threads in place of {wanted}, for the system starts no more: {error}",
                    started.len()
                );
                break;
            }
        }
    }
    Ok(started)
}

/// Whether the system starts a thread, for libraries that panic where it does not.
///
/// # Errors
/// The system's reason.
pub fn can_start() -> io::Result<()> {
    // It is gone before the next one is started.
    std::thread::Builder::new().spawn(|| ()).map(|thread| drop(thread.join()))
}

/// Threads of the rayon pool that this is called in. Outside of any it is what a pool of one's own should have: one a
/// core, or what `RAYON_NUM_THREADS` says.
pub(crate) fn pool_threads() -> usize {
    if rayon::current_thread_index().is_some() {
        return rayon::current_num_threads();
    }
    let wanted = std::env::var("RAYON_NUM_THREADS").ok().and_then(|count| count.parse().ok());
    wanted.filter(|&count| count > 0).unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Whether there is a rayon pool to work in: the one that this is called in, or the global one. Rayon itself would panic
/// where the system does not start the threads of the latter.
pub(crate) fn has_pool() -> bool {
    static GLOBAL: OnceLock<bool> = OnceLock::new();
    let build = || match ThreadPoolBuilder::new().build_global() {
        Err(error) if of_system(&error) => {
            tracing::warn!("one thread computes, for the system starts no more: {error}");
            false
        }
        // Somebody else may have built it.
        _ => true,
    };
    rayon::current_thread_index().is_some() || *GLOBAL.get_or_init(build)
}

/// How often the last thread of a pool is tried to be started, and the time between.
const WAITS: usize = 20;
const WAIT: Duration = Duration::from_millis(10);

/// A pool of so many threads, and where the system does not start them of half as many, down to one.
///
/// # Errors
/// The system's reason, if it starts none.
pub(crate) fn pool(mut count: usize) -> Result<ThreadPool, ThreadPoolBuildError> {
    let mut waits = 0..WAITS;
    loop {
        let named = |index| format!("cpu-{index}");
        match ThreadPoolBuilder::new().num_threads(count).thread_name(named).build() {
            Err(error) if of_system(&error) && count > 1 => {
                count /= 2;
                let threads = if count == 1 { "one thread computes" } else { "fewer threads compute" };
                tracing::warn!("{threads}, for the system starts no more: {error}");
            }
            // A pool that was dropped ends its threads in its own time.
            Err(error) if of_system(&error) && waits.next().is_some() => sleep(WAIT),
            built => return built,
        }
    }
}

/// Whether it is the system's. That there is a global pool already is not.
fn of_system(error: &ThreadPoolBuildError) -> bool {
    error.source().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_started_as_can_be() {
        let start = |limit: usize| {
            let mut count = 0;
            move |item: usize| {
                count += 1;
                if count > limit { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(item) }
            }
        };
        assert_eq!(start_each(0..4, start(9)).unwrap(), [0, 1, 2, 3]);
        assert_eq!(start_each(0..4, start(2)).unwrap(), [0, 1]);
        assert_eq!(start_each(0..4, start(0)).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(start_each(0..0, start(0)).unwrap().is_empty());
    }
}
