//! Layer tables as plain data, with parameters and multiply-accumulates.

use serde::Serialize;

use crate::engine::{Activation, Shape};

/// Whether a layer shrinks images or grows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// Convolution.
    Conv,
    /// Transposed convolution.
    ConvTranspose,
}

/// One layer: a convolution, then bias or batch norm, then an activation. Square kernels.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Convolution or its transpose.
    pub kind: LayerKind,
    /// Output channels.
    pub channels: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step between positions.
    pub stride: usize,
    /// Zeros assumed at each side.
    pub padding: usize,
    /// Batch norm after the convolution; a layer without one has a bias.
    pub norm: bool,
    /// What follows.
    pub activation: Activation,
}

/// A network as a table of layers.
#[derive(Clone, Debug)]
pub struct NetworkSpec {
    /// Name of the network, the prefix of its tensors' names.
    pub name: String,
    /// Channels, height and width of its input.
    pub input: [usize; 3],
    /// From input to output.
    pub layers: Vec<Layer>,
    /// Whether the output is scaled to a root mean square of one.
    pub unit_rms: bool,
}

/// A layer with what follows from its place in the network, for printing.
#[derive(Clone, Debug, Serialize)]
pub struct LayerFigures {
    /// Number and kind, as in the names of its tensors.
    pub name: String,
    /// Kernel, stride and padding.
    pub window: [usize; 3],
    /// Channels, height and width of the output.
    pub output: [usize; 3],
    /// Trainable numbers.
    pub params: usize,
    /// Multiply-accumulates for one image.
    pub macs: u64,
}

impl Layer {
    /// Shape of the weight, of `channels` input channels.
    pub fn weight(&self, channels: usize) -> Shape {
        match self.kind {
            LayerKind::Conv => [self.channels, channels, self.kernel, self.kernel],
            LayerKind::ConvTranspose => [channels, self.channels, self.kernel, self.kernel],
        }
    }

    fn output(&self, [_, h, w]: [usize; 3]) -> [usize; 3] {
        let side = |size: usize| match self.kind {
            LayerKind::Conv => (size + 2 * self.padding).saturating_sub(self.kernel) / self.stride + 1,
            LayerKind::ConvTranspose => {
                (size.saturating_sub(1) * self.stride + self.kernel).saturating_sub(2 * self.padding)
            }
        };
        [self.channels, side(h), side(w)]
    }

    /// Multiply-accumulates for one image: output elements by input channels by kernel area; of a
    /// transposed convolution input elements by output channels by kernel area.
    fn macs(&self, input: [usize; 3]) -> u64 {
        let [from, to] = [input, self.output(input)];
        let (elements, channels) = match self.kind {
            LayerKind::Conv => (to.iter().product::<usize>(), from[0]),
            LayerKind::ConvTranspose => (from.iter().product(), to[0]),
        };
        (elements * channels * self.kernel * self.kernel) as u64
    }

    /// Products that an output sums, of `channels` input channels; of a transposed convolution the mean.
    pub(super) fn summands(&self, channels: usize) -> f64 {
        let taps = (channels * self.kernel * self.kernel) as f64;
        match self.kind {
            LayerKind::Conv => taps,
            // A single pixel meets each output once.
            LayerKind::ConvTranspose if self.stride == 1 && self.padding == 0 => channels as f64,
            LayerKind::ConvTranspose => taps / (self.stride * self.stride) as f64,
        }
    }

    /// Weight, and two numbers a channel for a norm or one for a bias.
    fn params(&self, channels: usize) -> usize {
        self.weight(channels).iter().product::<usize>() + self.channels * if self.norm { 2 } else { 1 }
    }
}

impl NetworkSpec {
    /// Name of a layer, counted from 0.
    pub fn layer_name(&self, index: usize) -> String {
        let kind = match self.layers[index].kind {
            LayerKind::Conv => "conv",
            LayerKind::ConvTranspose => "deconv",
        };
        format!("{kind}{}", index + 1)
    }

    /// Channels, height and width that each layer reads.
    pub fn layer_inputs(&self) -> impl Iterator<Item = (&Layer, [usize; 3])> {
        self.layers.iter().scan(self.input, |input, layer| {
            let before = *input;
            *input = layer.output(before);
            Some((layer, before))
        })
    }

    /// Channels, height and width of the network's output.
    pub fn output(&self) -> [usize; 3] {
        self.layers.iter().fold(self.input, |input, layer| layer.output(input))
    }

    /// What each layer holds and costs.
    pub fn figures(&self) -> Vec<LayerFigures> {
        self.layer_inputs()
            .enumerate()
            .map(|(index, (layer, input))| LayerFigures {
                name: self.layer_name(index),
                window: [layer.kernel, layer.stride, layer.padding],
                output: layer.output(input),
                params: layer.params(input[0]),
                macs: layer.macs(input),
            })
            .collect()
    }

    /// Trainable numbers.
    pub fn params(&self) -> usize {
        self.layer_inputs().map(|(layer, input)| layer.params(input[0])).sum()
    }

    /// Multiply-accumulates for one image.
    pub fn macs(&self) -> u64 {
        self.layer_inputs().map(|(layer, input)| layer.macs(input)).sum()
    }
}
