//! Model files: the networks' tensors, with what is needed to use them.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::TrainError;
use crate::config::{Config, Statistics};
use crate::engine::{Executor, Readback, VarId, Variables};
use crate::model::{Architecture, EdeGan, Named, Shrink};
use crate::weights::{Weights, WeightsError};

/// What the metadata key `format` says.
const FORMAT: &str = "pkdgan-ede-gan-1";
/// The metadata key of the architecture.
const ARCHITECTURE: &str = "architecture";

/// The metadata value that says how to build the networks.
#[derive(Serialize, Deserialize)]
struct Described {
    channels: usize,
    side: usize,
    /// Channels, kernel, stride and padding.
    encoder: Vec<[usize; 4]>,
    latents: usize,
    discriminator: [usize; 3],
    norm_epsilon: f32,
    statistics: Statistics,
}

/// A trained encoder-decoder-encoder GAN whose weights are on an executor.
pub struct Model {
    /// Its networks.
    pub gan: EdeGan,
    /// All variables on the executor.
    pub variables: Variables,
    /// How its norms work when it scores.
    pub statistics: Statistics,
}

impl Model {
    /// Reads a model file that [`save_model`] wrote, and puts it on an executor that holds no other.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged or no model, and tensors that do not go with the architecture.
    pub fn load(path: &Path, executor: &mut dyn Executor) -> Result<Self, TrainError> {
        let weights = Weights::read(path)?;
        let foreign = |message: String| WeightsError::Damaged { path: path.to_owned(), message };
        let text =
            weights.metadata.get(ARCHITECTURE).ok_or_else(|| foreign("no architecture in its metadata".into()))?;
        let described: Described =
            serde_json::from_str(text).map_err(|error| foreign(format!("metadata `{ARCHITECTURE}`: {error}")))?;
        let architecture = Architecture {
            channels: described.channels,
            side: described.side,
            encoder: described.encoder.into_iter().map(Shrink::from).collect(),
            latents: described.latents,
            discriminator: described.discriminator,
        };
        architecture.check().map_err(|problem| foreign(format!("metadata `{ARCHITECTURE}`: {problem}")))?;
        let mut variables = Variables::new();
        let gan = EdeGan::register(&mut variables, "model", &architecture, described.norm_epsilon);
        put(weights, executor, &variables, &gan)?;
        Ok(Self { gan, variables, statistics: described.statistics })
    }
}

/// The tensors of a model file: the generator's networks with running averages, the discriminator's without.
fn named(gan: &EdeGan, variables: &Variables) -> Vec<Named> {
    let generator = gan.generator().into_iter().flat_map(|network| network.named(variables, true));
    generator.chain(gan.discriminator.named(variables, false)).collect()
}

/// Writes the networks as they are on the executor, to be scored with by these statistics.
pub fn save_model(
    path: &Path,
    executor: &mut dyn Executor,
    variables: &Variables,
    gan: &EdeGan,
    statistics: Statistics,
    config: &Config,
) -> Result<(), TrainError> {
    let named = named(gan, variables);
    let wanted: Vec<Readback> = named.iter().map(|tensor| Readback::Variable(tensor.variable)).collect();
    let values = executor.read(&wanted)?.wait()?;
    let mut weights = Weights::default();
    for (tensor, values) in named.into_iter().zip(values) {
        let len: usize = tensor.shape.iter().product();
        weights.insert(tensor.name, &tensor.shape, values[tensor.offset..tensor.offset + len].to_vec());
    }
    let Architecture { channels, side, encoder, latents, discriminator } = gan.architecture.clone();
    let described = Described {
        channels,
        side,
        encoder: encoder.iter().map(|layer| [layer.channels, layer.kernel, layer.stride, layer.padding]).collect(),
        latents,
        discriminator,
        norm_epsilon: config.training.norm_epsilon as f32,
        statistics,
    };
    let metadata = [
        ("format", FORMAT.to_owned()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        (ARCHITECTURE, json!(described).to_string()),
        (
            "preprocessing",
            json!({
                "channels": channels,
                "side": side,
                "pixels": "value / 127.5 - 1",
                "padding": "centred, with -1",
            })
            .to_string(),
        ),
        ("normal", json!({ "dataset": config.data.dataset, "class": config.data.normal }).to_string()),
    ];
    weights.metadata.extend(metadata.map(|(key, value)| (key.to_owned(), value)));
    Ok(weights.write(path)?)
}

/// Sets networks that are registered from a file that [`save_model`] wrote, or any safetensors file with the same names
/// and shapes. A file without running averages leaves them as they are; one without the discriminator likewise.
///
/// # Errors
/// A file that cannot be read or has other tensors; then nothing was set.
pub fn load_weights(
    path: &Path,
    executor: &mut dyn Executor,
    variables: &Variables,
    gan: &EdeGan,
) -> Result<(), TrainError> {
    put(Weights::read(path)?, executor, variables, gan)
}

/// Refuses a file that [`load_weights`] would refuse for networks of this architecture; no device is needed.
pub fn check_weights(path: &Path, architecture: &Architecture) -> Result<(), TrainError> {
    let mut variables = Variables::new();
    let gan = EdeGan::register(&mut variables, "checked", architecture, 1.0);
    arrange(Weights::read(path)?, &variables, &gan)?;
    Ok(())
}

fn put(weights: Weights, executor: &mut dyn Executor, variables: &Variables, gan: &EdeGan) -> Result<(), TrainError> {
    let arranged = arrange(weights, variables, gan)?;
    // The tensors are really there: only now does the device make room for them.
    executor.allocate(variables)?;
    for (variable, values) in arranged {
        executor.write(variable, &values)?;
    }
    Ok(())
}

/// The content of each variable that a file has tensors for.
fn arrange(mut weights: Weights, variables: &Variables, gan: &EdeGan) -> Result<Vec<(VarId, Vec<f32>)>, WeightsError> {
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
