//! What a run computes on: one kind of device, or for each stage the one that proves faster.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use super::{Data, Plan, Watch};
use crate::config::Config;
use crate::engine::{DeviceKind, EngineError, Executor, KernelChoices};
use crate::run::{RunFolder, StageDevices, read_devices, read_kernels, write_devices};
use crate::train::{Stage, TrainError, Trainer};

/// Time for the steps of a trial that chooses between devices.
const TRIAL: Duration = Duration::from_millis(200);

/// Opens devices, each time anew: every stage has one of its own.
pub trait Devices {
    /// The kind that is to be taken, whatever a run began with; none to choose.
    fn fixed(&self) -> Option<DeviceKind> {
        None
    }

    /// The kinds that there are, best first; empty where [`Self::open`] knows without being told.
    fn kinds(&self) -> Vec<DeviceKind> {
        Vec::new()
    }

    /// Opens a device of a kind.
    ///
    /// # Errors
    /// Failures of the device.
    fn open(&self, kind: Option<DeviceKind>) -> Result<Box<dyn Executor>, EngineError>;
}

impl<F: Fn() -> Result<Box<dyn Executor>, EngineError>> Devices for F {
    fn open(&self, _kind: Option<DeviceKind>) -> Result<Box<dyn Executor>, EngineError> {
        self()
    }
}

/// Opens the device that a model file of a run is scored on: that of the stage which left it.
///
/// # Errors
/// A run folder that cannot be read, and failures of the device.
pub fn open_device(
    devices: &dyn Devices,
    folder: &RunFolder,
    config: &Config,
    model: &Path,
) -> Result<Box<dyn Executor>, TrainError> {
    let plan = Plan::new(config);
    let left = |&&stage: &&Stage| plan.files(stage, config).any(|file| Path::new(file.name()) == model);
    let stage = plan.stages.iter().find(left).copied().unwrap_or(plan.result);
    Ok(RunDevices::new(devices, folder)?.open(stage)?)
}

/// Kinds of devices that were timed, each with the seconds of a step.
pub type TimedDevices = Vec<(DeviceKind, f64)>;

/// The devices of a run, as its folder says, and with the kernels that it began with.
pub(crate) struct RunDevices<'a> {
    devices: &'a dyn Devices,
    folder: &'a RunFolder,
    kernels: KernelChoices,
    chosen: RefCell<StageDevices>,
}

impl<'a> RunDevices<'a> {
    /// Reads what the folder says.
    pub(super) fn new(devices: &'a dyn Devices, folder: &'a RunFolder) -> Result<Self, TrainError> {
        let chosen = RefCell::new(read_devices(folder)?);
        Ok(Self { devices, folder, kernels: read_kernels(folder)?, chosen })
    }

    /// Opens the device of a stage: the one that is fixed, else the stage's own, else the best.
    pub(super) fn open(&self, stage: Stage) -> Result<Box<dyn Executor>, EngineError> {
        let own = || self.chosen.borrow().get(stage.name()).copied();
        self.open_kind(self.devices.fixed().or_else(own).or_else(|| self.devices.kinds().first().copied()))
    }

    fn open_kind(&self, kind: Option<DeviceKind>) -> Result<Box<dyn Executor>, EngineError> {
        let mut executor = self.devices.open(kind)?;
        executor.choose_kernels(&self.kernels);
        Ok(executor)
    }

    /// Makes a stage ready on its device. Where there are several kinds and the run has not chosen yet, some steps are timed on
    /// each, the faster one is taken, and the folder keeps the choice.
    pub(super) fn trainer(
        &self,
        config: &Config,
        stage: Stage,
        data: &Data,
        watch: &mut dyn Watch,
    ) -> Result<(Box<dyn Executor>, Trainer), TrainError> {
        let prepare = |kind| -> Result<_, TrainError> {
            let mut executor = self.open_kind(kind)?;
            let trainer = Trainer::new(config, stage, executor.as_mut(), &data.train.images, &data.split.train)?;
            Ok((executor, trainer))
        };
        let own = self.chosen.borrow().get(stage.name()).copied();
        let kinds = self.devices.fixed().or(own).map_or_else(|| self.devices.kinds(), |kind| vec![kind]);
        let (ready, kind) = match kinds[..] {
            [] => return prepare(None),
            [kind] => (prepare(Some(kind))?, kind),
            _ => self.fastest(stage, &kinds, prepare, watch)?,
        };
        // The CPU may have taken the place of an adapter that could not be opened.
        let kind = if ready.0.summary().is_cpu_executor() { DeviceKind::Cpu } else { kind };
        if own != Some(kind) {
            self.chosen.borrow_mut().insert(stage.name().to_owned(), kind);
            write_devices(self.folder, &self.chosen.borrow())?;
        }
        Ok(ready)
    }

    fn fastest<T: Steps>(
        &self,
        stage: Stage,
        kinds: &[DeviceKind],
        prepare: impl Fn(Option<DeviceKind>) -> Result<T, TrainError>,
        watch: &mut dyn Watch,
    ) -> Result<(T, DeviceKind), TrainError> {
        let mut timed = TimedDevices::new();
        let mut best: Option<(T, DeviceKind, f64)> = None;
        for (index, &kind) in kinds.iter().enumerate() {
            let tried = prepare(Some(kind)).and_then(|mut ready| Ok((ready.trial(TRIAL)?, ready)));
            let (seconds, ready) = match tried {
                // Another may be able to.
                Err(TrainError::Engine(error))
                    if error.is_of_device() && (best.is_some() || index + 1 < kinds.len()) =>
                {
                    tracing::warn!("{error}");
                    continue;
                }
                tried => tried?,
            };
            timed.push((kind, seconds));
            if best.as_ref().is_none_or(|(_, _, least)| seconds < *least) {
                best = Some((ready, kind, seconds));
            }
        }
        let none = || TrainError::Settings("there is no device to compute on".into());
        let (ready, kind, _) = best.ok_or_else(none)?;
        watch.chose(stage, kind, &timed);
        Ok((ready, kind))
    }
}

/// What can take some steps to be timed.
pub(super) trait Steps {
    /// Seconds of a step, from steps that take about `time`.
    fn trial(&mut self, time: Duration) -> Result<f64, TrainError>;
}

impl Steps for (Box<dyn Executor>, Trainer) {
    fn trial(&mut self, time: Duration) -> Result<f64, TrainError> {
        self.1.trial(self.0.as_mut(), time)
    }
}
