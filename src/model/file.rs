//! Model files: the networks' tensors, with what is needed to use them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::normality::{self, NormalityModel};
use super::{Architecture, EdeGan, EncoderLayer, LatentConstraint, Named, Statistics};
use super::{description, map_scale};
use crate::anomaly_map::MapScale;
use crate::calibration::Calibration;
use crate::data::{GREY, Preprocessing};
use crate::engine::{VarId, Variables};
use crate::format;
use crate::message::shortened;
use crate::score_kind::{ScoreChoice, ScoreKind};
use crate::weights::{Weights, WeightsError};

/// The name of the format in the metadata.
const FORMAT: &str = "pkdgan-ede-gan";
/// Metadata keys.
const ARCHITECTURE: &str = "architecture";
const PREPROCESSING: &str = "preprocessing";
const NORMAL: &str = "normal";
const NETWORKS: &str = "networks";
const SCORE: &str = "score";
/// What images are scored by, where that is not the latent distance.
const SCORED_BY: &str = "scored_by";
/// The tensor of the calibration images' scores, ascending.
const CALIBRATION: &str = "calibration.scores";
/// Most calibration scores that are read.
const MAX_SCORES: u64 = 1 << 24;
/// What the metadata say of every model's preprocessing: keys of it, with what they say.
const FIXED: [(&str, &str); 3] = [("pixels", "value / 127.5 - 1"), ("padding", "centred, with -1"), ("grey", GREY)];

/// A trained generator, perhaps with its discriminator, as a file holds it: on no device.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ModelFile {
    /// How its networks are built.
    pub architecture: Architecture,
    /// Added to the variance in batch norm.
    pub norm_epsilon: f32,
    /// How its norms work when it scores.
    pub statistics: Statistics,
    /// What is done to a picture before it.
    pub preprocessing: Preprocessing,
    /// What it takes for normal.
    pub normal: Normal,
    /// What images are scored by; see [`Self::scored_by`].
    pub score: ScoreKind,
    /// Scores of held-out normal images, where there are any.
    pub calibration: Option<Calibration>,
    /// What further scores of an image are taken by, where that was fitted.
    pub normality: Option<Arc<NormalityModel>>,
    /// What held-out normal images differ by at each place, where there are enough.
    pub map_scale: Option<MapScale>,
    /// The tensors of its networks, in PyTorch's layouts: `encoder1.conv1.weight` and so on.
    pub weights: Weights,
}

/// What a model was trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Normal {
    /// Name of the data set.
    pub dataset: String,
    /// The normal class.
    pub class: u8,
}

/// The metadata value that says how to build the networks.
#[derive(Serialize, Deserialize)]
struct Described {
    channels: usize,
    side: usize,
    /// Channels, kernel, stride and padding.
    encoder: Vec<[usize; 4]>,
    latents: usize,
    #[serde(default, skip_serializing_if = "LatentConstraint::is_default")]
    latent_constraint: LatentConstraint,
    discriminator: Vec<usize>,
    norm_epsilon: f32,
    statistics: Statistics,
}

impl ModelFile {
    /// A model of tensors that were made elsewhere, in PyTorch's layouts and under the names of model files. It scores by
    /// running statistics, with 1e-5 added to variances, and is not calibrated. [`Self::write`] takes any tensors,
    /// [`Self::read`] refuses those that do not go with the architecture.
    pub fn new(architecture: Architecture, preprocessing: Preprocessing, normal: Normal, weights: Weights) -> Self {
        let (norm_epsilon, statistics, score) = (1e-5, Statistics::Running, ScoreKind::Latent);
        let (calibration, normality, map_scale) = (None, None, None);
        Self {
            architecture,
            norm_epsilon,
            statistics,
            preprocessing,
            normal,
            score,
            calibration,
            normality,
            map_scale,
            weights,
        }
    }

    /// What is added to the variance in batch norm.
    #[must_use]
    pub fn norm_epsilon(self, norm_epsilon: f32) -> Self {
        Self { norm_epsilon, ..self }
    }

    /// Where batch norm takes its statistics from when the model scores.
    #[must_use]
    pub fn statistics(self, statistics: Statistics) -> Self {
        Self { statistics, ..self }
    }

    /// Scores of held-out normal images; `None` for a model that is not calibrated.
    #[must_use]
    pub fn calibration(self, calibration: impl Into<Option<Calibration>>) -> Self {
        Self { calibration: calibration.into(), ..self }
    }

