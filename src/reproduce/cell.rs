//! A cell of a grid: a run with its folder, configuration and state.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use super::ReproduceError;
use crate::config::{Budget, Config, ConfigError, Goal};
use crate::engine::KernelChoices;
use crate::files::read_text;
use crate::model::ModelFile;
use crate::pipeline::{self, Completion, Data, Devices, GivenFiles, Plan, Watch};
use crate::report::ReportError;
use crate::run::{Report, RunError, RunFile, RunFolder, replace_whole};
use crate::train::{Role, TrainError};

/// Multiply-accumulates that a step costs beside those of its images, roughly.
const STEP_COST: f64 = 1e7;
/// Longest note of a failure that is read, in bytes.
const MAX_FAILURE: u64 = 1 << 12;
/// Images that a network is evaluated on, roughly.
const EVALUATED: f64 = 1e4;

/// A run of a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// What it is called beside data set, class and seed.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Every setting.
    pub config: Config,
    /// The cell that it goes on from.
    pub origin: Option<Origin>,
}

/// What a cell takes from another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Its teacher, trained in that folder, which reports it.
    Teacher(PathBuf),
    /// Its network itself, trained in that folder: it is only scored with other statistics.
    Network(PathBuf),
}

impl Origin {
    /// The folder of the other cell.
    pub fn folder(&self) -> &Path {
        match self {
            Self::Teacher(folder) | Self::Network(folder) => folder,
        }
    }
}

/// How far a cell is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not begun.
    New,
    /// Begun; it goes on from what is in its folder.
    Begun,
    /// A process is at work on it.
    Running,
    /// Its numbers became infinite or not a number.
    Failed {
        /// What became so, and when.
        why: String,
        /// When it was noticed.
        at: SystemTime,
    },
    /// Trained, evaluated and reported.
    Done,
}

/// How an attempt to run a cell ended.
#[derive(Debug)]
pub enum Attempt {
    /// It is done.
    Done(Box<Report>),
    /// Asked to stop: a checkpoint is there to go on from.
    Stopped,
    /// Another process is at work on it.
    Held,
}

/// What cells are computed on.
pub struct Device<'a> {
    /// Opens them.
    pub devices: &'a dyn Devices,
    /// The kernels that new runs are to compute with.
    pub kernels: KernelChoices,
}

impl Cell {
    /// Data set, class, seed and name.
    pub fn title(&self) -> String {
        let Config { data, training, .. } = &self.config;
        format!("{} class {} seed {}, {}", data.dataset, data.normal, training.seed, self.name)
    }

    /// How far it is.
    ///
    /// # Errors
    /// A folder that holds a run with other settings, or a configuration that cannot be read.
    pub fn state(&self) -> Result<State, ReproduceError> {
        let folder = &self.folder;
        let there = |file: RunFile| folder.join(file.name()).exists();
        let foreign = |difference| Err(ReproduceError::Foreign { folder: folder.clone(), difference });
        if !there(RunFile::Config) {
            let trained = [RunFile::Model, RunFile::Checkpoint, RunFile::Report].into_iter().find(|&file| there(file));
            return match trained {
                Some(file) => foreign(format!("{} without {}", file.name(), RunFile::Config.name())),
                None => Ok(State::New),
            };
        }
        match self.difference(Config::read(&folder.join(RunFile::Config.name()))?)? {
            Some(difference) => foreign(difference),
            None if there(RunFile::Report) => Ok(State::Done),
            None if RunFolder::is_taken(folder) => Ok(State::Running),
            None => Ok(self.failure().unwrap_or(State::Begun)),
        }
    }

    fn file(&self, file: RunFile) -> PathBuf {
        self.folder.join(file.name())
    }

    /// What its last process noted, where its numbers were at fault.
    fn failure(&self) -> Option<State> {
        let file = self.file(RunFile::Failure);
        let at = fs::metadata(&file).and_then(|file| file.modified()).ok()?;
        let why = read_text(&file, MAX_FAILURE).ok()?.trim_end().to_owned();
        Some(State::Failed { why, at })
    }

    /// The report of a cell that is done.
    ///
    /// # Errors
    /// A report that cannot be read.
    pub fn report(&self) -> Result<Report, ReproduceError> {
        Ok(Report::read(&self.folder.join(RunFile::Report.name()))?)
    }

