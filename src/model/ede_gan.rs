//! The encoder-decoder-encoder GAN: architecture, networks, the graphs of generator and score. It knows no training.

use rand_chacha::ChaCha8Rng;

use super::LatentConstraint;
use super::network::{Initial, Network, NormMode};
use super::spec::{Layer, LayerKind, NetworkSpec};
use crate::engine::{Activation, EngineError, Executor, Graph, GroupId, Measure, Tensor, Variables};

/// The networks of an encoder-decoder-encoder GAN.
#[derive(Clone, Debug)]
pub struct EdeGan {
    /// What they are made from.
    pub architecture: Architecture,
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
    pub reconstruction_latent: Tensor,
}

/// Slope of the leaky ReLU below zero.
const LEAK: f32 = 0.2;

/// A layer of an encoder from the image inwards, which the decoder mirrors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderLayer {
    /// Output channels.
    pub channels: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step between positions.
    pub stride: usize,
    /// Zeros assumed at each side.
    pub padding: usize,
}

impl EncoderLayer {
    /// Halves the side: 4x4, stride 2, padding 1.
    pub fn half(channels: usize) -> Self {
        Self { channels, kernel: 4, stride: 2, padding: 1 }
    }

    fn layer(self, norm: bool) -> Layer {
        let Self { channels, kernel, stride, padding } = self;
        let activation = Activation::LeakyRelu(LEAK);
        Layer { kind: LayerKind::Conv, channels, kernel, stride, padding, norm, activation }
    }
}

impl From<[usize; 4]> for EncoderLayer {
    /// From channels, kernel, stride and padding.
    fn from([channels, kernel, stride, padding]: [usize; 4]) -> Self {
        Self { channels, kernel, stride, padding }
    }
}

/// What the networks of an encoder-decoder-encoder GAN are made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// Channels of the images: 1 for grey, 3 for colour.
    pub channels: usize,
    /// Height and width of the images.
    pub side: usize,
    /// The encoders' layers but the last, which is dense.
    pub encoder: Vec<EncoderLayer>,
    /// Length of a latent vector.
    pub latents: usize,
    /// What is done to latent vectors.
    pub latent_constraint: LatentConstraint,
    /// Channels of the discriminator's halving layers.
    pub discriminator: Vec<usize>,
}

/// Most channels, latents and pixels a side of a network.
const MAX_WIDTH: usize = 4096;
/// Most numbers that a layer makes of one image.
const MAX_NUMBERS: usize = 1 << 26;
/// Longest stride of windows that overlap or skip pixels: their transposed convolution is computed apart for each of the
/// `stride x stride` ways in which an output pixel can lie to the windows.
const MAX_STRIDE: usize = 64;
/// Most layers of an encoder beside the last.
const MAX_LAYERS: usize = 16;

impl Architecture {
    /// Checks that the layers fit the images: each window fills its image exactly, so that the decoder's mirror gives
    /// images of the same side.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self) -> Result<(), String> {
        let within = |count: &usize| (1..=MAX_WIDTH).contains(count);
        if ![self.channels, self.side, self.latents].iter().chain(&self.discriminator).all(within) {
            return Err(format!("not within 1 to {MAX_WIDTH} everywhere: {self:?}"));
        }
        let halvings = self.discriminator.len();
        if !(1..=MAX_LAYERS).contains(&halvings) {
            return Err(format!("a discriminator of {halvings} halving layers, not 1 to {MAX_LAYERS}"));
        }
        if !self.side.is_multiple_of(1 << halvings) {
            return Err(format!("a side of {} pixels, which {halvings} halvings do not divide", self.side));
        }
        if !(1..=MAX_LAYERS).contains(&self.encoder.len()) {
            return Err(format!("an encoder of {} layers, not 1 to {MAX_LAYERS}", self.encoder.len()));
        }
        let mut side = self.side;
        for &EncoderLayer { channels, kernel, stride, padding } in &self.encoder {
            let sound = within(&channels) && within(&kernel) && within(&stride) && padding < kernel;
            let room = (side + 2 * padding).checked_sub(kernel).filter(|_| sound);
            let Some(room) = room.filter(|room| room.is_multiple_of(stride)) else {
                return Err(format!("[{channels}, {kernel}, {stride}, {padding}] on {side} x {side} pixels"));
            };
            side = room / stride + 1;
            let apart = padding == 0 && (stride == kernel || side == 1);
            if !apart && stride > MAX_STRIDE {
                return Err(format!(
                    "[{channels}, {kernel}, {stride}, {padding}]: windows that overlap or skip pixels go at most \
                     {MAX_STRIDE} pixels at a time"
                ));
            }
            let numbers = channels * side * side;
            if numbers > MAX_NUMBERS {
                return Err(format!(
                    "[{channels}, {kernel}, {stride}, {padding}] makes {numbers} numbers of one image"
                ));
            }
        }
        Ok(())
    }

    /// An image-to-vector network: `encoder`, normed but for the first, then one layer over what is left.
    fn encoder_spec(&self, name: &str, encoder: &[EncoderLayer], outputs: usize) -> NetworkSpec {
        let input = [self.channels, self.side, self.side];
        let layers = encoder.iter().enumerate().map(|(index, layer)| layer.layer(index > 0)).collect();
        let mut spec = NetworkSpec { name: name.into(), input, layers, unit_rms: false };
        let [_, left, _] = spec.output();
        let dense = EncoderLayer { channels: outputs, kernel: left, stride: 1, padding: 0 };
        spec.layers.push(Layer { activation: Activation::Identity, ..dense.layer(false) });
        spec
    }

    /// The layers of an encoder called `name`.
    pub fn encoder(&self, name: &str) -> NetworkSpec {
        let mut spec = self.encoder_spec(name, &self.encoder, self.latents);
        spec.unit_rms = self.latent_constraint == LatentConstraint::UnitRms;
        if let (LatentConstraint::Tanh, Some(last)) = (self.latent_constraint, spec.layers.last_mut()) {
            last.activation = Activation::Tanh;
        }
        spec
    }

    /// The decoder's layers: the encoder's, mirrored.
    pub fn decoder(&self) -> NetworkSpec {
        let encoder = self.encoder("encoder");
        let mut layers: Vec<Layer> = encoder
            .layer_inputs()
            .enumerate()
            .map(|(index, (layer, [channels, ..]))| Layer {
                kind: LayerKind::ConvTranspose,
                channels,
                norm: index > 0,
                activation: if index > 0 { Activation::Relu } else { Activation::Tanh },
                ..layer.clone()
            })
            .collect();
        layers.reverse();
        NetworkSpec { name: "decoder".into(), input: [self.latents, 1, 1], layers, unit_rms: false }
    }

    /// The generator's layers in the order they run.
    pub fn generator(&self) -> [NetworkSpec; 3] {
        [self.encoder("encoder1"), self.decoder(), self.encoder("encoder2")]
    }

    /// Multiply-accumulates of the generator for one image: what scoring costs.
    pub fn generator_macs(&self) -> u64 {
        self.generator().iter().map(NetworkSpec::macs).sum()
    }

    /// Trainable numbers of the generator.
    pub fn generator_params(&self) -> usize {
        self.generator().iter().map(NetworkSpec::params).sum()
    }

    /// The discriminator's layers: some that halve the side, then one logit.
    pub fn discriminator(&self) -> NetworkSpec {
        self.encoder_spec(
            "discriminator",
            &self.discriminator.iter().copied().map(EncoderLayer::half).collect::<Vec<_>>(),
            1,
        )
    }
}

