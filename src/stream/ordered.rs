//! Work on many threads whose results come in the order of what was found.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Chunks on their way for each thread: one at work, one that waits for its turn.
const AHEAD: usize = 2;
/// Time that the work on a chunk should take at least: long against the handing over.
const SHORT: Duration = Duration::from_millis(2);
/// Time from which on a chunk is too long to be shared out evenly.
const LONG: Duration = Duration::from_millis(20);

/// The results of the work on each chunk, in order. Dropped early, it lets the threads end by themselves.
pub struct Ordered<R> {
    results: Receiver<Receiver<R>>,
}

impl<R> Iterator for Ordered<R> {
    type Item = R;

    fn next(&mut self) -> Option<R> {
        let result = self.results.recv().ok()?;
        Some(result.recv().expect("a thread that panicked has said so"))
    }
}

/// Takes an item; `None` where the next may be long in coming.
type Emit<'a, T> = &'a mut dyn FnMut(Option<T>) -> ControlFlow<()>;

/// Runs `list` on a thread, which emits items, and each of `workers` on another, which work on chunks of `least` to `most`
/// items; of fewer at the end and before a pause. No more than two chunks a worker are on their way at once, whatever their number.
///
/// The chunks begin short, and grow while the work on them is.
pub fn ordered<T: Send + 'static, R: Send + 'static>(
    list: impl FnOnce(Emit<T>) -> ControlFlow<()> + Send + 'static,
    workers: Vec<impl FnMut(Vec<T>) -> R + Send + 'static>,
    [least, most]: [usize; 2],
) -> Ordered<R> {
    let bound = AHEAD * workers.len();
    let (to_workers, work) = sync_channel::<(Vec<T>, SyncSender<R>)>(bound);
    // The results' places are taken in order before the work on them begins: this bounds what is on its way.
    let (to_results, results) = sync_channel(bound);
    let length = Arc::new(AtomicUsize::new(least));
    let work = Arc::new(Mutex::new(work));
    for mut worker in workers {
        let (work, length) = (work.clone(), length.clone());
        thread::spawn(move || {
            let next = || work.lock().unwrap_or_else(PoisonError::into_inner).recv();
            while let Ok((chunk, result)) = next() {
                let (items, started) = (chunk.len(), Instant::now());
                let done = worker(chunk);
                let target = match started.elapsed() {
                    time if time < SHORT => 2 * items,
                    time if time > LONG => items / 2,
                    _ => items,
                };
                length.store(target.clamp(least, most), Ordering::Relaxed);
                // Nobody may be left who wants it.
                let _ = result.send(done);
            }
        });
    }
    thread::spawn(move || {
        let mut chunk = Vec::new();
        let send = |chunk: &mut Vec<T>| {
            if chunk.is_empty() {
                return ControlFlow::Continue(());
            }
            let (result, place) = sync_channel(1);
            let sent = to_results.send(place).is_ok() && to_workers.send((std::mem::take(chunk), result)).is_ok();
            if sent { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let stopped = list(&mut |item| match item {
            Some(item) => {
                chunk.push(item);
                if chunk.len() >= length.load(Ordering::Relaxed) { send(&mut chunk) } else { ControlFlow::Continue(()) }
            }
            None => send(&mut chunk),
        });
        if stopped.is_continue() {
            let _ = send(&mut chunk);
        }
    });
    Ordered { results }
}
