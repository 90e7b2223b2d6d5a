//! Scoring with a trained generator, on the path that is fastest for the task at hand.
//!
//! ```no_run
//! use std::path::Path;
//! use pkdgan::model::ModelFile;
//! use pkdgan::scoring::{Detector, DetectorOptions};
//!
//! let file = ModelFile::read(Path::new("model.safetensors"))?;
//! // 500 images in batches of 64: timed on this machine, on a device only if that pays.
//! let options = DetectorOptions { images: Some(500), ..DetectorOptions::default() };
//! let (mut detector, _choice) = Detector::choose(&file, 64, &options)?;
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

pub use choose::{Choice, DetectorOptions, Timing};
pub use detector::{Detector, Scores, Submitted};
pub use error::ScoringError;
pub use generator::Generator;
pub(crate) use measure::time_one_image;
pub use measure::{Figure, Measurement, measure};
pub use path::ScoringPath;
