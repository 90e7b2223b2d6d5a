//! Training a detector: on pictures of your own, or on a class of a published data set.
//!
//! A [`Training`] is a run in the making. [`Training::run`] trains the networks that its settings ask for, evaluates them
//! and fills a run folder, as `pkdgan train` does. The folder's `model.safetensors` is the result. docs/run-folder.md
//! describes every file.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use std::path::Path;
//! use pkdgan::training::{Outcome, Progress, Training};
//!
//! let training = Training::on_images("photos/good").side(64).anomalies("photos/bad").on_progress(|progress| {
//!     if let Progress::Training { stage, step, steps, .. } = progress {
//!         eprintln!("{stage}: step {step} of {steps}");
//!     }
//!     ControlFlow::Continue(())
//! });
//! match training.run(Path::new("runs/photos"))? {
//!     Outcome::Done(run) => println!("AUROC {:?}, model {}", run.auroc(), run.model_path().display()),
//!     Outcome::Stopped { stage, step, steps } => println!("stopped in {stage} after step {step} of {steps}"),
//! }
//! # Ok::<(), pkdgan::training::TrainingError>(())
//! ```

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::config::{Config, Goal, ImagesConfig, Recipe};
use crate::data::{Dataset, PictureError, Source};
use crate::engine::{DeviceKind, GpuOptions, KernelChoices};
use crate::model::{ModelFile, WeightsError};
use crate::pipeline::{self, Completion, Data, Devices, GivenFiles, LocalDevices, Watch};
use crate::run::{Report, RunFile, RunFolder};
use crate::train::Event;

pub use crate::config::ConfigError;
pub use crate::data::DataError;
pub use crate::report::ReportError;
pub use crate::run::{RunError, WriteError};
pub use crate::train::{Stage, TrainError};

/// What can go wrong in [`Training::run`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// A setting is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Images are missing or damaged, or too few.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file of the run folder cannot be read or written, or another process has the folder.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The folder holds a run with other settings, or of other pictures.
    #[error("{}: holds another run: {difference}; choose another folder", folder.display())]
    OtherRun {
        /// The folder.
        folder: PathBuf,
        /// The first setting that differs.
        difference: String,
    },
    /// A network cannot be trained, the training diverged, or a device failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The run is trained, but its page or report cannot be made.
    #[error(transparent)]
    Report(#[from] ReportError),
}

/// What a [`Training`] is doing.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// So many pictures of a folder are read.
    Reading {
        /// Pictures read.
        done: usize,
        /// Pictures in the folder.
        pictures: usize,
    },
    /// A device is being opened, which may compile kernels for a minute.
    Preparing {
        /// What it is opened for.
        phase: &'a str,
    },
    /// Steps of a stage are done; said some times a second.
    Training {
        /// The stage.
        stage: Stage,
        /// Steps done.
        step: usize,
        /// Steps of the stage.
        steps: usize,
        /// The latest step's losses by name, unweighted; docs/run-folder.md explains the names.
        losses: &'a [(&'static str, f32)],
    },
    /// Images are scored with a network.
    Scoring {
        /// What is scored, or with which network.
        network: &'a str,
        /// Images scored.
        done: usize,
        /// Images in all.
        images: usize,
    },
}

/// How a [`Training`] ended.
#[derive(Debug)]
pub enum Outcome {
    /// All is trained, evaluated and written.
    Done(TrainedRun),
    /// The callback asked to stop. A checkpoint is written, and the same [`Training`] on the same folder goes on from it.
    Stopped {
        /// The stage it stopped in.
        stage: Stage,
        /// Steps of the stage that are done.
        step: usize,
        /// Steps of the stage.
        steps: usize,
    },
}

/// A run that is done.
#[derive(Debug)]
pub struct TrainedRun {
    folder: PathBuf,
    report: Box<Report>,
    skipped: Vec<PictureError>,
}

impl TrainedRun {
    /// The run folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the trained model lies.
    pub fn model_path(&self) -> PathBuf {
        self.folder.join(RunFile::Model.name())
    }

