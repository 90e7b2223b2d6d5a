//! The threads of an executor, and the loop over all of them. It knows no op.
//!
//! To wake a thread takes some 50 microseconds, as long as many an op. So threads stay awake while a program runs and for a moment
//! after, and where they wait for each other.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rayon::iter::plumbing::{Producer, ProducerCallback};
use rayon::prelude::*;
use rayon::{ThreadPool, Yield};

use crate::engine::error::EngineError;
use crate::threads::{pool, pool_threads};

/// How long a thread spins after the last work before it goes to sleep.
const SPIN_TIME: Duration = Duration::from_micros(300);
/// How often it spins before it yields the processor.
const SPINS: usize = 64;

pub(super) struct Threads {
    pool: ThreadPool,
    /// How many stay awake.
    awake: Arc<AtomicUsize>,
    /// How many were told to and have not heard it yet.
    told: Arc<AtomicUsize>,
    /// Whether there is work.
    busy: Arc<AtomicBool>,
}

thread_local! {
    /// Whether this thread works or stays awake.
    static OCCUPIED: Cell<bool> = const { Cell::new(false) };
}

impl Threads {
    /// As many as the pool has that this is called in.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`] where the system gives no more threads.
    pub(super) fn new() -> Result<Self, EngineError> {
        Self::with(pool_threads())
    }

    fn with(count: usize) -> Result<Self, EngineError> {
        let refused = |error: rayon::ThreadPoolBuildError| {
            let what = format!("{count} threads of the CPU executor");
            EngineError::OutOfMemory { what, problem: error.to_string() }
        };
        let pool = pool(count).map_err(refused)?;
        Ok(Self { pool, awake: Arc::default(), told: Arc::default(), busy: Arc::default() })
    }

    /// How many.
    pub(super) fn count(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Does work on one of them, which shares it out among all.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let count = self.count();
        self.busy.store(true, Ordering::Release);
        let _done = Done(&self.busy);
        let some_sleep = count > 1 && self.awake.load(Ordering::Acquire) < count;
        if some_sleep && self.told.compare_exchange(0, count, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.tell_all();
        }
        self.pool.install(|| {
            let _occupied = Occupied::new();
            work()
        })
    }

    /// Tells all of them to stay awake.
    ///
    /// One that is at work already may hear it only where it waits for another. It must not stay awake there: it would
    /// wait for the end of the work, and that for it.
    fn tell_all(&self) {
        let (awake, told, busy) = (self.awake.clone(), self.told.clone(), self.busy.clone());
        self.pool.spawn_broadcast(move |_| {
            let free = !OCCUPIED.get();
            awake.fetch_add(usize::from(free), Ordering::AcqRel);
            told.fetch_sub(1, Ordering::AcqRel);
            if free {
                let _occupied = Occupied::new();
                stay_awake(&busy);
                awake.fetch_sub(1, Ordering::AcqRel);
            }
        });
    }
}

/// Marks this thread as occupied until it is dropped.
struct Occupied {
    before: bool,
}

impl Occupied {
    fn new() -> Self {
        Self { before: OCCUPIED.replace(true) }
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        OCCUPIED.set(self.before);
    }
}

/// Does what work there is, until there was none for a while after the last.
fn stay_awake(busy: &AtomicBool) {
    let (mut since, mut spins) = (Instant::now(), 0);
    loop {
        if rayon::yield_now() == Some(Yield::Executed) {
            (since, spins) = (Instant::now(), 0);
            continue;
        }
        pause(&mut spins);
        if spins % SPINS > 0 {
            continue;
        }
        if busy.load(Ordering::Acquire) {
            since = Instant::now();
        } else if since.elapsed() > SPIN_TIME {
            return;
        }
    }
}

/// Does `work` on each item: on all threads if `parallel`, else on this one.
///
/// It is rayon's `for_each`, but that a thread which waits for another stays awake.
pub(super) fn parallel_for<I: IndexedParallelIterator>(parallel: bool, items: I, work: impl Fn(I::Item) + Sync) {
    let len = items.len();
    items.with_producer(ParallelFor { len, parallel, work });
}

struct ParallelFor<F> {
    len: usize,
    parallel: bool,
    work: F,
}

impl<T, F: Fn(T) + Sync> ProducerCallback<T> for ParallelFor<F> {
    type Output = ();

    fn callback<P: Producer<Item = T>>(self, items: P) {
        if self.parallel {
            split(items, self.len, &self.work);
        } else {
            items.into_iter().for_each(self.work);
        }
    }
}

/// Does `work` on `len` items, one half of them on whichever thread is free.
fn split<P: Producer>(items: P, len: usize, work: &(impl Fn(P::Item) + Sync)) {
    if len < 2 {
        return items.into_iter().for_each(work);
    }
    let (first, second) = items.split_at(len / 2);
    let waits = AtomicBool::new(true);
    rayon::join(
        || {
            split(first, len / 2, work);
            let mut spins = 0;
            while waits.load(Ordering::Acquire) {
                // This does the second half, if nobody has begun it.
                if rayon::yield_now() != Some(Yield::Executed) {
                    pause(&mut spins);
                }
            }
        },
        || {
            let _done = Done(&waits);
            let _occupied = Occupied::new();
            split(second, len - len / 2, work);
        },
    );
}

/// Says that nobody needs to wait any more, after a panic too.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Spins once. Now and then it yields the processor.
fn pause(spins: &mut usize) {
    *spins += 1;
    if !spins.is_multiple_of(SPINS) {
        std::hint::spin_loop();
    } else {
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_thread_at_work_does_not_stay_awake_inside_of_it() {
        let (sender, done) = channel();
        thread::spawn(move || {
            let threads = Threads::with(2).unwrap();
            threads.run(|| {
                // As if this thread had begun to work before it heard that it should stay awake.
                threads.told.fetch_add(2, Ordering::AcqRel);
                threads.tell_all();
                // It waits for the other, and hears it.
                parallel_for(true, [50, 200].par_iter(), |&time| thread::sleep(Duration::from_millis(time)));
            });
            while threads.told.load(Ordering::Acquire) > 0 {
                thread::yield_now();
            }
            sender.send(()).unwrap();
        });
        assert_eq!(done.recv_timeout(Duration::from_secs(60)), Ok(()), "the work ends, and both have heard it");
    }

    #[test]
    fn threads_stay_awake_while_there_is_work_and_not_for_long_after() {
        let threads = Threads::with(2).unwrap();
        for _ in 0..2 {
            let awake = threads.run(|| {
                while threads.told.load(Ordering::Acquire) > 0 {
                    rayon::yield_now();
                }
                threads.awake.load(Ordering::Acquire)
            });
            assert!(awake >= 1, "that which does not work, at least");
            while threads.awake.load(Ordering::Acquire) > 0 {
                thread::yield_now();
            }
        }
    }
}
