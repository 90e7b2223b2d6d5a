//! `model.safetensors`: the networks' tensors, with what is needed to use them.

use std::path::Path;

use serde_json::json;

use super::error::TrainError;
use crate::config::Config;
use crate::engine::{Executor, Readback, Variables};
use crate::model::{EdeGan, Named};
use crate::weights::Weights;

/// What the metadata key `format` says.
const FORMAT: &str = "pkdgan-ede-gan-1";

/// The tensors of a model file: the generator's networks with running averages, the discriminator's
/// without.
fn named(gan: &EdeGan, variables: &Variables) -> Vec<Named> {
    let generator = gan.generator().into_iter().flat_map(|network| network.named(variables, true));
    generator.chain(gan.discriminator.named(variables, false)).collect()
}

/// Writes the networks as they are on the executor.
pub fn save_model(
    path: &Path,
    executor: &mut dyn Executor,
    variables: &Variables,
    gan: &EdeGan,
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
    let side = config.data.side;
    let [channels, ..] = gan.encoder1.spec.input;
    let metadata = [
        ("format", FORMAT.to_owned()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        (
            "architecture",
            json!({
                "generator": config.network.generator,
                "latents": config.network.latents,
                "discriminator": config.network.discriminator,
                "norm_epsilon": config.training.norm_epsilon,
                "statistics": config.scoring.statistics,
            })
            .to_string(),
        ),
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

/// Sets the networks from a file that [`save_model`] wrote, or any safetensors file with the same
/// names and shapes. A file without running averages leaves them as they are; one without the
/// discriminator likewise.
pub fn load_model(
    path: &Path,
    executor: &mut dyn Executor,
    variables: &Variables,
    gan: &EdeGan,
) -> Result<(), TrainError> {
    let mut weights = Weights::read(path)?;
    let has = |weights: &Weights, part: &str| weights.tensors.keys().any(|name| name.contains(part));
    let (averages, discriminator) = (has(&weights, ".running_"), has(&weights, "discriminator."));
    // Running means and variances lie in one variable: gather the parts of each.
    let mut parts: Vec<(Named, Vec<f32>)> = Vec::new();
    for tensor in named(gan, variables) {
        let optional = (tensor.name.contains(".running_") && !averages)
            || (tensor.name.starts_with("discriminator.") && !discriminator);
        if optional {
            continue;
        }
        let values = weights.take(&tensor.name, &tensor.shape)?;
        match parts.last_mut() {
            Some((last, held)) if last.variable == tensor.variable => held.extend(values),
            _ => parts.push((tensor, values)),
        }
    }
    weights.finish()?;
    for (tensor, values) in parts {
        executor.write(tensor.variable, &values)?;
    }
    Ok(())
}
