//! Lines on standard output and standard error, either of which may be closed or full. The macros of the standard
//! library panic then, so nothing here or elsewhere in the program uses them.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write, stderr, stdout};

/// Results could not be written to standard output.
#[derive(Debug, thiserror::Error)]
#[error("standard output cannot be written: {0}")]
pub(super) struct OutputError(#[from] io::Error);

impl OutputError {
    /// Whether whoever read the results has enough of them.
    pub(super) fn is_closed(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Writes a line of results.
///
/// # Errors
/// A closed pipe, a full device.
pub(super) fn line(text: impl Display) -> Result<(), OutputError> {
    let mut out = stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Writes results that end with a line break of their own.
///
/// # Errors
/// A closed pipe, a full device.
pub(super) fn text(text: impl Display) -> Result<(), OutputError> {
    let mut out = stdout().lock();
    write!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Writes a line for a person to standard error. Work goes on where nobody can read it.
pub(super) fn note(text: impl Display) {
    let _ = writeln!(stderr().lock(), "{text}");
}

/// Whether standard error is a terminal that can do more than print lines.
pub(super) fn has_terminal() -> bool {
    stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}

/// Whether standard error takes colours, and nobody asked for none (https://no-color.org).
pub(super) fn has_colours() -> bool {
    has_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
