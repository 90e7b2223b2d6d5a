//! The flags that the commands share that score pictures, and what these make of them: what is looked for, how it is decoded,
//! what scores it.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;

use clap::Args;
use pkdgan::model::ModelFile;
use pkdgan::scoring::{Choice, DetectorOptions, ScoringError};
use pkdgan::unstable::data::{MemoryBudget, PatternError, Patterns, Search};
use pkdgan::unstable::stream::{SharedDetector, Way};

use super::device::{Device, PathChoice};
use super::units;

/// Which files of folders are scored.
#[derive(Args)]
pub(super) struct Selection {
    /// Of the files in folders take only those whose names fit this pattern, such as `*.png` or `monday/**`; repeatable.
    /// A pattern without a slash is for the name in any folder
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Leave out files and folders whose names fit this pattern; repeatable
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Enter folders where another file system is mounted; without it, each is named as a failure
    #[arg(long)]
    cross_file_systems: bool,
}

impl Selection {
    /// How folders are looked through.
    pub(super) fn search(&self) -> Result<Search, PatternError> {
        let patterns = Patterns::new(&self.include, &self.exclude)?;
        Ok(Search { cross_file_systems: self.cross_file_systems, patterns, ..Search::default() })
    }
}

/// How pictures are scored.
#[derive(Args)]
pub(super) struct Scoring {
    /// Score damaged pictures too, as far as they can be decoded, and say which they are
    #[arg(long)]
    lenient: bool,
    /// Threads that decode pictures [default: one a core]
    #[arg(long, value_name = "N", help_heading = "Device", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Memory that pictures may take while they are decoded, those of all threads together, as `512M` or `2G`; who would
    /// exceed it waits [default: an eighth of this machine's, 1.75G at least, half at most]
    #[arg(long, value_name = "SIZE", help_heading = "Device", value_parser = units::bytes)]
    memory: Option<u64>,
    /// How to run the network: `op-by-op`, `fused-f32`, `fused-f16` (scores differ by up to 1 %), `cpu`, or `auto` for
    /// the fastest in single precision, and no device where it has little to win
    #[arg(long, value_name = "NAME", default_value = "auto", help_heading = "Device")]
    path: PathChoice,
    #[command(flatten)]
    device: Device,
}

impl Scoring {
    /// Threads that decode.
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(|| available_parallelism().map_or(1, Into::into), usize::from)
    }

    /// How pictures are decoded for a model.
    pub(super) fn way(&self, model: &ModelFile) -> Way {
        let memory = Arc::new(self.memory.map_or_else(MemoryBudget::of_machine, MemoryBudget::new));
        Way { preprocessing: model.preprocessing, lenient: self.lenient, memory }
    }

    /// What a detector may use.
    pub(super) fn options(&self) -> DetectorOptions {
        self.device.detector_options(self.path.0).more_devices(self.device.more_adapters())
    }

    /// Makes a model ready; where `options` do not say how many pictures there are, those of `paths` are counted.
    pub(super) fn detector(
        &self,
        model: &ModelFile,
        paths: &[PathBuf],
        search: &Search,
        options: DetectorOptions,
    ) -> Result<(SharedDetector, Choice), ScoringError> {
        SharedDetector::choose(model, paths, search, self.threads(), options)
    }
}

/// Says once that the device failed and the CPU path took its place.
#[derive(Default)]
pub(super) struct Fallback {
    said: bool,
}

impl Fallback {
    /// What is to be said, if it is new.
    pub(super) fn news(&mut self, detector: &SharedDetector) -> Option<String> {
        let problem = detector.failure().filter(|_| !self.said)?;
        self.said = true;
        Some(format!("warning: {problem}\nwarning: going on with the CPU path"))
    }
}
