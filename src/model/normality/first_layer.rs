//! The features of an image: the first encoder's first layer, without any executor. It has no norm.

use crate::engine::Activation;
use crate::model::Architecture;
use crate::weights::{Weights, WeightsError};

/// Most channels that are looked at.
pub(super) const MAX_CHANNELS: usize = 64;

/// The first layer of the first encoder.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FirstLayer {
    /// Channels of an image, and its side.
    input: [usize; 2],
    /// Channels that are looked at.
    pub channels: usize,
    /// Side of the feature map.
    pub side: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    leak: f32,
    /// `[C, K, K, channels]`: the channels lie side by side, so that a vector takes several.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl FirstLayer {
    /// That of a model.
    ///
    /// # Errors
    /// Weights without its tensors, or of another shape.
    pub(super) fn of(architecture: &Architecture, weights: &Weights) -> Result<Self, WeightsError> {
        let spec = architecture.encoder("encoder1");
        let foreign = |message: String| WeightsError::Damaged { path: weights.origin.clone(), message };
        let layer = spec.layers.first().ok_or_else(|| foreign("an encoder without layers".into()))?;
        let [_, side, _] = spec.layer_inputs().nth(1).map_or(spec.output(), |(_, input)| input);
        let channels = layer.channels.min(MAX_CHANNELS);
        let taken = |part: &str, len: usize| {
            let name = format!("encoder1.{}.{part}", spec.layer_name(0));
            let missing = || WeightsError::Missing { path: weights.origin.clone(), name: name.clone() };
            let values = &weights.tensors.get(&name).ok_or_else(missing)?.values;
            if values.len() == len {
                Ok(values)
            } else {
                Err(foreign(format!("tensor `{name}` has {} values, not {len}", values.len())))
            }
        };
        let taps = architecture.channels * layer.kernel * layer.kernel;
        let by_channel = taken("weight", layer.channels * taps)?;
        let weight = (0..taps).flat_map(|tap| (0..channels).map(move |channel| by_channel[channel * taps + tap]));
        let leak = match layer.activation {
            Activation::LeakyRelu(leak) => leak,
            _ => 1.0,
        };
        Ok(Self {
            input: [architecture.channels, architecture.side],
            channels,
            side,
            kernel: layer.kernel,
            stride: layer.stride,
            padding: layer.padding,
            leak,
            weight: weight.collect(),
            bias: taken("bias", layer.channels)?[..channels].to_vec(),
        })
    }

    /// Numbers of an image.
    pub(super) fn image_len(&self) -> usize {
        let [planes, size] = self.input;
        planes * size * size
    }

    /// The features of an image `[C, S, S]`: `[side, side, channels]`.
    pub(super) fn features(&self, pixels: &[f32]) -> Vec<f32> {
        let &Self { input: [planes, size], channels, side, kernel, stride, padding, leak, .. } = self;
        let mut features = Vec::with_capacity(side * side * channels);
        for place in 0..side * side {
            let start = features.len();
            features.extend_from_slice(&self.bias);
            let sums = &mut features[start..];
            let [top, left] = [place / side * stride, place % side * stride];
            for tap in 0..planes * kernel * kernel {
                let (plane, dy, dx) = (tap / (kernel * kernel), tap / kernel % kernel, tap % kernel);
                // What lies outside counts as zero.
                let (Some(y), Some(x)) = ((top + dy).checked_sub(padding), (left + dx).checked_sub(padding)) else {
                    continue;
                };
                if y < size && x < size {
                    let value = pixels[(plane * size + y) * size + x];
                    let weights = &self.weight[tap * channels..(tap + 1) * channels];
                    sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += value * weight);
                }
            }
            sums.iter_mut().for_each(|sum| *sum = if *sum > 0.0 { *sum } else { leak * *sum });
        }
        features
    }
}
