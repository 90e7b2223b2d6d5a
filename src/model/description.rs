//! What a model file says of its networks beyond their settings: each layer with its activation, and how a score follows.
//! With it a network can be built again by a program that knows nothing of this one.
//!
//! A reader compares these texts with what it would write. So a change here is a new version of the format.

use serde_json::{Value, json};

use super::{Architecture, NetworkSpec};
use crate::engine::{Activation, MIN_NORM};

/// Every network with its layers, in the order they run.
pub(super) fn networks(architecture: &Architecture) -> Value {
    let specs = architecture.generator().into_iter().chain([architecture.discriminator()]);
    Value::Object(specs.map(|spec| (spec.name.clone(), network(&spec))).collect())
}

/// How a score follows from an image `x`.
pub(super) fn score() -> Value {
    json!({
        "z1": "encoder1(x)",
        "reconstruction": "decoder(z1)",
        "z2": "encoder2(reconstruction)",
        "score": "sqrt(sum((z1 - z2)^2))",
        "unit_rms": "v * sqrt(n) / max(sqrt(sum(v^2)), least_norm), of each vector v of n numbers",
        "least_norm": number(MIN_NORM),
        "p_value": "(1 + count(calibration.scores >= score)) / (1 + count(calibration.scores))",
    })
}

fn network(spec: &NetworkSpec) -> Value {
    let layers = spec.layer_inputs().enumerate().map(|(index, (layer, [channels, ..]))| {
        let mut said = json!({
            "name": spec.layer_name(index),
            "kind": layer.kind,
            "in": channels,
            "out": layer.channels,
            "kernel": layer.kernel,
            "stride": layer.stride,
            "padding": layer.padding,
            "norm": if layer.norm { "batch_norm" } else { "none" },
        });
        let (name, slope) = activation(layer.activation);
        said["activation"] = name.into();
        if let Some(slope) = slope {
            said["slope"] = slope;
        }
        said
    });
    json!({ "layers": layers.collect::<Value>(), "output": if spec.unit_rms { "unit_rms" } else { "none" } })
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