    /// The same model, scoring images by another kind of score: [`ScoreChoice::Auto`] for the one that tells painted defects
    /// best, [`ScoreChoice::Default`] for the one that it has.
    ///
    /// # Errors
    /// A kind of score that was not fitted when the model was trained.
    pub fn scored_by(self, choice: impl Into<ScoreChoice>) -> Result<Self, WeightsError> {
        let lacks = |what: String| WeightsError::NotFitted { path: self.weights.origin.clone(), what };
        let favoured = || self.normality.as_ref().and_then(|normality| normality.favoured());
        let score = match choice.into() {
            ScoreChoice::Default => self.score,
            ScoreChoice::Kind(score) => score,
            ScoreChoice::Auto => {
                favoured().ok_or_else(|| lacks("a choice of score, which training on own images makes".into()))?
            }
        };
        if score == self.score {
            return Ok(self);
        }
        let Some(normality) = &self.normality else { return Err(lacks(format!("what the score `{score}` takes"))) };
        let calibration = normality.calibration(score).map_err(|error| lacks(error.to_string()))?;
        Ok(Self { score, calibration: Some(calibration), ..self })
    }

    /// Reads a model file, and checks that it has the tensors that its architecture takes.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, no model or of a newer program, and tensors that do not go with the
    /// architecture.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        Self::of(Weights::read_at_most(path, most_bytes)?)
    }

    /// [`Self::read`] of a file whose bytes are in memory; `path` names it in errors.
    ///
    /// # Errors
    /// As of [`Self::read`].
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, WeightsError> {
        Self::of(Weights::of_bytes(bytes, path, most_bytes)?)
    }

    /// The model that weights are; `None` where their metadata describes no network.
    ///
    /// # Errors
    /// As of [`Self::read`].
    pub(crate) fn described_in(weights: &Weights) -> Result<Option<Self>, WeightsError> {
        weights.metadata.contains_key(ARCHITECTURE).then(|| Self::of(weights.clone())).transpose()
    }

    fn of(mut weights: Weights) -> Result<Self, WeightsError> {
        let (described, architecture) = described(&weights)?;
        let preprocessing: Preprocessing = described_by(&weights, PREPROCESSING)?;
        let normal = described_by(&weights, NORMAL)?;
        let path = weights.origin.clone();
        let foreign = |message: String| WeightsError::Damaged { path: path.clone(), message };
        // Version 1 has neither. What is there is believed, so it must be what this program computes.
        let is = |version: u64| weights.metadata.get("format") == Some(&format!("{FORMAT}-{version}"));
        let constraint = architecture.latent_constraint;
        let score = if is(2) { description::score_without_ties(constraint) } else { description::score(constraint) };
        for (key, known) in [(NETWORKS, description::networks(&architecture)), (SCORE, score)] {
            if is(1) && !weights.metadata.contains_key(key) {
                continue;
            }
            let said: Value = described_by(&weights, key)?;
            if let Some((place, said, known)) = differs(&said, &known, key.to_owned()) {
                let message = format!("metadata `{place}` is {said}, and this program computes {known}");
                return Err(foreign(message));
            }
        }
        let said: Value = described_by(&weights, PREPROCESSING)?;
        for (key, expected) in FIXED {
            if let Some(found) = said.get(key).filter(|found| found.as_str() != Some(expected)) {
                let found = shortened(&found.to_string()).into_owned();
                return Err(foreign(format!(
                    "metadata `{PREPROCESSING}`: `{key}` is {found}; only \"{expected}\" is known"
                )));
            }
        }
        let Preprocessing { channels, side, height, width, .. } = preprocessing;
        let fits = (1..=side).contains(&height) && (1..=side).contains(&width);
        if [channels, side] != [architecture.channels, architecture.side] || !fits {
            return Err(foreign(format!("metadata `{PREPROCESSING}` does not go with the architecture")));
        }
        let map_scale = map_scale::take(&mut weights, &preprocessing)?;
        let scores = weights.tensors.remove(CALIBRATION).map(|tensor| tensor.values);
        let variances = weights.tensors.iter().filter(|(name, _)| name.ends_with(".running_var"));
        for (name, tensor) in variances {
            if let Some(value) = tensor.values.iter().find(|&&value| value < 0.0) {
                return Err(foreign(format!(
                    "tensor `{}`: {value} is no variance, which is at least 0",
                    shortened(name)
                )));
            }
        }
        // A score is a distance.
        if let Some(score) = scores.iter().flatten().find(|&&score| score < 0.0) {
            return Err(foreign(format!("tensor `{CALIBRATION}`: {score} is no score, which is at least 0")));
        }
        let scores = scores.map(Calibration::new);
        let calibration = scores.transpose().map_err(|error| foreign(format!("tensor `{CALIBRATION}`: {error}")))?;
        let normality = NormalityModel::take_from(&mut weights, &architecture, &preprocessing)?.map(Arc::new);
        let score = weights.metadata.get(SCORED_BY).map(|name| name.parse::<ScoreKind>());
        let score = score.transpose().map_err(|error| foreign(format!("metadata `{SCORED_BY}`: {error}")))?;
        let score = score.unwrap_or_default();
        if score != ScoreKind::Latent && (normality.is_none() || calibration.is_none()) {
            return Err(foreign(format!("metadata `{SCORED_BY}`: the file lacks what that score takes")));
        }
        let mut variables = Variables::new();
        let gan = EdeGan::register(&mut variables, "model", &architecture, described.norm_epsilon);
        arrange(weights.clone(), &variables, &gan)?;
        Ok(Self {
            architecture,
            norm_epsilon: described.norm_epsilon,
            statistics: described.statistics,
            preprocessing,
            normal,
            score,
            calibration,
            normality,
            map_scale,
            weights,
        })
    }

    /// Writes the file whole. The same model gives the same bytes.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), WeightsError> {
        self.whole().write(path)
    }

    /// All that its file holds.
    pub(crate) fn whole(&self) -> Weights {
        let mut weights = self.weights.clone();
        weights.metadata = self.metadata();
        if let Some(normality) = &self.normality {
            normality.insert_into(&mut weights);
        }
        if let Some(calibration) = &self.calibration {
            let scores = calibration.scores();
            weights.insert(CALIBRATION, &[scores.len()], scores.to_vec());
        }
        if let Some(scale) = &self.map_scale {
            map_scale::insert(&mut weights, scale);
        }
        weights
    }

    /// What a file says of the model beside its tensors: text by key, most of it JSON.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let Architecture { channels, side, encoder, latents, latent_constraint, discriminator } =
            self.architecture.clone();
        let described = Described {
            channels,
            side,
            encoder: encoder.iter().map(|layer| [layer.channels, layer.kernel, layer.stride, layer.padding]).collect(),
            latents,
            latent_constraint,
            discriminator,
            norm_epsilon: self.norm_epsilon,
            statistics: self.statistics,
        };
        // Of layers that do not fit nothing can be said; no reader takes the file.
        let fits = self.architecture.check().is_ok();
        let networks = if fits { description::networks(&self.architecture) } else { Value::Null };
        let scored_by = (self.score != ScoreKind::Latent).then(|| (SCORED_BY, self.score.name().to_owned()));
        let metadata = [
            ("format", format!("{FORMAT}-{}", format::MODEL)),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            (ARCHITECTURE, json!(described).to_string()),
            (NETWORKS, networks.to_string()),
            (SCORE, description::score(latent_constraint).to_string()),
            (PREPROCESSING, preprocessing(&self.preprocessing).to_string()),
            (NORMAL, json!(self.normal).to_string()),
        ];
        metadata.into_iter().chain(scored_by).map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// With more keys for whoever reads the file without this program.
