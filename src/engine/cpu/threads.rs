//! The threads of an executor, which stay awake between the ops of a step.
//!
//! To wake a thread takes some 50 microseconds, as long as many an op. So threads that run out of work look for more for a
//! moment before they go to sleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder, Yield};

use crate::engine::error::EngineError;

/// How long a thread looks for work before it goes to sleep.
const PATIENCE: Duration = Duration::from_micros(300);
/// How often it looks before it lets others have the processor.
const LOOKS: usize = 64;

pub(super) struct Threads {
    pool: ThreadPool,
    awake: Arc<AtomicUsize>,
}

impl Threads {
    /// As many as the pool has that this is called in.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`] where the system gives no more threads.
    pub fn new() -> Result<Self, EngineError> {
        let count = rayon::current_num_threads();
        let pool = ThreadPoolBuilder::new().num_threads(count).thread_name(|index| format!("cpu-{index}")).build();
        let refused = |error: rayon::ThreadPoolBuildError| {
            let what = format!("{count} threads of the CPU executor");
            EngineError::OutOfMemory { what, problem: error.to_string() }
        };
        Ok(Self { pool: pool.map_err(refused)?, awake: Arc::default() })
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Does work on one of them, which shares it out among all.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let count = self.count();
        if count > 1 && self.awake.compare_exchange(0, count, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            let awake = self.awake.clone();
            self.pool.spawn_broadcast(move |_| {
                stay_awake();
                awake.fetch_sub(1, Ordering::AcqRel);
            });
        }
        self.pool.install(work)
    }
}

/// Does what work there is, until there was none for a while.
fn stay_awake() {
    let (mut since, mut looks) = (Instant::now(), 0);
    loop {
        if rayon::yield_now() == Some(Yield::Executed) {
            (since, looks) = (Instant::now(), 0);
            continue;
        }
        looks += 1;
        if looks % LOOKS > 0 {
            std::hint::spin_loop();
        } else if since.elapsed() > PATIENCE {
            return;
        } else {
            thread::yield_now();
        }
    }
}
