//! The folder of a run and the files in it.

mod devices;
mod error;
mod folder;
mod kernels;
mod localization;
mod lock;
mod metrics_log;
mod process;
mod references;
mod report;
mod scores;
mod sensitivity;
mod tensorboard;

pub use crate::files::{
    Appended, Given, WriteError, rename_whole, replace_whole, text_of, write_whole, write_whole_keeping,
};
pub use devices::{StageDevices, read_devices, write_devices};
pub use error::RunError;
pub use folder::{RunFile, RunFolder, model_file};
pub use kernels::{read_kernels, write_kernels};
pub use localization::{LocalizationReport, NetworkLocalization};
pub use lock::Lock;
pub use metrics_log::{Logged, MetricsLog, read_metrics};
pub use process::Processes;
pub use references::{read_references, write_references};
pub use report::{FilesReport, GroupsReport, NetworkReport, Report, ThresholdReport, UnusedFile, peak_rss_bytes};
pub use scores::{Score, picture_score_rows, read_scores, score_rows, write_picture_scores, write_scores};
pub(crate) use sensitivity::BETTER;
pub use sensitivity::{DetectorSensitivity, FoundDefect, SensitivityReport};
pub use tensorboard::EventFile;
