//! Every setting of a run, as written in `config.toml`.
//!
//! A [`Recipe`] gives a complete [`Config`], whose fields can then be changed. [`crate::training::Training`] checks that
//! each is in its range.

mod architectures;
mod difference;
mod error;
mod given;
mod layers;
mod recipe;
mod validate;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data::{Colour, Fit, GroupBy, Layout, Range, Source};

pub use crate::model::{LatentConstraint, ScoreChoice, Statistics};
pub use error::ConfigError;
pub(crate) use internals::Given;
pub(crate) use layers::{MAX_CONFIG_BYTES, check_format};
pub use recipe::Recipe;

/// What is not of the public API: `pkdgan::unstable::config`.
pub(crate) mod internals {
    pub use super::given::Given;
    pub use super::layers::{goal, resolve, resolve_given};
}

/// A complete configuration. Real numbers are kept as `f64`, so that they are written as they were given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// What the run is for.
    pub run: RunConfig,
    /// What to train on.
    pub data: DataConfig,
    /// Shape of the networks.
    pub network: NetworkConfig,
    /// How to train the teacher; seed, schedule, decay rates, order and norms are the student's too.
    pub training: TrainingConfig,
    /// How to score with the teacher.
    pub scoring: ScoringConfig,
    /// The student, and how to train it by itself.
    pub student: StudentConfig,
    /// How the student learns from the teacher.
    pub distillation: DistillationConfig,
}

/// `[run]`: what the run is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RunConfig {
    /// What is trained.
    pub stage: Goal,
    /// Whether the same student is trained alone too, to tell what distillation gains.
    pub with_baseline: bool,
}

/// What a run trains, and so which network it leaves as its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Goal {
    /// A teacher.
    Teacher,
    /// A student by itself.
    Student,
    /// A student by distillation, from a given teacher.
    Distill,
    /// A teacher, then a student by distillation.
    All,
}

/// `[data]`: what to train on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DataConfig {
    /// The name of a published data set, or `images` for pictures of one's own.
    pub dataset: Source,
    /// Folder that holds one folder per data set; empty to search the usual places.
    #[serde(default)]
    pub folder: PathBuf,
    /// The normal class, 0..=9; 0 for own pictures.
    pub normal: u8,
    /// Side of the networks' square images, in pixels: 32, or 64 or 128 for own pictures. Those of published data sets
    /// are padded to it.
    pub side: usize,
    /// What the networks are evaluated on.
    #[serde(alias = "judge")]
    pub eval_split: EvalSplit,
    /// Share of the normal training images that is held out of training, to calibrate scores with; 0 for none.
    #[serde(default)]
    pub calibration: f64,
    /// The pictures, where they are one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ImagesConfig>,
}

/// `[data.images]`: pictures of one's own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ImagesConfig {
    /// Folder of normal pictures; those in its folders count too.
    pub folder: PathBuf,
    /// Folder of anomalous pictures, to test with; empty for none.
    pub anomalies: PathBuf,
    /// Folder of normal pictures to test with, so that none of `folder` are held out for that; empty for none. It may lie
    /// within that of the anomalous ones.
    #[serde(default)]
    pub test_normal: PathBuf,
    /// Folder of normal pictures that calibrate, so that none of `folder` are held out; empty for none.
    #[serde(default)]
    pub calibration: PathBuf,
    /// Which pictures belong together: all of a group train, or none of them does. Runs of earlier versions say nothing,
    /// which means none.
    #[serde(default = "GroupBy::none")]
    pub group_by: GroupBy,
    /// How pictures of another shape are made to fit.
    pub fit: Fit,
    /// Values per pixel; decided once a run has begun.
    pub colour: Colour,
    /// What of the values of 16-bit pictures is white; decided once a run has begun.
    #[serde(default)]
    pub range: Range,
    /// Whether folders are entered where another file system is mounted.
    #[serde(default)]
    pub cross_file_systems: bool,
    /// Patterns of the names of files that are wanted; all without any.
    #[serde(default)]
    pub include: Vec<String>,
    /// Patterns of the names of files and folders that are left out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Stands for the names of the pictures, so that a run goes on with the same ones; empty before it has begun.
    pub digest: String,
}

/// `[network]`, the teacher: channels after each stride-2 layer, from the image inwards; three for a side of 32, one
/// more for each doubling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NetworkConfig {
    /// Channels of the generator's encoders; the decoder mirrors them.
    pub generator: Vec<usize>,
    /// Length of a latent vector.
    pub latents: usize,
    /// What is done to latent vectors, the student's too. Files of earlier versions do not say: they mean the default.
    #[serde(default)]
    pub latent_constraint: LatentConstraint,
    /// Channels of the discriminator.
    pub discriminator: Vec<usize>,
}

