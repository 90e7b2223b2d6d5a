//! Scoring with a trained generator: pictures of a folder, or batches of pixels.
//!
//! [`score_pictures`] scores files and folders of any size, in order. A [`Detector`] scores batches that the caller
//! prepares. Both take the path that is fastest for the task at hand, or the one that [`DetectorOptions`] name. Higher
//! scores are more anomalous; [`Calibration`] tells how high is unusual.
//!
//! ```no_run
//! use std::path::Path;
//! use pkdgan::model::ModelFile;
//! use pkdgan::scoring::{Detector, DetectorOptions};
//!
//! let file = ModelFile::read(Path::new("model.safetensors"))?;
//! // 500 images in batches of 64: timed on this machine, on a device only if that pays.
//! let (mut detector, _choice) = Detector::choose(&file, 64, &DetectorOptions::default().images(500))?;
//! let pixels = vec![0.0; 3 * detector.image_len()];
//! let scores = detector.submit(&pixels, false)?.wait()?.scores;
//! assert_eq!(scores.len(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod choose;
mod detector;
mod device;
mod error;
mod generator;
mod measure;
mod path;
mod scored_by;

pub use crate::anomaly_map::{MapScale, MapScaleError};
pub use crate::calibration::{Calibration, CalibrationError};
// Callers look for it here. This room does not use that one, which is below it.
pub use crate::stream::{Inspected, InspectedPictures, Picture, PictureBox, PictureFault, StreamError, score_pictures};
pub use choose::{Choice, DetectorOptions, Timing};
pub use detector::{Detector, Scores, Submitted};
pub use error::ScoringError;
pub(crate) use internals::*;
pub(crate) use measure::time_one_image;
pub use path::ScoringPath;
pub(crate) use scored_by::ScoredBy;

/// What is not of the public API: `pkdgan::unstable::scoring`.
pub(crate) mod internals {
    pub use super::detector::Wanted;
    pub use super::generator::Generator;
    pub use super::measure::{Figure, Measurement, measure};
}
