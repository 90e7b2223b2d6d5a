//! The generator's training step in Burn.

use std::fs;
use std::path::Path;

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::activation::{leaky_relu, relu};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use serde::Deserialize;

/// A file of named tensors.
pub struct File {
    bytes: Vec<u8>,
}

/// What of a model file's architecture a generator needs.
#[derive(Deserialize)]
struct Architecture {
    encoder: Vec<[usize; 4]>,
    norm_epsilon: f64,
}

/// Reads a file of tensors.
pub fn read(path: &Path) -> File {
    File { bytes: fs::read(path).expect("a file of tensors") }
}

impl File {
    fn open(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("a file of tensors")
    }

    fn has(&self, name: &str) -> bool {
        self.open().tensor(name).is_ok()
    }

    fn shape(&self, name: &str) -> Vec<usize> {
        self.open().tensor(name).expect(name).shape().to_vec()
    }

    /// A tensor by its name.
    pub fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let file = self.open();
        let view = file.tensor(name).expect(name);
        let values: Vec<f32> =
            view.data().chunks_exact(4).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect();
        Tensor::from_data(TensorData::new(values, view.shape().to_vec()), device)
    }

    fn parameter<const D: usize>(&self, name: &str, device: &Device) -> Param<Tensor<D>> {
        Param::from_tensor(self.tensor(name, device))
    }

    fn architecture(&self) -> Architecture {
        let (_, header) = SafeTensors::read_metadata(&self.bytes).expect("a header");
        let text =
            header.metadata().as_ref().and_then(|metadata| metadata.get("architecture")).expect("an architecture");
        serde_json::from_str(text).expect("an architecture")
    }
}

/// What layers are made with.
struct Maker<'a> {
    file: &'a File,
    epsilon: f64,
    momentum: f64,
    device: &'a Device,
}

impl Maker<'_> {
    fn norm(&self, name: &str, channels: usize) -> Option<BatchNorm> {
        let weight = format!("{name}.norm.weight");
        self.file.has(&weight).then(|| {
            // Scale and shift begin at 1 and 0 in either library.
            BatchNormConfig::new(channels).with_epsilon(self.epsilon).with_momentum(self.momentum).init(self.device)
        })
    }

    fn bias(&self, name: &str) -> Option<Param<Tensor<1>>> {
        let bias = format!("{name}.bias");
        self.file.has(&bias).then(|| self.file.parameter(&bias, self.device))
    }

    fn encoder(&self, name: &str, windows: &[[usize; 2]]) -> Encoder {
        let layers = windows.iter().enumerate().map(|(index, &[stride, padding])| {
            let name = format!("{name}.conv{}", index + 1);
            let weight = format!("{name}.weight");
            let &[outputs, inputs, kernel, _] = &self.file.shape(&weight)[..] else { panic!("{weight}") };
            let convolution = Conv2dConfig::new([inputs, outputs], [kernel, kernel])
                .with_stride([stride, stride])
                .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
                .init(self.device);
            let weight = self.file.parameter(&weight, self.device);
            Shrink {
                convolution: Conv2d { weight, bias: self.bias(&name), ..convolution },
                norm: self.norm(&name, outputs),
            }
        });
        Encoder { layers: layers.collect() }
    }

    fn decoder(&self, windows: &[[usize; 2]]) -> Decoder {
        let layers = windows.iter().rev().enumerate().map(|(index, &[stride, padding])| {
            let name = format!("decoder.deconv{}", index + 1);
            let weight = format!("{name}.weight");
            let &[inputs, outputs, kernel, _] = &self.file.shape(&weight)[..] else { panic!("{weight}") };
            let convolution = ConvTranspose2dConfig::new([inputs, outputs], [kernel, kernel])
                .with_stride([stride, stride])
                .with_padding([padding, padding])
                .init(self.device);
            let weight = self.file.parameter(&weight, self.device);
            Grow {
                convolution: ConvTranspose2d { weight, bias: self.bias(&name), ..convolution },
                norm: self.norm(&name, outputs),
            }
        });
        Decoder { layers: layers.collect() }
    }
}

#[derive(Module, Debug)]
struct Shrink {
    convolution: Conv2d,
    norm: Option<BatchNorm>,
}

#[derive(Module, Debug)]
struct Encoder {
    layers: Vec<Shrink>,
}

impl Encoder {
    fn forward(&self, mut x: Tensor<4>) -> Tensor<4> {
        for (index, layer) in self.layers.iter().enumerate() {
            x = normed(&layer.norm, layer.convolution.forward(x));
            if index + 1 < self.layers.len() {
                x = leaky_relu(x, 0.2);
            }
        }
        // To a root mean square of one.
        let [_, latents, ..] = x.dims();
        let norm = x.clone().square().sum_dim(1).sqrt().clamp_min(1e-6);
        x.div(norm).mul_scalar((latents as f64).sqrt())
    }
}

#[derive(Module, Debug)]
struct Grow {
    convolution: ConvTranspose2d,
    norm: Option<BatchNorm>,
}

#[derive(Module, Debug)]
struct Decoder {
    layers: Vec<Grow>,
}

impl Decoder {
    fn forward(&self, mut x: Tensor<4>) -> Tensor<4> {
        for (index, layer) in self.layers.iter().enumerate() {
            x = normed(&layer.norm, layer.convolution.forward(x));
            x = if index + 1 < self.layers.len() { relu(x) } else { x.tanh() };
        }
        x
    }
}

fn normed(norm: &Option<BatchNorm>, x: Tensor<4>) -> Tensor<4> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}

/// Encoder, decoder, encoder.
#[derive(Module, Debug)]
pub struct Generator {
    encoder1: Encoder,
    decoder: Decoder,
    encoder2: Encoder,
}

impl Generator {
    /// That of a model file.
    pub fn new(file: &File, momentum: f64, device: &Device) -> Self {
        let Architecture { encoder, norm_epsilon } = file.architecture();
        let maker = Maker { file, epsilon: norm_epsilon, momentum, device };
        let mut windows: Vec<[usize; 2]> = encoder.iter().map(|&[_, _, stride, padding]| [stride, padding]).collect();
        windows.push([1, 0]);
        Self {
            encoder1: maker.encoder("encoder1", &windows),
            decoder: maker.decoder(&windows),
            encoder2: maker.encoder("encoder2", &windows),
        }
    }

    /// Latent vectors of images and of their reconstructions, and the reconstructions.
    pub fn forward(&self, images: Tensor<4>) -> [Tensor<4>; 3] {
        let latent = self.encoder1.forward(images);
        let reconstruction = self.decoder.forward(latent.clone());
        let again = self.encoder2.forward(reconstruction.clone());
        [latent, again, reconstruction]
    }
}
