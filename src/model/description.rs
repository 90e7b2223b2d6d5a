//! What a model file says of its networks beyond their settings: each layer with its activation, and how a score follows.
//! With it a network can be built again by a program that knows nothing of this one.
//!
//! A reader compares these texts with what it would write. So a change here is a new version of the format.

use serde_json::{Value, json};

use super::{Architecture, LatentConstraint, NetworkSpec};
use crate::calibration::{TIE_RATIO, TIE_STEP};
use crate::engine::{Activation, MIN_NORM};

/// The columns of a layer. Channels and kernel are those of its weight. The slope is there where the activation has one.
const LAYER: [&str; 7] = ["name", "kind", "stride", "padding", "norm", "activation", "slope"];

/// The layers of every network, in the order they run. Both encoders have the same.
pub(super) fn networks(architecture: &Architecture) -> Value {
    json!({
        "layer": LAYER,
        "encoder": layers(&architecture.encoder("encoder")),
        "decoder": layers(&architecture.decoder()),
        "discriminator": layers(&architecture.discriminator()),
    })
}

/// How a score follows from an image `x`, and a p-value from a score.
pub(super) fn score(constraint: LatentConstraint) -> Value {
    let mut score = score_without_ties(constraint);
    // Short, for some files must be small.
    score["p_value"] =
        format!("(1 + count(max({TIE_RATIO} * c, c + {TIE_STEP}) >= score)) / (1 + count(c)), c = calibration.scores")
            .into();
    score
}

/// The same as version 2 of the format says it. Its p-values are of exact comparisons; this program knows ties there too.
pub(super) fn score_without_ties(constraint: LatentConstraint) -> Value {
    let mut score = json!({
        "z1": "encoder1(x)",
        "z2": "encoder2(decoder(z1))",
        "score": "sqrt(sum((z1 - z2)^2))",
        "p_value": "(1 + count(calibration.scores >= score)) / (1 + count(calibration.scores))",
    });
    // The others are in the table of layers, or are nothing.
    if constraint == LatentConstraint::UnitRms {
        score["z1"] = "unit_rms(encoder1(x))".into();
        score["z2"] = "unit_rms(encoder2(decoder(z1)))".into();
        score["unit_rms"] = "v * sqrt(n) / max(sqrt(sum(v^2)), least_norm)".into();
        score["least_norm"] = number(MIN_NORM);
    }
    score
}

fn layers(spec: &NetworkSpec) -> Value {
    let layers = spec.layers.iter().enumerate().map(|(index, layer)| {
        let (activation, slope) = activation(layer.activation);
        let columns = [
            spec.layer_name(index).into(),
            json!(layer.kind),
            layer.stride.into(),
            layer.padding.into(),
            layer.norm.into(),
            activation.into(),
        ];
        columns.into_iter().chain(slope).collect::<Value>()
    });
    layers.collect()
}

/// An activation's name, and its slope below zero where that is a choice.
fn activation(activation: Activation) -> (&'static str, Option<Value>) {
    match activation {
        Activation::Identity => ("none", None),
        Activation::Relu => ("relu", None),
        Activation::LeakyRelu(slope) => ("leaky_relu", Some(number(slope))),
        Activation::Tanh => ("tanh", None),
        Activation::Sigmoid => ("sigmoid", None),
    }
}

/// A number as it stands in the source, not as its nearest double.
fn number(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}