/// `[training]`: how to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TrainingConfig {
    /// Images per step.
    pub batch_size: usize,
    /// Steps, each an update of the discriminator and of the generator.
    pub steps: usize,
    /// Seed of the initial weights and of the order of the images.
    pub seed: u64,
    /// Adam's learning rate at the first step.
    pub learning_rate: f64,
    /// Course of the learning rate.
    pub schedule: Schedule,
    /// Adam's decay rates of the first and second moment.
    pub betas: [f64; 2],
    /// Standard deviation of the normal distribution that initial weights are drawn from.
    pub init_std: f64,
    /// Whether each epoch takes the images in a fresh order, instead of file order.
    pub shuffle: bool,
    /// Added to the variance in batch norm.
    pub norm_epsilon: f64,
    /// Share of the newest batch in batch norm's running averages.
    pub norm_momentum: f64,
    /// Weights of the generator's losses.
    pub weights: LossWeights,
    /// What is done to an image at random, each time it is seen; the student's too.
    #[serde(default)]
    pub augmentation: AugmentationConfig,
    /// Normal images that are transformed until they count as anomalous; the student's too, where it has own losses.
    #[serde(default)]
    pub pseudo_anomalies: PseudoAnomalyConfig,
    /// What is only tried.
    #[serde(default)]
    pub trial: TrialConfig,
}

/// `[training.trial]`: what is only tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct TrialConfig {
    /// Whether the gradient of the latent loss stops at the first latent vector.
    pub stop_z1: bool,
    /// Whether the adversarial loss is the mean squared distance of the discriminator's last feature maps.
    pub feature_matching: bool,
}


/// `[training.augmentation]`: what is done to an image at random, each time it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AugmentationConfig {
    /// Whether left and right change places in half of the cases.
    pub mirror: bool,
    /// Whether top and bottom do.
    #[serde(default)]
    pub flip: bool,
    /// Most pixels that an image is shifted along each axis.
    pub max_shift: u32,
}

/// `[training.pseudo_anomalies]`: normal images that are transformed until they count as anomalous.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PseudoAnomalyConfig {
    /// Weight of their loss: what their latent distance lacks to the margin; 0 for none.
    pub weight: f64,
    /// The mean squared distance of their two latent vectors that is enough; unrelated vectors have 2.
    pub margin: f64,
    /// How they are made: each by one of these, drawn at random.
    pub kinds: Vec<PseudoAnomaly>,
}

impl Default for PseudoAnomalyConfig {
    fn default() -> Self {
        Self { weight: 0.0, margin: 1.0, kinds: vec![PseudoAnomaly::Turned] }
    }
}

/// How a normal image becomes a pseudo-anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PseudoAnomaly {
    /// By one to three quarter turns.
    Turned,
    /// Channels change places, or light and dark do; of grey images the latter.
    Recoloured,
}

/// `[training.weights]`: weights of the generator's losses.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LossWeights {
    /// Of the mean absolute error of the reconstruction.
    pub reconstruction: f64,
    /// Of the mean squared distance of the two latent vectors. With a weight of 0 it trains the second encoder alone, and
    /// neither the first one nor the decoder hears of it.
    pub latent: f64,
    /// Of the discriminator's verdict on the reconstruction.
    pub adversarial: f64,
}

/// `[scoring]`: how to score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ScoringConfig {
    /// Where batch norm takes its statistics from.
    pub statistics: Statistics,
    /// What images are scored by.
    #[serde(default)]
    pub score: ScoreChoice,
}

/// `[student]`: the small network, and how it is trained by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StudentConfig {
    /// The encoder's layers from the image inwards, each channels, kernel, stride and padding; a dense layer to as many
    /// latents as the teacher has follows. The decoder mirrors them.
    pub encoder: Vec<[usize; 4]>,
    /// Channels of the student's own discriminator.
    pub discriminator: Vec<usize>,
    /// Where batch norm takes its statistics from when scoring.
    pub statistics: Statistics,
    /// Weights of the student's own losses, alone and in structures 2 and 4.
    pub weights: LossWeights,
    /// Training by itself, without a teacher.
    pub alone: Budget,
}

/// `[distillation]`: the two progressive steps (P-KDGAN, arXiv 2007.06963).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DistillationConfig {
    /// Whether a frozen teacher's outputs are computed once for each training image, before a step begins, instead of
    /// each time that the student sees it. The outputs are the same; computed once, they cost less from the second
    /// epoch on.
    #[serde(alias = "ask_once")]
    pub precompute_teacher_outputs: bool,
    /// Weights of what keeps the student close to the teacher.
    pub weights: DistillationWeights,
    /// The first step.
    pub step1: DistillationStep,
    /// The second step, which starts from the networks that the first one leaves.
    pub step2: DistillationStep,
}

