//! The kinds of score of an image, by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an image is scored by. Higher is more anomalous, whatever the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ScoreKind {
    /// The distance of the image's latent vector from that of its reconstruction: the method's own score.
    #[default]
    Latent,
    /// The root mean square of the difference of image and reconstruction, without the margin.
    Reconstruction,
    /// The distance of the image's latent vector from the nearest of training images.
    Neighbour,
    /// How far the features of the first encoder's first layer are from those of training images at the same place, in
    /// standard deviations; that of the worst place.
    Features,
    /// The sum of `-ln p` over the p-values of the other four.
    Combined,
}

/// A name that is no kind of score.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown score `{0}`; choose latent, reconstruction, neighbour, features, combined or auto")]
pub struct UnknownScore(pub String);

impl ScoreKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Latent, Self::Reconstruction, Self::Neighbour, Self::Features, Self::Combined];
    /// Those that take no other.
    pub const BASE: [Self; 4] = [Self::Latent, Self::Reconstruction, Self::Neighbour, Self::Features];

    /// Its place in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latent => "latent",
            Self::Reconstruction => "reconstruction",
            Self::Neighbour => "neighbour",
            Self::Features => "features",
            Self::Combined => "combined",
        }
    }

    /// Whether it takes reconstructions, and whether latent vectors.
    pub(crate) fn needs(self) -> [bool; 2] {
        match self {
            Self::Latent | Self::Features => [false, false],
            Self::Reconstruction => [true, false],
            Self::Neighbour => [false, true],
            Self::Combined => [true, true],
        }
    }
}

impl fmt::Display for ScoreKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ScoreKind {
    type Err = UnknownScore;

    fn from_str(name: &str) -> Result<Self, UnknownScore> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| UnknownScore(name.to_owned()))
    }
}

/// What a run scores by: a kind, or by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum ScoreChoice {
    /// The latent distance; of own images as [`Self::Auto`], where some are held out.
    #[default]
    Default,
    /// The kind that tells defects best that are painted into held-out images; of data sets the latent distance.
    Auto,
    /// This kind.
    Kind(ScoreKind),
}

impl ScoreChoice {
    /// The kind for a model for which `favoured` tells painted defects best, where that was tried.
    pub fn kind(self, favoured: Option<ScoreKind>, own_images: bool) -> ScoreKind {
        match self {
            Self::Kind(kind) => kind,
            Self::Default if !own_images => ScoreKind::Latent,
            Self::Auto | Self::Default => favoured.unwrap_or_default(),
        }
    }
}

impl fmt::Display for ScoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::Default => "default",
            Self::Auto => "auto",
            Self::Kind(kind) => kind.name(),
        })
    }
}

impl FromStr for ScoreChoice {
    type Err = UnknownScore;

    fn from_str(name: &str) -> Result<Self, UnknownScore> {
        match name {
            "default" => Ok(Self::Default),
            "auto" => Ok(Self::Auto),
            name => name.parse().map(Self::Kind),
        }
    }
}

impl TryFrom<String> for ScoreChoice {
    type Error = UnknownScore;

    fn try_from(name: String) -> Result<Self, UnknownScore> {
        name.parse()
    }
}

impl From<ScoreChoice> for String {
    fn from(choice: ScoreChoice) -> Self {
        choice.to_string()
    }
}

impl From<ScoreKind> for ScoreChoice {
    fn from(kind: ScoreKind) -> Self {
        Self::Kind(kind)
    }
}
