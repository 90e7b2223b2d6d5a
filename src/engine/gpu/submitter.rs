//! Handing work to the driver, which may not come back: some drivers do the work then and there, or wait for earlier
//! work.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread that submits, so that nobody else hangs in the driver.
#[derive(Clone)]
pub(super) struct Submitter(Arc<Mutex<Ends>>);

struct Ends {
    /// None once the thread is to end.
    work: Option<Sender<wgpu::CommandBuffer>>,
    submitted: Receiver<wgpu::SubmissionIndex>,
    /// None where the driver did not come back: then the thread cannot be waited for.
    thread: Option<JoinHandle<()>>,
}

impl Submitter {
    /// Submits to a queue. The thread ends with the last of those who hold this.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub(super) fn of(queue: &wgpu::Queue) -> io::Result<Self> {
        let (work, arriving) = mpsc::channel();
        let (leaving, submitted) = mpsc::channel();
        let queue = queue.clone();
        let thread = std::thread::Builder::new().spawn(move || {
            while let Ok(commands) = arriving.recv() {
                if leaving.send(queue.submit([commands])).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self(Arc::new(Mutex::new(Ends { work: Some(work), submitted, thread: Some(thread) }))))
    }

    /// Submits, and waits so long at most until the driver has taken it.
    pub(super) fn submit(
        &self,
        commands: wgpu::CommandBuffer,
        timeout: Duration,
    ) -> Result<wgpu::SubmissionIndex, RecvTimeoutError> {
        let mut ends = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let work = ends.work.as_ref().ok_or(RecvTimeoutError::Disconnected)?;
        work.send(commands).map_err(|_| RecvTimeoutError::Disconnected)?;
        let taken = ends.submitted.recv_timeout(timeout);
        if matches!(taken, Err(RecvTimeoutError::Timeout)) {
            ends.thread = None;
        }
        taken
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