    /// Reads the trained model, for [`crate::scoring`].
    ///
    /// # Errors
    /// A file that cannot be read any more.
    pub fn model(&self) -> Result<ModelFile, WeightsError> {
        ModelFile::read(&self.model_path())
    }

    /// Area under the ROC curve on the evaluation images, 0 to 1; `None` without anomalous ones.
    pub fn auroc(&self) -> Option<f64> {
        self.report.auroc
    }

    /// Average precision on the evaluation images, anomalous ones as positives, 0 to 1; `None` without anomalous ones.
    pub fn average_precision(&self) -> Option<f64> {
        self.report.average_precision
    }

    /// Seconds that the run took over all processes that worked on it; of one that was killed, up to its last checkpoint.
    pub fn seconds(&self) -> f64 {
        self.report.seconds_total
    }

    /// The picture files that could not be used.
    pub fn skipped(&self) -> &[PictureError] {
        &self.skipped
    }
}

/// A run in the making: what to train on, with which settings, on which device.
///
/// Settings come from a recipe, or from a [`Config`]. The other methods change single ones, in any order.
pub struct Training<'a> {
    source: TrainOn,
    recipe: Recipe,
    config: Option<Config>,
    side: Option<usize>,
    seed: Option<u64>,
    goal: Option<Goal>,
    teacher: Option<PathBuf>,
    device: Option<DeviceKind>,
    gpu: GpuOptions,
    progress: Box<Callback<'a>>,
}

type Callback<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

enum TrainOn {
    Images { folder: PathBuf, anomalies: Option<PathBuf>, test_normal: Option<PathBuf> },
    Class { dataset: Dataset, class: u8, folder: Option<PathBuf> },
}

impl<'a> Training<'a> {
    /// On the picture files (PNG, JPEG, BMP, TIFF, WebP, GIF, PNM) of a folder, however deep, all of them normal. At least 20,
    /// some hundreds are good. A folder with `train/good` and `test` is taken for the layout of MVTec AD: the first trains, the
    /// second judges.
    pub fn on_images(folder: impl Into<PathBuf>) -> Self {
        Self::on(TrainOn::Images { folder: folder.into(), anomalies: None, test_normal: None })
    }

    /// On one class, 0 to 9, of a published data set, which `pkdgan data fetch` downloads.
    pub fn on_dataset(dataset: Dataset, class: u8) -> Self {
        Self::on(TrainOn::Class { dataset, class, folder: None })
    }

    fn on(source: TrainOn) -> Self {
        Self {
            source,
            recipe: Recipe::default(),
            config: None,
            side: None,
            seed: None,
            goal: None,
            teacher: None,
            device: None,
            gpu: GpuOptions::default(),
            progress: Box::new(|_| ControlFlow::Continue(())),
        }
    }

    /// Evaluates on the anomalous pictures of this folder too, beside normal ones that are held out of training for
    /// that. Without effect on published data sets, whose other classes are anomalous.
    #[must_use]
    pub fn anomalies(mut self, folder: impl Into<PathBuf>) -> Self {
        if let TrainOn::Images { anomalies, .. } = &mut self.source {
            *anomalies = Some(folder.into());
        }
        self
    }

    /// Normal pictures to test with beside the anomalous ones, so that no others are held out of training for that. The folder
    /// may lie within that of the anomalous ones.
    #[must_use]
    pub fn test_normal(mut self, folder: impl Into<PathBuf>) -> Self {
        if let TrainOn::Images { test_normal, .. } = &mut self.source {
            *test_normal = Some(folder.into());
        }
        self
    }

    /// The folder that holds a folder for each published data set; the usual places are searched otherwise. Without
    /// effect on own pictures.
    #[must_use]
    pub fn data_folder(mut self, data: impl Into<PathBuf>) -> Self {
        if let TrainOn::Class { folder, .. } = &mut self.source {
            *folder = Some(data.into());
        }
        self
    }

    /// Side of the networks' square images, in pixels: 32 (the default), or for own pictures 64 or 128.
    #[must_use]
    pub fn side(self, side: usize) -> Self {
        Self { side: Some(side), ..self }
    }

    /// Seed of initial weights and of the order of images; 0 by default.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Settings by the name of a recipe.
    #[must_use]
    pub fn recipe(self, recipe: Recipe) -> Self {
        Self { recipe, ..self }
    }

