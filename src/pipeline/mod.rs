//! A run from data to figures: stages in turn, each from the files that earlier ones left, then the evaluation.

mod begin;
mod complete;
mod data;
mod devices;
mod estimate;
mod evaluate;
mod finish;
mod local_devices;
mod localization;
mod normality;
mod page;
mod plan;
mod programs;
mod sensitivity;
mod train;

pub use begin::{GivenFiles, begin};
pub use complete::{Completion, complete};
pub use data::{Data, Own};
pub use devices::{Devices, TimedDevices, open_device};
pub use evaluate::{Evaluated, evaluate};
pub use finish::finish;
pub(crate) use local_devices::LocalDevices;
pub use local_devices::{find_gpu, kinds};
pub use localization::LocalizationTest;
pub use page::page;
pub use plan::Plan;
pub use programs::{expect_room, programs, scoring_programs};
pub use train::{Progress, train};

use crate::engine::DeviceKind;
use crate::train::{Event, Stage};

/// Who watches a run.
pub trait Watch {
    /// A stage begins, at a step, of so many.
    fn begin(&mut self, stage: Stage, done: usize, steps: usize);

    /// A device is being opened for a phase, which the kernels are compiled for: with some drivers that takes a minute
    /// the first time, and little afterwards.
    fn prepare(&mut self, phase: &str);

    /// Several kinds of devices were timed for a stage, and this one is taken.
    fn chose(&mut self, _stage: Stage, _kind: DeviceKind, _timed: &TimedDevices) {}

    /// Whether it wants to be told beforehand how long training will take. Some steps are timed for that.
    fn wants_estimate(&self) -> bool {
        false
    }

    /// Training will take about so long: seconds of each stage that is left.
    fn estimated(&mut self, _stages: &[(Stage, f64)]) {}

    /// An event of the stage. True asks to stop.
    fn trained(&mut self, stage: Stage, event: Event) -> bool;

    /// Whether to stop before the evaluation.
    fn stops(&self) -> bool {
        false
    }

    /// So many images of all have been scored with a network.
    fn scored(&mut self, network: &str, done: usize, images: usize);
}
