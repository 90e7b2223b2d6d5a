//! What keeps latent vectors from growing or shrinking without end.

use serde::{Deserialize, Serialize};

/// What is done to the latent vectors of both encoders, in training and in scoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LatentConstraint {
    /// They are scaled to a root mean square of one.
    #[default]
    UnitRms,
    /// A hyperbolic tangent of each number.
    Tanh,
    /// Nothing.
    None,
}

impl LatentConstraint {
    /// Its name, as in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnitRms => "unit-rms",
            Self::Tanh => "tanh",
            Self::None => "none",
        }
    }

    /// Whether it is the one that goes without saying, for files that were written before there was another.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