fn preprocessing(preprocessing: &Preprocessing) -> Value {
    let mut value = json!(preprocessing);
    for (key, said) in FIXED {
        value[key] = said.into();
    }
    value
}

/// The first place where two JSON values differ, with what stands there in each.
fn differs(said: &Value, known: &Value, place: String) -> Option<(String, String, String)> {
    let at = |part: &str| format!("{place}.{part}");
    match (said, known) {
        (Value::Object(said), Value::Object(known)) => {
            let keys: BTreeSet<&String> = said.keys().chain(known.keys()).collect();
            let part =
                |object: &serde_json::Map<String, Value>, key: &str| object.get(key).cloned().unwrap_or_default();
            keys.into_iter().find_map(|key| differs(&part(said, key), &part(known, key), at(key)))
        }
        (Value::Array(said), Value::Array(known)) if said.len() == known.len() => {
            let mut pairs = said.iter().zip(known).enumerate();
            pairs.find_map(|(index, (said, known))| differs(said, known, at(&index.to_string())))
        }
        (said, known) if said == known => None,
        (said, known) => {
            let short = |value: &Value| value.to_string().chars().take(MAX_SHOWN).collect::<String>();
            Some((place.chars().take(MAX_SHOWN).collect(), short(said), short(known)))
        }
    }
}

