//! A model's generator planned and packed, ready for the CPU or for one dispatch.

use std::sync::Arc;

use crate::engine::{CpuScorer, FusedLayer, FusedNetworks, PackedWeights, RawLayer};
use crate::model::{LayerKind, ModelFile, NetworkSpec, Statistics};
use crate::weights::{Tensor, WeightsError};

/// Multiply-accumulates of an image from which on matrix products pay.
const MIN_MACS_FOR_GEMM: u64 = 2_000_000;

/// A generator planned and packed to run as a whole: norms are folded into weights where their statistics are fixed.
#[derive(Clone, Debug)]
pub struct Generator {
    /// Its layers.
    pub plan: Arc<FusedNetworks>,
    /// Its weights, packed for the plan.
    pub weights: Arc<PackedWeights>,
}

impl Generator {
    /// Packs the generator of a model.
    ///
    /// # Errors
    /// Tensors that are missing or do not go with the architecture.
    pub fn new(file: &ModelFile) -> Result<Self, WeightsError> {
        let foreign = |message: String| WeightsError::Damaged { path: file.weights.origin.clone(), message };
        file.architecture.check().map_err(foreign)?;
        let networks = file.architecture.generator();
        let norm = (file.statistics == Statistics::PerImage).then_some(file.norm_epsilon);
        let fused = networks.each_ref().map(|network| layers(network, norm));
        let plan = FusedNetworks::new(fused, networks[0].unit_rms).map_err(foreign)?;
        let mut raw = Vec::new();
        for network in &networks {
            for (index, layer) in network.layers.iter().enumerate() {
                let tensor = |part: &str| find(file, &format!("{}.{}.{part}", network.name, network.layer_name(index)));
                raw.push(if layer.norm {
                    let fixed = match file.statistics {
                        Statistics::PerImage => None,
                        Statistics::Running => {
                            Some((tensor("norm.running_mean")?, tensor("norm.running_var")?, file.norm_epsilon))
                        }
                    };
                    RawLayer {
                        weight: tensor("weight")?,
                        scale: Some(tensor("norm.weight")?),
                        shift: tensor("norm.bias")?,
                        fixed,
                    }
                } else {
                    RawLayer { weight: tensor("weight")?, scale: None, shift: tensor("bias")?, fixed: None }
                });
            }
        }
        let weights = PackedWeights::new(&plan, &raw).map_err(foreign)?;
        Ok(Self { plan: Arc::new(plan), weights: Arc::new(weights) })
    }

    /// Whether its layers are too small for matrix products to pay.
    pub fn is_small(&self) -> bool {
        self.plan.macs() < MIN_MACS_FOR_GEMM
    }

    /// Makes it ready to score on the CPU.
    pub fn on_cpu(&self) -> CpuScorer {
        CpuScorer::new(&self.plan, &self.weights)
    }
}

/// A network's layers; `norm` is the epsilon of its norms where they work by each image's own statistics.
fn layers(network: &NetworkSpec, norm: Option<f32>) -> Vec<FusedLayer> {
    let outputs = network.layer_inputs().skip(1).map(|(_, input)| input).chain([network.output()]);
    network
        .layer_inputs()
        .zip(outputs)
        .map(|((layer, input), output)| FusedLayer {
            transposed: layer.kind == LayerKind::ConvTranspose,
            input,
            output,
            kernel: layer.kernel,
            stride: layer.stride,
            padding: layer.padding,
            norm: norm.filter(|_| layer.norm),
            activation: layer.activation,
        })
        .collect()
}

fn find<'a>(file: &'a ModelFile, name: &str) -> Result<&'a [f32], WeightsError> {
    let missing = || WeightsError::Missing { path: file.weights.origin.clone(), name: name.to_owned() };
    file.weights.tensors.get(name).map(|Tensor { values, .. }| values.as_slice()).ok_or_else(missing)
}
