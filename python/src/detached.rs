//! Work without Python's lock. Meanwhile the calling thread hears signals and calls back; panics become exceptions.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, Builder};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::errors::InternalError;

/// How often signals are looked for.
const LISTEN: Duration = Duration::from_millis(50);

/// The process that has threads which stay, or a driver; 0 for none.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Refuses work on threads that stay, and on drivers, in a process that was forked from one that has them: a fork takes no
/// threads along, so the work would wait for ever.
pub(crate) fn same_process() -> PyResult<()> {
    let owner = OWNER.load(Ordering::Relaxed);
    if owner == 0 || owner == std::process::id() {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(
        "this process was forked from one that had computed with pkdgan, whose threads are missing here; start processes \
         by multiprocessing's `spawn`",
    ))
}

/// Takes note that this process has threads which stay, or a driver.
pub(crate) fn keeps_threads() {
    OWNER.store(std::process::id(), Ordering::Relaxed);
}

/// Does short work without Python's lock, on this thread.
pub(crate) fn short<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    py.detach(|| caught(work))
}

/// Does work on another thread, without Python's lock. Ctrl-C and an exception of `on_event` set the flag that the work gets,
/// and are raised once it has ended. `on_event` is called on this thread, with what the work sends.
pub(crate) fn long<T: Send, E: Send>(
    py: Python<'_>,
    work: impl FnOnce(&AtomicBool, &Sender<E>) -> T + Send,
    on_event: impl FnMut(Python<'_>, E) -> PyResult<()> + Send,
) -> PyResult<T> {
    py.detach(move || listen(work, on_event))
}

fn listen<T: Send, E: Send>(
    work: impl FnOnce(&AtomicBool, &Sender<E>) -> T + Send,
    mut on_event: impl FnMut(Python<'_>, E) -> PyResult<()> + Send,
) -> PyResult<T> {
    let stop = &AtomicBool::new(false);
    let (events, heard) = channel();
    thread::scope(|scope| {
        // The sender goes with the work, so that its end is heard.
        let begun = Builder::new().spawn_scoped(scope, move || caught(|| work(stop, &events)));
        let worker = begun.map_err(|error| {
            let text =
                format!("no thread can be started: {error}; let other processes end, or raise the limit (ulimit -u)");
            PyRuntimeError::new_err(text)
        })?;
        let mut raised = None;
        loop {
            let event = match heard.recv_timeout(LISTEN) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if raised.is_some() {
                continue;
            }
            let outcome = Python::attach(|py| {
                py.check_signals()?;
                event.map_or(Ok(()), |event| on_event(py, event))
            });
            if let Err(error) = outcome {
                raised = Some(error);
                stop.store(true, Ordering::Relaxed);
            }
        }
        let done = worker.join().unwrap_or_else(|panic| Err(of_panic(&*panic)));
        raised.map_or(done, Err)
    })
}

fn caught<T>(work: impl FnOnce() -> T) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| of_panic(&*panic))
}

fn of_panic(panic: &(dyn Any + Send)) -> PyErr {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason is given");
    InternalError::new_err(format!("pkdgan failed: {}; please report this", said.replace('\n', " ")))
}

/// Panics in the place of work, for tests of what becomes of it.
#[pyfunction]
#[pyo3(name = "_panic_on_purpose")]
pub(crate) fn panic_on_purpose(py: Python<'_>, on_thread: bool) -> PyResult<()> {
    match on_thread {
        true => long(py, |_, _: &Sender<()>| panic!("on purpose"), |_, ()| Ok(())),
        false => short(py, || panic!("on purpose")),
    }
}
