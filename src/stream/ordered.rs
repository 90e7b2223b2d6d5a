//! Work on many threads whose results come in the order of what was found.

use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::threads::start_each;

/// Chunks on their way for each thread: one at work, one that waits for its turn.
const AHEAD: usize = 2;
/// Time that the work on a chunk should take at least: long against the handing over.
const SHORT: Duration = Duration::from_millis(2);
/// Time from which on a chunk is too long to be shared out evenly.
const LONG: Duration = Duration::from_millis(20);

/// The results of the work on each chunk, in order. When it is dropped the workers end, and with them what they hold; the
/// thread that lists ends by itself, for it may be waiting for somebody to type.
pub(super) struct Ordered<T, R> {
    results: Receiver<Receiver<thread::Result<R>>>,
    to_workers: SyncSender<Work<T, R>>,
    workers: Vec<JoinHandle<()>>,
    /// Whether nobody wants results any more.
    ended: Arc<AtomicBool>,
}

/// A chunk, and where its result goes, or the panic of the work on it; `None` ends a worker.
type Work<T, R> = Option<(Vec<T>, SyncSender<thread::Result<R>>)>;

impl<T, R> Iterator for Ordered<T, R> {
    type Item = R;

    /// # Panics
    /// As the work on the chunk did, in its place.
    fn next(&mut self) -> Option<R> {
        let result = self.results.recv().ok()?.recv().ok()?;
        Some(result.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl<T, R> Drop for Ordered<T, R> {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for _ in &self.workers {
            // Where no worker is left, none is to end.
            let _ = self.to_workers.send(None);
        }
        for worker in self.workers.drain(..) {
            // Their panics come with the results.
            let _ = worker.join();
        }
    }
}

/// Takes an item; `None` where the next may be long in coming.
type Emit<'a, T> = &'a mut dyn FnMut(Option<T>) -> ControlFlow<()>;

/// Runs `list` on a thread, which emits items, and each of `workers` on another, which work on chunks of `least` to `most`
/// items; of fewer at the end and before a pause. No more than two chunks a worker are on their way at once, whatever their number.
///
/// The chunks begin short, and grow while the work on them is. Fewer workers do where the system starts no more threads.
///
/// # Errors
/// A thread to list and one to work on, if not even these can be started.
pub(super) fn ordered<T: Send + 'static, R: Send + 'static, W: FnMut(Vec<T>) -> R + Send + 'static>(
    list: impl FnOnce(Emit<T>) -> ControlFlow<()> + Send + 'static,
    workers: Vec<W>,
    [least, most]: [usize; 2],
) -> io::Result<Ordered<T, R>> {
    let bound = AHEAD * workers.len();
    let (to_workers, work) = sync_channel::<Work<T, R>>(bound);
    // The results' places are taken in order before the work on them begins: this bounds what is on its way.
    let (to_results, results) = sync_channel(bound);
    let length = Arc::new(AtomicUsize::new(least));
    let ended = Arc::new(AtomicBool::new(false));
    let work = Arc::new(Mutex::new(work));
    let (begin_list, workers_there) = sync_channel::<()>(1);
    let workers_at = to_workers.clone();
    let length_to_reach = length.clone();
    // First, for without workers it ends by itself.
    thread::Builder::new().spawn(move || {
        if workers_there.recv().is_err() {
            return;
        }
        let mut chunk = Vec::new();
        let send = |chunk: &mut Vec<T>| {
            if chunk.is_empty() {
                return ControlFlow::Continue(());
            }
            let (result, place) = sync_channel(1);
            let sent = to_results.send(place).is_ok() && workers_at.send(Some((std::mem::take(chunk), result))).is_ok();
            if sent { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let stopped = list(&mut |item| match item {
            Some(item) => {
                chunk.push(item);
                let full = chunk.len() >= length_to_reach.load(Ordering::Relaxed);
                if full { send(&mut chunk) } else { ControlFlow::Continue(()) }
            }
            None => send(&mut chunk),
        });
        if stopped.is_continue() {
            let _ = send(&mut chunk);
        }
    })?;
    let begin = |mut worker: W| {
        let (work, length, ended) = (work.clone(), length.clone(), ended.clone());
        thread::Builder::new().spawn(move || {
            let next = || work.lock().unwrap_or_else(PoisonError::into_inner).recv();
            while let Ok(Some((chunk, result))) = next() {
                if ended.load(Ordering::Relaxed) {
                    continue;
                }
                let (items, started) = (chunk.len(), Instant::now());
                let done = catch_unwind(AssertUnwindSafe(|| worker(chunk)));
                let target = match started.elapsed() {
                    time if time < SHORT => 2 * items,
                    time if time > LONG => items / 2,
                    _ => items,
                };
                length.store(target.clamp(least, most), Ordering::Relaxed);
                // Nobody may be left who wants it.
                let _ = result.send(done);
            }
        })
    };
    let workers = start_each(workers, begin)?;
    let _ = begin_list.send(());
    Ok(Ordered { results, to_workers, workers, ended })
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::ordered;

    #[test]
    fn a_panic_comes_in_its_place_and_ends_nothing_else() {
        let worker = |_| |chunk: Vec<usize>| chunk.iter().for_each(|&item| assert_ne!(item, 5, "of the work"));
        let mut results =
            ordered(|emit| (0..9).try_for_each(|item| emit(Some(item))), (0..2).map(worker).collect(), [1, 1]).unwrap();
        for item in 0..9 {
            let result = catch_unwind(AssertUnwindSafe(|| results.next()));
            assert_eq!(result.is_err(), item == 5, "item {item}");
            assert!(result.unwrap_or(Some(())).is_some(), "item {item}");
        }
        assert!(results.next().is_none());
    }
}