/// `[distillation.weights]`: weights of the distances between teacher and student.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DistillationWeights {
    /// w1, of the mean squared distance of the latent vectors of the image.
    pub latent: f64,
    /// wx, of the mean absolute distance of the reconstructions.
    pub reconstruction: f64,
    /// w2, of the mean squared distance of the latent vectors of the reconstructions.
    #[serde(alias = "latent_again")]
    pub reconstruction_latent: f64,
}

/// `[distillation.step1]` and `[distillation.step2]`: a step of progressive distillation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DistillationStep {
    /// Who learns, and from what.
    pub structure: Structure,
    /// Images per step.
    pub batch_size: usize,
    /// Steps; 0 leaves the step out.
    pub steps: usize,
    /// The student's learning rate at the first step.
    pub learning_rate: f64,
    /// The teacher's, where it is trained.
    pub teacher_learning_rate: f64,
}

/// `[student.alone]`: how long to train, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Budget {
    /// Images per step.
    pub batch_size: usize,
    /// Steps.
    pub steps: usize,
    /// Learning rate at the first step.
    pub learning_rate: f64,
}

/// The four structures of distillation (P-KDGAN); the numbers are ours, for the paper's could not be confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Structure {
    /// 1: the teacher is frozen, the student learns from it only.
    Frozen,
    /// 2: the teacher is frozen, the student learns from it and by its own losses.
    FrozenOwn,
    /// 3: the teacher goes on training by its own losses, the student learns from it only.
    Joint,
    /// 4: the teacher goes on training, the student learns from it and by its own losses.
    JointOwn,
}

impl Structure {
    /// Every structure, in the order of their numbers from 1.
    pub const ALL: [Self; 4] = [Self::Frozen, Self::FrozenOwn, Self::Joint, Self::JointOwn];

    /// Its number, 1 to 4.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    /// Whether the teacher is trained too.
    pub fn trains_teacher(self) -> bool {
        matches!(self, Self::Joint | Self::JointOwn)
    }

    /// Whether the student has its own losses beside those of distillation.
    pub fn has_own_losses(self) -> bool {
        matches!(self, Self::FrozenOwn | Self::JointOwn)
    }
}

impl TryFrom<u8> for Structure {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|structure| structure.number() == number);
        found.ok_or_else(|| format!("there is no structure {number}; choose 1 to 4"))
    }
}

impl From<Structure> for u8 {
    fn from(structure: Structure) -> Self {
        structure.number()
    }
}

/// What the networks are evaluated on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvalSplit {
    /// The official test set.
    Test,
    /// Every sixth training image of each class, left out of training: to choose settings by.
    Validation,
}

/// Course of the learning rate over the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Schedule {
    /// Falls to zero along half a cosine wave.
    Cosine,
    /// Stays as it is.
    Constant,
}

impl ImagesConfig {
    /// Takes a folder that is laid out as inspection data sets are for what it is: `train/good` trains, `test/good` and the
    /// other folders of `test` judge. Folders that are named already stay. Returns the folder where it is laid out so.
    pub fn take_layout(&mut self) -> Option<PathBuf> {
        let Layout { train, test_normal, anomalies } = Layout::of(&self.folder)?;
        let untested = self.anomalies.as_os_str().is_empty() && self.test_normal.as_os_str().is_empty();
        if let Some(anomalies) = anomalies.filter(|_| untested) {
            self.anomalies = anomalies;
            self.test_normal = test_normal.unwrap_or_default();
        }
        Some(std::mem::replace(&mut self.folder, train))
    }

    /// The folder that is laid out so, where its `train/good` trains.
    pub fn layout_folder(&self) -> Option<&Path> {
        self.folder.ends_with("train/good").then(|| self.folder.ancestors().nth(2)).flatten()
    }
}

impl Config {
    /// Reads a complete configuration, such as the `config.toml` of a run folder, and checks its ranges.
    ///
    /// # Errors
    /// A file that cannot be read, is no TOML, lacks a key, or has an unknown key or a value out of range.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        layers::read_complete(path)
    }

    /// The configuration as TOML, complete, behind the version of the run folder's format, such that [`Config::read`] gives it back.
    ///
    /// # Errors
    /// Values that TOML cannot hold: a seed above 2^63 - 1, or a folder whose name is not Unicode.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        Ok(layers::format_line() + &toml::to_string(self).map_err(ConfigError::Write)?)
    }
}

/// Steps that show each of `images` images `epochs` times in batches of `batch_size`, the last step's batch perhaps
/// running on into the next epoch. Saturates at the largest `usize`; a batch size of 0 counts as 1.
pub fn steps_for_epochs(epochs: usize, images: usize, batch_size: usize) -> usize {
    epochs.saturating_mul(images).div_ceil(batch_size.max(1))
}
