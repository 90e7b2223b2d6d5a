//! What the binary, the benches and the tests need beside the public API. **Nothing here is stable**: any version may
//! change or remove it, patch releases too, and the changelog does not say so.
//!
//! The modules have the names of the rooms that ARCHITECTURE.md describes. A room that the public API opens in part, such
//! as [`crate::engine`], shows here only the rest of it.

/// Where the anomaly is: maps, boxes, how well they point at known defects.
pub mod anomaly_map {
    pub use crate::anomaly_map::*;
}

/// Simple detectors on the same pixels.
pub mod baselines {
    pub use crate::baselines::*;
}

/// The user's cache folder: measured kernels, compiled kernels.
pub mod cache {
    pub use crate::cache::*;
}

/// P-values and thresholds from the scores of held-out normal images.
pub mod calibration {
    pub use crate::calibration::*;
}

/// Layers of settings; the rest is in [`crate::config`].
pub mod config {
    pub use crate::config::internals::*;
}

/// File formats, folders, manifests, splits; the rest is in [`crate::data`].
pub mod data {
    pub use crate::data::internals::*;

    /// Downloading and unpacking data sets.
    pub mod fetch {
        pub use crate::data::fetch::*;
    }
}

/// The reference executor, kernels, measurements, faults made on purpose; the rest is in [`crate::engine`].
pub mod engine {
    pub use crate::engine::internals::*;
}

/// Models for other programs: ONNX graphs, half precision.
pub mod export {
    pub use crate::export::*;
}

/// The networks' variables and graphs; the rest is in [`crate::model`].
pub mod model {
    pub use crate::model::internals::*;
}

/// What a stream of scores says of the promise that calibration made.
pub mod monitor {
    pub use crate::monitor::*;
}

/// A run: its stages in turn, their devices, evaluation, report. [`crate::training`] wraps it.
pub mod pipeline {
    pub use crate::pipeline::*;
}

/// The page of a run, and of several.
pub mod report {
    pub use crate::report::*;
}

/// Grids of runs.
pub mod reproduce {
    pub use crate::reproduce::*;
}

/// Rows of many trained networks, tables, studies, plots.
pub mod results {
    pub use crate::results::*;
}

/// The run folder and its files.
pub mod run {
    pub use crate::run::*;
}

/// The planned generator, and measurements of detectors; the rest is in [`crate::scoring`].
pub mod scoring {
    pub use crate::scoring::internals::*;
}

/// Defects painted into normal images.
pub mod sensitivity {
    pub use crate::sensitivity::*;
}

/// One part of work that several processes share.
pub mod shard {
    pub use crate::shard::*;
}

/// Scoring pictures as they are found; the public part of it is in [`crate::scoring`].
pub mod stream {
    pub use crate::stream::*;
}

/// Starting threads.
pub mod threads {
    pub use crate::threads::can_start;
}

/// Stages, steps, the training loop, checkpoints, evaluation.
pub mod train {
    pub use crate::train::*;
}

/// Which build of the program this is.
pub mod version {
    pub use crate::version::*;
}

/// Safetensors files.
pub mod weights {
    pub use crate::weights::*;
}
