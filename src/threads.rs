//! Starting threads: where the system gives no more, those that there are do the work.

use std::error::Error;
use std::io;
use std::sync::OnceLock;

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
    std::thread::Builder::new().spawn(|| ()).map(drop)
}

/// Threads of the rayon pool that this is called in. Outside of any it is the global one, with as many threads as the
/// system starts; 1 where it starts none, and then nothing may be asked of that pool.
pub(crate) fn pool_threads() -> usize {
    static GLOBAL: OnceLock<bool> = OnceLock::new();
    // Rayon itself would panic where a thread cannot be started.
    let global = || match with_fewer(ThreadPoolBuilder::new().build_global(), |count| {
        ThreadPoolBuilder::new().num_threads(count).build_global()
    }) {
        Ok(()) => true,
        Err(error) => !of_system(&error),
    };
    if rayon::current_thread_index().is_some() || *GLOBAL.get_or_init(global) {
        rayon::current_num_threads()
    } else {
        1
    }
}

/// A pool of so many threads, or of as many as the system starts.
///
/// # Errors
/// The system's reason, if it starts none.
pub(crate) fn pool(count: usize) -> Result<ThreadPool, ThreadPoolBuildError> {
    let build = |count| ThreadPoolBuilder::new().num_threads(count).thread_name(|index| format!("cpu-{index}")).build();
    with_fewer(build(count), build)
}

/// What was built, or if the system did not start its threads the same with half as many, down to one.
fn with_fewer<T>(
    mut built: Result<T, ThreadPoolBuildError>,
    build: impl Fn(usize) -> Result<T, ThreadPoolBuildError>,
) -> Result<T, ThreadPoolBuildError> {
    let mut count = std::thread::available_parallelism().map_or(1, usize::from) / 2;
    while let Err(error) = &built
        && of_system(error)
        && count > 0
    {
        tracing::warn!("{count} threads compute, for the system starts no more: {error}");
        built = build(count);
        count /= 2;
    }
    built
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
