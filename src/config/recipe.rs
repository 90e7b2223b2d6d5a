//! Settings that work together, by name.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::{
    Config, ConfigError, DataConfig, LossWeights, NetworkConfig, Schedule, ScoringConfig, Statistics, TrainingConfig,
};
use crate::data::Dataset;

/// Settings that work together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recipe {
    /// Batches of 8 and running statistics: the faster one.
    #[default]
    Default,
    /// Batches of 1, as the paper found best, with per-image statistics; sees as many images.
    Paper,
}

impl Recipe {
    /// Every recipe.
    pub const ALL: [Self; 2] = [Self::Default, Self::Paper];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Paper => "paper",
        }
    }

    /// The configuration that the recipe stands for: MNIST wherever it is found, normal class 8, seed 0.
    pub fn config(self) -> Config {
        let (batch_size, steps, learning_rate, latent, statistics) = match self {
            Self::Default => (8, 1_500, 5e-4, 5.0, Statistics::Running),
            Self::Paper => (1, 12_000, 2e-4, 3.0, Statistics::PerImage),
        };
        Config {
            data: DataConfig { dataset: Dataset::Mnist, folder: PathBuf::new(), normal: 8, side: 32 },
            network: NetworkConfig { generator: [48, 96, 192], latents: 48, discriminator: [32, 64, 128] },
            training: TrainingConfig {
                batch_size,
                steps,
                seed: 0,
                learning_rate,
                schedule: Schedule::Cosine,
                betas: [0.5, 0.999],
                init_std: 0.02,
                shuffle: true,
                norm_epsilon: 1e-5,
                norm_momentum: 0.1,
                weights: LossWeights { reconstruction: 50.0, latent, adversarial: 0.1 },
            },
            scoring: ScoringConfig { statistics },
        }
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Recipe {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        let recipe = Self::ALL.into_iter().find(|recipe| recipe.name() == name);
        recipe.ok_or_else(|| ConfigError::UnknownRecipe { name: name.to_owned() })
    }
}
