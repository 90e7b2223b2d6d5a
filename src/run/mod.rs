//! The folder of a run and the files in it.

mod atomic;
mod error;
mod folder;
mod lock;
mod metrics_log;
mod report;
mod scores;

pub use atomic::{WriteError, rename_whole, write_whole, write_whole_keeping};
pub use error::RunError;
pub use folder::{RunFile, RunFolder};
pub use metrics_log::MetricsLog;
pub use report::{NetworkReport, Report, ThresholdReport, peak_rss_bytes};
pub use scores::{Score, read_scores, write_scores};