/// Most characters of a foreign value in a message.
const MAX_SHOWN: usize = 80;

/// Reads a model file, with its bytes. It may be a pipe, which can be read only once.
///
/// # Errors
/// As those of [`ModelFile::read`].
pub fn read_with_bytes(path: &Path) -> Result<(ModelFile, Vec<u8>), WeightsError> {
    let (weights, bytes) = Weights::read_with_bytes(path, most_bytes)?;
    Ok((ModelFile::of(weights)?, bytes))
}

/// What a file's metadata say of the networks, by which they can be built.
fn described(weights: &Weights) -> Result<(Described, Architecture), WeightsError> {
    weights.expect_format(FORMAT, format::MODEL)?;
    let mut described: Described = described_by(weights, ARCHITECTURE)?;
    let foreign = |problem: String| WeightsError::Damaged {
        path: weights.origin.clone(),
        message: format!("metadata `{ARCHITECTURE}`: {problem}"),
    };
    let architecture = Architecture {
        channels: described.channels,
        side: described.side,
        encoder: std::mem::take(&mut described.encoder).into_iter().map(EncoderLayer::from).collect(),
        latents: described.latents,
        latent_constraint: described.latent_constraint,
        discriminator: std::mem::take(&mut described.discriminator),
    };
    architecture.check().map_err(foreign)?;
    let epsilon = described.norm_epsilon;
    if !(epsilon.is_finite() && epsilon > 0.0) {
        return Err(foreign(format!("`norm_epsilon` is {epsilon}; it must be above 0")));
    }
    Ok((described, architecture))
}

/// Most bytes that the tensors of a model can take, by its metadata.
fn most_bytes(weights: &Weights) -> Result<u64, WeightsError> {
    let (described, architecture) = described(weights)?;
    let mut variables = Variables::new();
    let gan = EdeGan::register(&mut variables, "model", &architecture, described.norm_epsilon);
    let numbers = named(&gan, &variables).into_iter().map(|tensor| tensor.shape.iter().product::<usize>() as u64);
    let beside = MAX_SCORES + normality::max_numbers(&architecture, MAX_SCORES) + map_scale::most_values(&architecture);
    Ok(size_of::<f32>() as u64 * (numbers.sum::<u64>() + beside))
}

/// The metadata value under a key.
fn described_by<T: for<'a> Deserialize<'a>>(weights: &Weights, key: &str) -> Result<T, WeightsError> {
    let foreign = |message: String| WeightsError::Damaged { path: weights.origin.clone(), message };
    let text = weights.metadata.get(key).ok_or_else(|| foreign(format!("no `{key}` in its metadata")))?;
    serde_json::from_str(text).map_err(|error| foreign(format!("metadata `{key}`: {error}")))
}

/// The tensors of a model file: the generator's networks with running averages, the discriminator's without.
pub fn named(gan: &EdeGan, variables: &Variables) -> Vec<Named> {
    let generator = gan.generator().into_iter().flat_map(|network| network.named(variables, true));
    generator.chain(gan.discriminator.named(variables, false)).collect()
}

/// The content of each variable that a file has tensors for. A file may lack running averages, and the discriminator.
///
/// # Errors
/// A file of a newer program, tensors that are missing, of another shape, or none of the networks', and numbers that are
/// not finite.
pub fn arrange(
    mut weights: Weights,
    variables: &Variables,
    gan: &EdeGan,
) -> Result<Vec<(VarId, Vec<f32>)>, WeightsError> {
    weights.check_format(FORMAT, format::MODEL)?;
    weights.expect_finite()?;
    weights.tensors.remove(CALIBRATION);
    normality::remove(&mut weights);
    map_scale::remove(&mut weights);
    let has = |weights: &Weights, part: &str| weights.tensors.keys().any(|name| name.contains(part));
    let (averages, discriminator) = (has(&weights, ".running_"), has(&weights, "discriminator."));
    let mut arranged: Vec<(VarId, Vec<f32>)> = Vec::new();
    for tensor in named(gan, variables) {
        let optional = (tensor.name.contains(".running_") && !averages)
            || (tensor.name.starts_with("discriminator.") && !discriminator);
        if optional {
            continue;
        }
        let values = weights.take(&tensor.name, &tensor.shape)?;
        match arranged.last_mut() {
            // Running means and variances lie in one variable.
            Some((last, held)) if *last == tensor.variable => held.extend(values),
            _ => arranged.push((tensor.variable, values)),
        }
    }
    weights.finish()?;
    Ok(arranged)
}
