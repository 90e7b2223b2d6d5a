//! Model files: trained networks with what is needed to use them.
//!
//! A [`ModelFile`] holds the networks' [`Architecture`], their [`Weights`], how pictures are prepared, and the scores of
//! held-out normal images. [`crate::scoring`] scores with one, [`crate::training`] makes one.
//!
//! Inside the crate this room also makes the networks' variables and graphs. It knows no executor and no training.

mod constraint;
mod description;
mod ede_gan;
mod file;
mod map_scale;
mod network;
mod normality;
mod spec;
mod statistics;

pub use crate::score_kind::{ScoreChoice, ScoreKind, UnknownScore};
pub use crate::weights::{Element, Tensor as WeightTensor, Weights, WeightsError};
pub use constraint::LatentConstraint;
pub use ede_gan::{Architecture, EncoderLayer};
pub use file::{ModelFile, Normal};
pub(crate) use internals::*;
pub use normality::NormalityModel;
pub use spec::{Layer, LayerFigures, LayerKind, NetworkSpec};
pub use statistics::Statistics;

/// What is not of the public API: `pkdgan::unstable::model`.
pub(crate) mod internals {
    pub use super::ede_gan::{EdeGan, Generated};
    pub use super::file::{arrange, named, read_with_bytes};
    pub use super::network::{Initial, Named, Network, NormMode};
    pub use super::normality::{BaseScores, MAX_FITTED, Observation};
}
