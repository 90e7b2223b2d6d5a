use super::network::{Network, NormMode};
use super::spec::{Layer, LayerKind, NetworkSpec};
use crate::engine::{Activation, EngineError, Graph, GroupId, Measure, Tensor, Variables};

/// The networks of an encoder-decoder-encoder GAN.
#[derive(Clone, Debug)]
pub struct EdeGan {
    /// E1: image to latent vector.
    pub encoder1: Network,
    /// Latent vector to reconstruction.
    pub decoder: Network,
    /// E2: reconstruction to latent vector.
    pub encoder2: Network,
    /// Image to one logit.
    pub discriminator: Network,
    /// What the generator's optimizer works on.
    pub generator_parameters: GroupId,
    /// What the discriminator's optimizer works on.
    pub discriminator_parameters: GroupId,
    /// Running averages of all networks.
    pub averages: GroupId,
}

/// What the generator makes of a batch of images.
#[derive(Clone, Copy, Debug)]
pub struct Generated {
    /// Latent vectors of the images, `[N, n, 1, 1]`.
    pub latent: Tensor,
    /// Reconstructions, shaped as the images.
    pub reconstruction: Tensor,
    /// Latent vectors of the reconstructions, `[N, n, 1, 1]`.
    pub latent_again: Tensor,
}

/// Slope of the leaky ReLU below zero.
const LEAK: f32 = 0.2;
/// Kernel of every layer.
const KERNEL: usize = 4;

/// Three layers that halve the image's side, normed but for the first, then one over what is left.
fn shrinking(name: &str, channels: usize, side: usize, widths: [usize; 3], outputs: usize) -> NetworkSpec {
    let halving = |(index, &width): (usize, &usize)| Layer {
        kind: LayerKind::Conv,
        channels: width,
        kernel: KERNEL,
        stride: 2,
        padding: 1,
        norm: index > 0,
        activation: Activation::LeakyRelu(LEAK),
    };
    let last = Layer {
        kind: LayerKind::Conv,
        channels: outputs,
        kernel: side / 8,
        stride: 1,
        padding: 0,
        norm: false,
        activation: Activation::Identity,
    };
    let layers = widths.iter().enumerate().map(halving).chain([last]).collect();
    NetworkSpec { name: name.into(), input: [channels, side, side], layers, unit_rms: false }
}

/// The encoder's and the decoder's layers: `widths` channels from the image inwards, `latents`
/// numbers in the middle, images of `channels` by `side` by `side`, the side a multiple of 8.
pub fn encoder_and_decoder(
    channels: usize,
    side: usize,
    widths: [usize; 3],
    latents: usize,
) -> (NetworkSpec, NetworkSpec) {
    let encoder = NetworkSpec { unit_rms: true, ..shrinking("encoder", channels, side, widths, latents) };
    let [a, b, c] = widths;
    let growing = |channels: usize, first: bool, last: bool| Layer {
        kind: LayerKind::ConvTranspose,
        channels,
        kernel: if first { side / 8 } else { KERNEL },
        stride: if first { 1 } else { 2 },
        padding: usize::from(!first),
        norm: !last,
        activation: if last { Activation::Tanh } else { Activation::Relu },
    };
    let decoder = NetworkSpec {
        name: "decoder".into(),
        input: [latents, 1, 1],
        layers: vec![
            growing(c, true, false),
            growing(b, false, false),
            growing(a, false, false),
            growing(channels, false, true),
        ],
        unit_rms: false,
    };
    (encoder, decoder)
}

/// The discriminator's layers: the encoder's body, then one logit.
pub fn discriminator(channels: usize, side: usize, widths: [usize; 3]) -> NetworkSpec {
    shrinking("discriminator", channels, side, widths, 1)
}

impl EdeGan {
    /// Registers all variables: groups `generator`, `discriminator` and the running averages.
    pub fn register(
        variables: &mut Variables,
        (encoder, decoder): (NetworkSpec, NetworkSpec),
        discriminator: NetworkSpec,
        epsilon: f32,
    ) -> Self {
        let generator_parameters = variables.group("generator");
        let discriminator_parameters = variables.group("discriminator");
        let averages = variables.group("running averages");
        let named = |name: &str| NetworkSpec { name: name.into(), ..encoder.clone() };
        let mut register = |spec, group| Network::register(spec, variables, group, averages, epsilon);
        Self {
            encoder1: register(named("encoder1"), generator_parameters),
            decoder: register(decoder, generator_parameters),
            encoder2: register(named("encoder2"), generator_parameters),
            discriminator: register(discriminator, discriminator_parameters),
            generator_parameters,
            discriminator_parameters,
            averages,
        }
    }

    /// The generator's networks in the order they run.
    pub fn generator(&self) -> [&Network; 3] {
        [&self.encoder1, &self.decoder, &self.encoder2]
    }

    /// Multiply-accumulates of the generator for one image: what scoring costs.
    pub fn generator_macs(&self) -> u64 {
        self.generator().iter().map(|network| network.spec.macs()).sum()
    }

    /// Trainable numbers of the generator.
    pub fn generator_params(&self) -> usize {
        self.generator().iter().map(|network| network.spec.params()).sum()
    }

    /// Adds the generator to a graph.
    pub fn generate(
        &self,
        graph: &mut Graph,
        variables: &Variables,
        images: Tensor,
        mode: NormMode,
    ) -> Result<Generated, EngineError> {
        let latent = self.encoder1.forward(graph, variables, images, mode)?;
        let reconstruction = self.decoder.forward(graph, variables, latent, mode)?;
        let latent_again = self.encoder2.forward(graph, variables, reconstruction, mode)?;
        Ok(Generated { latent, reconstruction, latent_again })
    }

    /// Adds what scoring needs: the anomaly score `||z1 - z2||` (P-KDGAN, arXiv 2007.06963) and the mean
    /// absolute error of the reconstruction, both `[N, 1, 1, 1]`.
    pub fn score(
        &self,
        graph: &mut Graph,
        variables: &Variables,
        images: Tensor,
        mode: NormMode,
    ) -> Result<[Tensor; 2], EngineError> {
        let made = self.generate(graph, variables, images, mode)?;
        let score = graph.distance(made.latent, made.latent_again, Measure::L2)?;
        let error = graph.distance(images, made.reconstruction, Measure::L1)?;
        Ok([score, error])
    }
}