    /// All settings, in place of a recipe's. What the images are is still said by the methods of this type.
    #[must_use]
    pub fn config(self, config: Config) -> Self {
        Self { config: Some(config), ..self }
    }

    /// What is trained; [`Goal::All`] by default: a teacher, then a student by distillation.
    #[must_use]
    pub fn goal(self, goal: Goal) -> Self {
        Self { goal: Some(goal), ..self }
    }

    /// A trained teacher to start from, a run folder or a model file; [`Goal::Distill`] needs one. Its layers, latents
    /// and norms are those that its file says, in place of a recipe's. [`Self::run`] refuses a [`Self::config`], a
    /// class or a side that contradicts the file.
    #[must_use]
    pub fn teacher(self, path: impl Into<PathBuf>) -> Self {
        Self { teacher: Some(path.into()), ..self }
    }

    /// The kind of device to compute on. Otherwise each stage takes the faster of the GPU and the CPU.
    #[must_use]
    pub fn device(self, kind: DeviceKind) -> Self {
        Self { device: Some(kind), ..self }
    }

    /// How to open a GPU, if one is. An adapter that is named is used.
    #[must_use]
    pub fn gpu(self, options: GpuOptions) -> Self {
        Self { gpu: options, ..self }
    }

    /// Calls `progress` as the run goes on. [`ControlFlow::Break`] stops training soon after; once all is trained, it has
    /// no effect.
    #[must_use]
    pub fn on_progress(self, progress: impl FnMut(Progress) -> ControlFlow<()> + 'a) -> Self {
        Self { progress: Box::new(progress), ..self }
    }

    /// The settings that all this makes.
    ///
    /// # Errors
    /// [`ConfigError::Range`] for a setting that is out of its range.
    pub fn settings(&self) -> Result<Config, ConfigError> {
        let mut config = match (&self.config, &self.source) {
            (Some(config), _) => config.clone(),
            (None, TrainOn::Images { .. }) => self.recipe.images(self.side.unwrap_or(32)),
            (None, &TrainOn::Class { dataset, .. }) => self.recipe.config(dataset),
        };
        match &self.source {
            TrainOn::Images { folder, anomalies, test_normal } => {
                config.data.dataset = Source::Images;
                config.data.normal = 0;
                let images = config.data.images.get_or_insert_with(ImagesConfig::default);
                images.folder.clone_from(folder);
                images.digest.clear();
                if let Some(anomalies) = anomalies {
                    images.anomalies.clone_from(anomalies);
                }
                if let Some(test_normal) = test_normal {
                    images.test_normal.clone_from(test_normal);
                }
                images.take_layout();
            }
            TrainOn::Class { dataset, class, folder } => {
                config.data.dataset = Source::Published(*dataset);
                config.data.normal = *class;
                config.data.images = None;
                if let Some(folder) = folder {
                    config.data.folder.clone_from(folder);
                }
            }
        }
        if let Some(side) = self.side {
            config.data.side = side;
        }
        if let Some(seed) = self.seed {
            config.training.seed = seed;
        }
        if let Some(goal) = self.goal {
            config.run.stage = goal;
        }
        config.validate()?;
        Ok(config)
    }

