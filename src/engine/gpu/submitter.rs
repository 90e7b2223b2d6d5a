//! Handing work to the driver, which may not come back: some drivers do the work then and there.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A thread that submits, so that nobody else hangs in the driver.
#[derive(Clone)]
pub(super) struct Submitter(Arc<Mutex<Ends>>);

struct Ends {
    work: Sender<wgpu::CommandBuffer>,
    submitted: Receiver<wgpu::SubmissionIndex>,
}

impl Submitter {
    /// Submits to a queue. The thread ends with the last of those who hold this.
    pub fn of(queue: &wgpu::Queue) -> Self {
        let (work, arriving) = mpsc::channel();
        let (leaving, submitted) = mpsc::channel();
        let queue = queue.clone();
        std::thread::spawn(move || {
            while let Ok(commands) = arriving.recv() {
                if leaving.send(queue.submit([commands])).is_err() {
                    break;
                }
            }
        });
        Self(Arc::new(Mutex::new(Ends { work, submitted })))
    }

    /// Submits, and waits so long at most until the driver has taken it.
    pub fn submit(
        &self,
        commands: wgpu::CommandBuffer,
        patience: Duration,
    ) -> Result<wgpu::SubmissionIndex, RecvTimeoutError> {
        let ends = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        ends.work.send(commands).map_err(|_| RecvTimeoutError::Disconnected)?;
        ends.submitted.recv_timeout(patience)
    }
}
