//! The range of every setting.

use super::{Config, ConfigError};
use crate::data::CLASSES;

/// Most samples of one run: their order is kept in memory.
const MAX_SAMPLES: usize = 1 << 31;

impl Config {
    /// Checks that every setting is in its range.
    ///
    /// # Errors
    /// [`ConfigError::Range`] of the first that is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let Self { data, network, training, .. } = self;
        let samples = training.batch_size.saturating_mul(training.steps);

        require("data.normal", data.normal, data.normal < CLASSES, "a class, 0 to 9")?;
        require("data.side", data.side, data.side == 32, "32, which the layers of the networks are made for")?;
        for width in network.generator {
            require("network.generator", width, (1..=4096).contains(&width), "three widths, each 1 to 4096")?;
        }
        require("network.latents", network.latents, (1..=4096).contains(&network.latents), "1 to 4096")?;
        for width in network.discriminator {
            require("network.discriminator", width, (1..=4096).contains(&width), "three widths, each 1 to 4096")?;
        }
        require("training.batch_size", training.batch_size, (1..=65_536).contains(&training.batch_size), "1 to 65536")?;
        require("training.steps", training.steps, training.steps >= 1, "1 or more")?;
        require("training.steps", training.steps, samples <= MAX_SAMPLES, "at most 2^31 divided by the batch size")?;
        require("training.seed", training.seed, i64::try_from(training.seed).is_ok(), "0 to 2^63 - 1")?;
        real("training.learning_rate", training.learning_rate, 1e-12, 10.0, "1e-12 to 10")?;
        for beta in training.betas {
            // In single precision, as Adam takes them: there 0.99999999 is 1.
            let decays = beta >= 0.0 && (beta as f32) < 1.0;
            require("training.betas", beta, decays, "two numbers, each at least 0 and below 1 in single precision")?;
        }
        real("training.init_std", training.init_std, 1e-12, 10.0, "1e-12 to 10")?;
        real("training.norm_epsilon", training.norm_epsilon, 1e-12, 1.0, "1e-12 to 1")?;
        real("training.norm_momentum", training.norm_momentum, 1e-12, 1.0, "1e-12 to 1")?;
        let weights = &training.weights;
        real("training.weights.reconstruction", weights.reconstruction, 0.0, 1e6, "0 to 1e6")?;
        real("training.weights.latent", weights.latent, 0.0, 1e6, "0 to 1e6")?;
        real("training.weights.adversarial", weights.adversarial, 0.0, 1e6, "0 to 1e6")
    }
}

fn real(key: &'static str, value: f64, least: f64, most: f64, allowed: &'static str) -> Result<(), ConfigError> {
    require(key, value, (least..=most).contains(&value), allowed)
}

fn require(
    key: &'static str,
    value: impl std::fmt::Display,
    holds: bool,
    allowed: &'static str,
) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::Range { key, value: value.to_string(), allowed }) }
}