impl EdeGan {
    /// Registers all variables, in groups `LABEL.generator`, `LABEL.discriminator` and `LABEL.averages`.
    pub fn register(variables: &mut Variables, label: &str, architecture: &Architecture, epsilon: f32) -> Self {
        let mut group = |name: &str| variables.group(format!("{label}.{name}"));
        let (generator_parameters, discriminator_parameters) = (group("generator"), group("discriminator"));
        let averages = group("averages");
        let mut register = |spec, group| Network::register(spec, label, variables, [group, averages], epsilon);
        let [encoder1, decoder, encoder2] = architecture.generator().map(|spec| register(spec, generator_parameters));
        Self {
            encoder1,
            decoder,
            encoder2,
            discriminator: register(architecture.discriminator(), discriminator_parameters),
            architecture: architecture.clone(),
            generator_parameters,
            discriminator_parameters,
            averages,
        }
    }

    /// The generator's networks in the order they run.
    pub fn generator(&self) -> [&Network; 3] {
        [&self.encoder1, &self.decoder, &self.encoder2]
    }

    /// All networks.
    pub fn networks(&self) -> [&Network; 4] {
        [&self.encoder1, &self.decoder, &self.encoder2, &self.discriminator]
    }

    /// Sets every variable to its initial value.
    pub fn initialise(
        &self,
        executor: &mut dyn Executor,
        variables: &Variables,
        rng: &mut ChaCha8Rng,
        initial: Initial,
    ) -> Result<(), EngineError> {
        self.networks().into_iter().try_for_each(|network| network.initialise(executor, variables, rng, initial))
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
        let reconstruction_latent = self.encoder2.forward(graph, variables, reconstruction, mode)?;
        Ok(Generated { latent, reconstruction, reconstruction_latent })
    }

    /// Adds what scoring needs: the anomaly score `||z1 - z2||` (P-KDGAN, arXiv 2007.06963), and the mean
    /// absolute and the Euclidean error of the reconstruction, each `[N, 1, 1, 1]`.
    pub fn score(
        &self,
        graph: &mut Graph,
        variables: &Variables,
        images: Tensor,
        mode: NormMode,
    ) -> Result<[Tensor; 3], EngineError> {
        let (score, made) = self.score_with(graph, variables, images, mode)?;
        let absolute = graph.distance(images, made.reconstruction, Measure::L1)?;
        let euclidean = graph.distance(images, made.reconstruction, Measure::L2)?;
        Ok([score, absolute, euclidean])
    }

    /// The anomaly score `[N, 1, 1, 1]` alone, and what it was taken from.
    pub fn score_with(
        &self,
        graph: &mut Graph,
        variables: &Variables,
        images: Tensor,
        mode: NormMode,
    ) -> Result<(Tensor, Generated), EngineError> {
        let made = self.generate(graph, variables, images, mode)?;
        let score = graph.distance(made.latent, made.reconstruction_latent, Measure::L2)?;
        Ok((score, made))
    }
}
