//! Errors as Python exceptions: the class says the kind, the text is the library's.

use std::error::Error;
use std::io;

use pkdgan::data::{DataError, PictureError, PictureProblem};
use pkdgan::engine::EngineError;
use pkdgan::scoring::{PictureFault, ScoringError, StreamError};
use pkdgan::training::{RunError, TrainError, TrainingError};
use pyo3::exceptions::{
    PyFileNotFoundError, PyIsADirectoryError, PyNotADirectoryError, PyOSError, PyPermissionError, PyRuntimeError,
    PyValueError,
};
use pyo3::{PyErr, create_exception};

create_exception!(pkdgan, DeviceError, PyRuntimeError, "There is no such adapter, or it failed.");
create_exception!(pkdgan, InternalError, PyRuntimeError, "A fault of pkdgan itself. Please report it.");

/// What a failure is, whatever wraps it.
enum Kind {
    /// The system refuses.
    System(io::ErrorKind),
    /// There is no adapter, or it failed.
    Device,
    /// The work failed: no other arguments help.
    Work,
    /// The arguments cannot be used.
    Value,
}

/// An error as the exception of its kind, in one line.
pub(crate) fn exception(error: &(dyn Error + 'static)) -> PyErr {
    let text = said(error);
    match kind(error) {
        Kind::System(io::ErrorKind::NotFound) => PyFileNotFoundError::new_err(text),
        Kind::System(io::ErrorKind::PermissionDenied) => PyPermissionError::new_err(text),
        Kind::System(io::ErrorKind::IsADirectory) => PyIsADirectoryError::new_err(text),
        Kind::System(io::ErrorKind::NotADirectory) => PyNotADirectoryError::new_err(text),
        Kind::System(_) => PyOSError::new_err(text),
        Kind::Device => DeviceError::new_err(text),
        Kind::Work => PyRuntimeError::new_err(text),
        Kind::Value => PyValueError::new_err(text),
    }
}

/// The error with its causes, but for those that what is said already quotes, in one line.
fn said(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text.replace("\n  ", "; ").replace(|c: char| c.is_control(), "\u{fffd}")
}

fn kind(error: &(dyn Error + 'static)) -> Kind {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return Kind::System(error.kind());
    }
    if let Some(error) = error.downcast_ref::<EngineError>() {
        return if error.is_of_device() { Kind::Device } else { Kind::Value };
    }
    if let Some(error) = error.downcast_ref::<PictureError>() {
        return match &error.problem {
            PictureProblem::Read(source) => Kind::System(source.kind()),
            _ => Kind::Value,
        };
    }
    match error.downcast_ref() {
        Some(PictureFault::Picture(error)) => return kind(error),
        Some(PictureFault::NotFinite { .. }) => return Kind::Work,
        _ => {}
    }
    match error.downcast_ref() {
        Some(StreamError::Scoring(error)) => return kind(&**error),
        Some(StreamError::Picture(error)) => return kind(&**error),
        Some(StreamError::Thread(_)) => return Kind::Work,
        _ => {}
    }
    match error.downcast_ref() {
        Some(ScoringError::Engine(error)) => return kind(error),
        Some(ScoringError::Model(error)) => return kind(&**error),
        _ => {}
    }
    match error.downcast_ref() {
        Some(TrainingError::Train(error)) => return kind(error),
        Some(TrainingError::Data(error)) => return kind(error),
        Some(TrainingError::Run(error)) => return kind(error),
        Some(TrainingError::Config(_) | TrainingError::OtherRun { .. }) => {}
        Some(_) => return Kind::Work,
        None => {}
    }
    match error.downcast_ref() {
        Some(TrainError::Engine(error)) => return kind(error),
        Some(TrainError::Data(error)) => return kind(error),
        Some(TrainError::Run(error)) => return kind(error),
        Some(TrainError::Config(_) | TrainError::Settings(_) | TrainError::Weights(_)) => {}
        Some(_) => return Kind::Work,
        None => {}
    }
    if let Some(DataError::NoFolder { .. }) = error.downcast_ref() {
        return Kind::System(io::ErrorKind::NotFound);
    }
    match error.downcast_ref() {
        Some(RunError::NoFolder(_) | RunError::Incomplete { .. }) => return Kind::System(io::ErrorKind::NotFound),
        Some(RunError::InUse { .. } | RunError::NotFinite { .. }) => return Kind::Work,
        _ => {}
    }
    error.source().map_or(Kind::Value, kind)
}
