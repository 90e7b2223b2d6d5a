//! Handing work to the driver, which may not come back: some drivers do the work then and there, or wait for earlier work.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread that submits, so that nobody else hangs in the driver.
#[derive(Clone)]
pub(super) struct Submitter(Arc<Mutex<Ends>>);

/// Work that was handed over.
pub(super) struct Submission {
    /// What wgpu calls it.
    pub index: wgpu::SubmissionIndex,
    /// Its number, counted from 1.
    number: u64,
}

struct Ends {
    queue: wgpu::Queue,
    /// Whether the driver only puts work on a list when there is no other.
    lists: bool,
    /// Numbers of the latest submission, and of the latest that is known to be done.
    latest: u64,
    done: u64,
    /// None once the thread is to end.
    work: Option<Sender<wgpu::CommandBuffer>>,
    submitted: Receiver<wgpu::SubmissionIndex>,
    /// None where the driver did not come back: then the thread cannot be waited for.
    thread: Option<JoinHandle<()>>,
}

impl Submitter {
    /// Submits to a queue of an adapter. The thread ends with the last of those who hold this.
    pub fn of(queue: &wgpu::Queue, adapter: &wgpu::AdapterInfo) -> Self {
        let lists = adapter.driver == "llvmpipe";
        let (work, arriving) = mpsc::channel();
        let (leaving, submitted) = mpsc::channel();
        let thread_queue = queue.clone();
        let thread = std::thread::spawn(move || {
            while let Ok(commands) = arriving.recv() {
                if leaving.send(thread_queue.submit([commands])).is_err() {
                    break;
                }
            }
        });
        let thread = Some(thread);
        let queue = queue.clone();
        let ends = Ends { queue, lists, latest: 0, done: 0, work: Some(work), submitted, thread };
        Self(Arc::new(Mutex::new(ends)))
    }

    /// Submits, and waits so long at most until the driver has taken it.
    pub fn submit(&self, commands: wgpu::CommandBuffer, patience: Duration) -> Result<Submission, RecvTimeoutError> {
        let mut ends = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        ends.latest += 1;
        let number = ends.latest;
        if ends.lists && ends.done + 1 == number {
            // Two more changes of threads would cost a small image a sixth of its time. wgpu panics where the driver loses the device.
            let submitted = catch_unwind(AssertUnwindSafe(|| ends.queue.submit([commands])));
            return match submitted {
                Ok(index) => Ok(Submission { index, number }),
                Err(_) => Err(RecvTimeoutError::Disconnected),
            };
        }
        let work = ends.work.as_ref().ok_or(RecvTimeoutError::Disconnected)?;
        work.send(commands).map_err(|_| RecvTimeoutError::Disconnected)?;
        let taken = ends.submitted.recv_timeout(patience);
        if matches!(taken, Err(RecvTimeoutError::Timeout)) {
            ends.thread = None;
        }
        Ok(Submission { index: taken?, number })
    }

    /// Takes down that a submission, and with it all before, is done.
    pub fn done(&self, submission: &Submission) {
        let mut ends = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        ends.done = ends.done.max(submission.number);
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        // The queue must be gone before the process ends: drivers do not bear being used while they are unloaded.
        self.work = None;
        if let Some(thread) = self.thread.take() {
            // It has no panic to pass on but the driver's, which the channel has told of.
            let _ = thread.join();
        }
    }
}
