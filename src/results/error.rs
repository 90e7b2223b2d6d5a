//! What can be wrong with results, said in one line.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::message::shortened;
use crate::run::WriteError;

/// Why results could not be read, kept or drawn.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ResultsError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}; check that it exists and may be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The failure itself.
        source: io::Error,
    },
    /// A line of a file is no result.
    #[error("{}: line {line}: {}; mend or remove the line, and what it stood for is run again", path.display(), shortened(message))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The fault.
        message: String,
    },
    /// A result that cannot be kept.
    #[error("result of {run}: {message}; the run diverged or is not one of a grid")]
    Refused {
        /// Data set, class, network and seed.
        run: String,
        /// The fault.
        message: String,
    },
    /// A plot cannot be drawn.
    #[error("plot `{title}`: {message}; the tables beside it hold its figures")]
    Plot {
        /// Heading of the plot.
        title: String,
        /// The fault.
        message: String,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}