    /// Trains, evaluates, and fills the folder. A folder with this run unfinished resumes from its last
    /// checkpoint. In a folder where it is finished, nothing is trained. The same settings, seed and kind of device give
    /// the same bytes.
    ///
    /// # Errors
    /// Settings out of range, images that cannot be used, a folder that holds something else, training that diverges,
    /// and failures of the device. What was trained stays, and another call goes on with it.
    pub fn run(mut self, folder: impl AsRef<Path>) -> Result<Outcome, TrainingError> {
        let (started, path) = (Instant::now(), folder.as_ref());
        let mut config = self.settings()?;
        match (config.run.stage, &self.teacher) {
            (Goal::Distill, None) => return Err(settings("distilling needs a trained teacher")),
            (Goal::Teacher | Goal::Student, Some(_)) => return Err(settings("this goal needs no teacher")),
            _ => {}
        }
        let there = |file: RunFile| path.join(file.name()).exists();
        // A run that was begun has a copy.
        let copy = path.join(RunFile::Teacher.name());
        let teacher = self.teacher.as_deref().map(|given| if there(RunFile::Config) { &copy } else { given });
        let given = GivenFiles::read(teacher, None)?;
        if self.config.is_none() {
            for (model, network) in given.models(config.run.stage) {
                config.adopt(model, network)?;
            }
            config.validate()?;
        }
        let mut watcher = Watcher { progress: &mut *self.progress, steps: 0, stop: false };
        let data = Data::load(&config, &mut |done, pictures| watcher.tell(Progress::Reading { done, pictures }))?;
        data.settle(&mut config);
        let devices = LocalDevices::new(self.device, self.gpu);
        // Where there are several, another may have room.
        if devices.kinds().len() == 1 {
            pipeline::expect_room(&config, devices.open(None).map_err(TrainError::from)?.as_ref())
                .map_err(TrainError::from)?;
        }
        let folder = if there(RunFile::Config) {
            let mut found = Config::read(&path.join(RunFile::Config.name()))?;
            // Where a data set lies changes nothing.
            found.data.folder.clone_from(&config.data.folder);
            if let (Some(found), Some(images)) = (&mut found.data.images, &config.data.images) {
                // So do folders, as long as the pictures are the same. Runs of earlier versions know their names alone.
                if data.has_names(&found.digest) {
                    found.digest.clone_from(&images.digest);
                }
                if found.digest == images.digest {
                    found.folder.clone_from(&images.folder);
                    found.anomalies.clone_from(&images.anomalies);
                    found.test_normal.clone_from(&images.test_normal);
                }
            }
            if let Some(difference) = found.difference(&config)? {
                return Err(TrainingError::OtherRun { folder: path.to_owned(), difference });
            }
            if there(RunFile::Report) {
                let report = Report::read(&path.join(RunFile::Report.name()))?;
                return Ok(done(path, Box::new(report), data));
            }
            RunFolder::resume(path)?
        } else {
            pipeline::begin(&config, path, false, &given, &KernelChoices::default())?
        };
        let completion = pipeline::complete(&config, &folder, &data, &devices, &[], started, &mut watcher);
        Ok(match completion.map_err(flat)? {
            Completion::Done(report) => done(path, report, data),
            Completion::Stopped(stage, step, steps) => Outcome::Stopped { stage, step, steps },
        })
    }
}

fn done(folder: &Path, report: Box<Report>, data: Data) -> Outcome {
    let skipped = data.own.map(|own| own.skipped).unwrap_or_default();
    Outcome::Done(TrainedRun { folder: folder.to_owned(), report, skipped })
}

fn settings(problem: &str) -> TrainingError {
    TrainError::Settings(problem.into()).into()
}

/// An error of training as itself.
fn flat(error: ReportError) -> TrainingError {
    match error {
        ReportError::Train(error) => (*error).into(),
        ReportError::Config(error) => error.into(),
        ReportError::Data(error) => error.into(),
        ReportError::Run(error) => error.into(),
        error => error.into(),
    }
}

/// Hands on what happens.
struct Watcher<'w, 'a> {
    progress: &'w mut Callback<'a>,
    /// Of the present stage.
    steps: usize,
    stop: bool,
}

impl Watcher<'_, '_> {
    fn tell(&mut self, progress: Progress) {
        self.stop |= (self.progress)(progress).is_break();
    }
}

impl Watch for Watcher<'_, '_> {
    fn begin(&mut self, _stage: Stage, _done: usize, steps: usize) {
        self.steps = steps;
    }

    fn prepare(&mut self, phase: &str) {
        self.tell(Progress::Preparing { phase });
    }

    fn trained(&mut self, stage: Stage, event: Event) -> bool {
        if let Event::Steps(step, losses) = event {
            self.tell(Progress::Training { stage, step, steps: self.steps, losses: &losses.0 });
        }
        self.stop
    }

    fn scored(&mut self, network: &str, done: usize, images: usize) {
        self.tell(Progress::Scoring { network, done, images });
    }
}