    /// Trains what is not trained yet, evaluates all but teachers of other cells, and reports.
    ///
    /// # Errors
    /// What goes wrong with data, training, files and device; what was done stays.
    pub fn run(&self, device: &Device, watch: &mut dyn Watch) -> Result<Attempt, ReproduceError> {
        let new = self.state()? == State::New;
        let failed = match self.train(new, device, watch) {
            Ok(attempt) => return Ok(attempt),
            Err(ReportError::Run(RunError::InUse { .. })) => return Ok(Attempt::Held),
            // Another process was quicker to begin it.
            Err(ReportError::Run(RunError::NotEmpty(_))) if new && self.state()? != State::New => {
                return Ok(Attempt::Held);
            }
            Err(failed) => failed,
        };
        let not_finite = match failed {
            ReportError::Train(error) => *error,
            source => return Err(ReproduceError::Cell { cell: self.title(), source }),
        };
        let TrainError::NotFinite { what, value, step, .. } = not_finite else {
            return Err(ReproduceError::Cell { cell: self.title(), source: not_finite.into() });
        };
        let why = format!("{what} became {value} at step {step}\n");
        if let Err(error) = replace_whole(&self.file(RunFile::Failure), |file| file.write_all(why.as_bytes())) {
            return Err(ReproduceError::Cell { cell: self.title(), source: error.into() });
        }
        Err(ReproduceError::Diverged { cell: self.title(), what, value, step, folder: self.folder.clone() })
    }

    /// What it takes to run all of it, in multiply-accumulates, roughly: to tell the time left from the time taken.
    pub fn cost(&self) -> f64 {
        let config = &self.config;
        let plan = Plan::new(config);
        let (teacher, student) = (config.teacher().generator_macs() as f64, config.student().generator_macs() as f64);
        let trained = matches!(self.origin, Some(Origin::Network(_)));
        let stages = plan.stages.iter().map(|stage| {
            let Budget { batch_size, steps, .. } = stage.budget(config);
            let steps = if trained { 0 } else { steps };
            let images = (batch_size * steps) as f64;
            let network = |role: Option<Role>, macs: f64| match role {
                Some(Role::Trained { .. }) => 3.0 * macs * images + macs * EVALUATED,
                Some(Role::Frozen) => macs * images.min(EVALUATED),
                None => 0.0,
            };
            let networks = network(stage.teacher(config), teacher) + network(stage.student(config), student);
            STEP_COST * steps as f64 + networks
        });
        stages.sum()
    }

    fn train(&self, new: bool, device: &Device, watch: &mut dyn Watch) -> Result<Attempt, ReportError> {
        let started = Instant::now();
        let (config, devices) = (&self.config, device.devices);
        // A folder that another process has taken is passed over before images are read.
        let resumed = if new { None } else { Some(RunFolder::resume(&self.folder)?) };
        // It is tried anew; only what stops it now is of interest.
        let _ = fs::remove_file(self.file(RunFile::Failure));
        let data = Data::load(config, &mut |_, _| {})?;
        let folder = match resumed {
            Some(folder) => folder,
            None => {
                // Without force: another process may have begun it in the meantime.
                let given = match &self.origin {
                    Some(Origin::Teacher(folder)) => GivenFiles::read(Some(&folder.join(RunFile::Model.name())), None)?,
                    Some(Origin::Network(_)) | None => GivenFiles::default(),
                };
                pipeline::begin(config, &self.folder, false, &given, &device.kernels)?
            }
        };
        if let Some(Origin::Network(origin)) = &self.origin {
            // The run finds its result there, and has nothing left to train.
            let plan = Plan::new(config);
            let network = ModelFile::read(&origin.join(RunFile::Model.name())).map_err(TrainError::from)?;
            let network = network.statistics(config.statistics(plan.network(plan.result)));
            network.write(&folder.file(RunFile::Model)).map_err(TrainError::from)?;
        }
        // Another cell reports the teacher; this one says what it became beside the student.
        let leave_out: &[&str] = if matches!(self.origin, Some(Origin::Teacher(_))) { &["teacher"] } else { &[] };
        let completion = pipeline::complete(config, &folder, &data, devices, leave_out, started, watch)?;
        Ok(match completion {
            Completion::Done(report) => Attempt::Done(report),
            Completion::Stopped(..) => Attempt::Stopped,
        })
    }

    /// The first setting that differs in a configuration and has a part in this cell. Where the data lie has none, nor
    /// have students in teachers, nor distillation in students alone.
    fn difference(&self, mut found: Config) -> Result<Option<String>, ConfigError> {
        let wanted = &self.config;
        if found.run.stage == wanted.run.stage {
            found.data.folder.clone_from(&wanted.data.folder);
            if matches!(wanted.run.stage, Goal::Teacher | Goal::Student) {
                found.distillation.clone_from(&wanted.distillation);
            }
            if wanted.run.stage == Goal::Teacher {
                found.student.clone_from(&wanted.student);
            }
        }
        found.difference(wanted)
    }
}
