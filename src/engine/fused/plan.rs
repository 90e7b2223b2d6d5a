//! A generator planned as one op: its layers, and where their activations lie in memory. It knows no weights.

use super::implicit_gemm::ImplicitGemm;
use super::layer::FusedLayer;

/// Where a layer reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The image that is scored, `[C, H, W]`.
    Image,
    /// Its reconstruction, `[C, H, W]`.
    Reconstruction,
    /// `[H, W, C]` in the workgroup's memory, from this number on.
    Memory(usize),
}

/// A layer with its matrix products and places.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedLayer {
    /// The layer.
    pub layer: FusedLayer,
    /// What it is made of, in the order they run.
    pub gemms: Vec<ImplicitGemm>,
    /// What it reads.
    pub from: Source,
    /// What it writes.
    pub to: Source,
    /// Where its bias starts in the packed weights, or the norm's scales with the shifts after them; each padded to
    /// whole vec4s.
    pub bias: usize,
}

impl PlannedLayer {
    /// Numbers of a bias, padding included.
    pub fn padded_channels(&self) -> usize {
        self.layer.output[0].next_multiple_of(4)
    }

    /// Where its packed weights end.
    fn end(&self) -> usize {
        self.bias + self.padded_channels() * if self.layer.norm.is_some() { 2 } else { 1 }
    }
}

/// Numbers of memory beside a latent vector, for sums over a workgroup.
const SUMS: usize = 64;

/// A generator (encoder, decoder, encoder) planned as one op: image to latent vector, to reconstruction, to latent
/// vector; the Euclidean distance of both vectors is the score.
#[derive(Clone, Debug, PartialEq)]
pub struct FusedNetworks {
    layers: [Vec<PlannedLayer>; 3],
    memory: usize,
    unit_rms: bool,
}

impl FusedNetworks {
    /// Plans the networks' layers, in the order they run. Inputs and outputs must go together. With `unit_rms` both latent
    /// vectors are scaled to a root mean square of one.
    ///
    /// # Errors
    /// What does not go together.
    pub fn new(networks: [Vec<FusedLayer>; 3], unit_rms: bool) -> Result<Self, String> {
        check(&networks)?;
        // What a layer reads and what it writes are there at once, and nothing else: one at each end of the memory.
        let chain: Vec<&FusedLayer> = networks.iter().flatten().collect();
        let last_of_decoder = networks[0].len() + networks[1].len() - 1;
        let held = |index: usize| if index == last_of_decoder { 0 } else { chain[index].output.iter().product() };
        let pairs = (1..chain.len()).map(|index| held(index - 1) + held(index));
        let ends = held(0).max(held(chain.len() - 1) + SUMS);
        let memory = pairs.chain([ends]).max().unwrap_or(0);
        let place = |index: usize| match index {
            index if index == last_of_decoder => Source::Reconstruction,
            index if index % 2 == 0 => Source::Memory(0),
            index => Source::Memory(memory - held(index)),
        };
        let mut planned: Vec<PlannedLayer> = Vec::with_capacity(chain.len());
        for (index, &&layer) in chain.iter().enumerate() {
            let gemms = ImplicitGemm::of(&layer, planned.last().map_or(0, PlannedLayer::end));
            let end = |gemm: &ImplicitGemm| gemm.weights + gemm.matrix_len();
            let bias = gemms.last().map(end).ok_or("a layer without pixels")?;
            let from = if index == 0 { Source::Image } else { planned[index - 1].to };
            planned.push(PlannedLayer { layer, gemms, from, to: place(index), bias });
        }
        let encoder2 = planned.split_off(last_of_decoder + 1);
        let decoder = planned.split_off(networks[0].len());
        Ok(Self { layers: [planned, decoder, encoder2], memory, unit_rms })
    }

    /// The layers of the three networks.
    pub fn layers(&self) -> &[Vec<PlannedLayer>; 3] {
        &self.layers
    }

    /// All layers in the order they run.
    pub fn chain(&self) -> impl Iterator<Item = &PlannedLayer> {
        self.layers.iter().flatten()
    }

    /// Numbers of memory that activations take while an image is scored.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Numbers of the packed weights.
    pub fn weights(&self) -> usize {
        self.chain().last().map_or(0, PlannedLayer::end)
    }

    /// Channels, height and width of the images.
    pub fn image(&self) -> [usize; 3] {
        self.layers[0][0].layer.input
    }

    /// Whether latent vectors are scaled to a root mean square of one.
    pub fn unit_rms(&self) -> bool {
        self.unit_rms
    }

    /// Length of a latent vector.
    pub fn latents(&self) -> usize {
        self.layers[1][0].layer.input[0]
    }

    /// Multiply-accumulates for one image.
    pub fn macs(&self) -> u64 {
        let of = |gemm: &ImplicitGemm| (gemm.grid[0] * gemm.grid[1] * gemm.rows * gemm.columns) as u64;
        self.chain().flat_map(|layer| &layer.gemms).map(of).sum()
    }
}

fn check(networks: &[Vec<FusedLayer>; 3]) -> Result<(), String> {
    if networks.iter().any(Vec::is_empty) {
        return Err("a network without layers".into());
    }
    let chain: Vec<&FusedLayer> = networks.iter().flatten().collect();
    if let Some(pair) = chain.windows(2).find(|pair| pair[0].output != pair[1].input) {
        return Err(format!("a layer gives {:?}, the next takes {:?}", pair[0].output, pair[1].input));
    }
    let ends = networks.each_ref().map(|network| network[network.len() - 1].output);
    if ends[0] != ends[2] || ends[0][1..] != [1, 1] || ends[1] != chain[0].input {
        return Err(format!("not image to vector to image to vector, but {ends:?} from {:?}", chain[0].input));
    }
    if networks[1][networks[1].len() - 1].norm.is_some() {
        return Err("a norm on the reconstruction".into());
    }
    Ok(())
}
