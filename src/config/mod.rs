//! Every setting of a teacher's training run, as written in `config.toml`.

mod error;
mod layers;
mod recipe;
mod validate;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data::Dataset;

pub use error::ConfigError;
pub use layers::resolve;
pub use recipe::Recipe;

/// A complete configuration. Real numbers are kept as `f64`, so that they are written as they were given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What to train on.
    pub data: DataConfig,
    /// Shape of the networks.
    pub network: NetworkConfig,
    /// How to train.
    pub training: TrainingConfig,
    /// How to score.
    pub scoring: ScoringConfig,
}

/// `[data]`: what to train on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The data set.
    pub dataset: Dataset,
    /// Folder that holds one folder per data set; empty to search the usual places.
    #[serde(default)]
    pub folder: PathBuf,
    /// The normal class, 0..=9.
    pub normal: u8,
    /// Side of the square that images are padded to, in pixels.
    pub side: usize,
}

/// `[network]`: channels after each of the three stride-2 layers, from the image inwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Channels of the generator's encoders; the decoder mirrors them.
    pub generator: [usize; 3],
    /// Length of a latent vector.
    pub latents: usize,
    /// Channels of the discriminator.
    pub discriminator: [usize; 3],
}

/// `[training]`: how to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
}

/// `[training.weights]`: weights of the generator's losses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossWeights {
    /// Of the mean absolute error of the reconstruction.
    pub reconstruction: f64,
    /// Of the mean squared distance of the two latent vectors.
    pub latent: f64,
    /// Of the discriminator's verdict on the reconstruction.
    pub adversarial: f64,
}

/// `[scoring]`: how to score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoringConfig {
    /// Where batch norm takes its statistics from.
    pub statistics: Statistics,
}

/// Course of the learning rate over the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Falls to zero along half a cosine wave.
    Cosine,
    /// Stays as it is.
    Constant,
}

/// Where batch norm takes its statistics from when scoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistics {
    /// The running averages of training.
    Running,
    /// Each image's own feature maps.
    PerImage,
}

impl Config {
    /// Reads a complete configuration, such as the `config.toml` of a run folder, and checks its ranges.
    ///
    /// # Errors
    /// A file that cannot be read, is no TOML, lacks a key, or has an unknown key or a value out of range.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        layers::read_complete(path)
    }

    /// The configuration as TOML, complete, such that [`Config::read`] gives it back.
    ///
    /// # Errors
    /// Values that TOML cannot hold: a seed above 2^63 - 1, or a folder whose name is not Unicode.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(self).map_err(ConfigError::Write)
    }
}

/// Steps that show each of `images` images `epochs` times in batches of `batch_size`, the last step's batch perhaps
/// running on into the next epoch. Saturates at the largest `usize`; a batch size of 0 counts as 1.
pub fn steps_for_epochs(epochs: usize, images: usize, batch_size: usize) -> usize {
    epochs.saturating_mul(images).div_ceil(batch_size.max(1))
}
