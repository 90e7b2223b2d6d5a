//! Weights packed for a plan, in single or half precision, with fixed norms folded in. It knows no device.

use half::f16;

use super::layer::FusedLayer;
use super::plan::{FusedNetworks, PlannedLayer};

/// A layer's numbers as they were trained, in PyTorch's layouts.
#[derive(Clone, Copy, Debug)]
pub struct RawLayer<'a> {
    /// `[CO, CI, K, K]`; of a transposed convolution `[CI, CO, K, K]`.
    pub weight: &'a [f32],
    /// `[CO]`, or the scales of a norm.
    pub scale: Option<&'a [f32]>,
    /// `[CO]`: the bias, or the shifts of a norm.
    pub shift: &'a [f32],
    /// Means and variances of a norm with fixed statistics, `[CO]` each, and its epsilon. It is folded into the weight.
    pub fixed: Option<(&'a [f32], &'a [f32], f32)>,
}

/// How weights are kept on a device. Sums are in single precision either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Single precision.
    Single,
    /// Half precision: two numbers in the place of one.
    Half,
}

/// The weights of a plan: the matrix of each product, then biases, layer by layer.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedWeights(Vec<f32>);

impl PackedWeights {
    /// Packs the layers of a plan, in their order.
    ///
    /// # Errors
    /// Numbers that do not fill a layer.
    pub fn new(plan: &FusedNetworks, layers: &[RawLayer]) -> Result<Self, String> {
        let mut packed = vec![0.0; plan.weights()];
        if plan.chain().count() != layers.len() {
            return Err(format!("{} layers for a plan of {}", layers.len(), plan.chain().count()));
        }
        for (planned, raw) in plan.chain().zip(layers) {
            pack_layer(&mut packed, planned, raw)?;
        }
        Ok(Self(packed))
    }

    /// In single precision.
    pub fn singles(&self) -> &[f32] {
        &self.0
    }

    /// Two half-precision numbers in each word, the first in the lower bits.
    ///
    /// # Errors
    /// The first number that half precision cannot hold.
    pub fn halves(&self) -> Result<Vec<f32>, f32> {
        if let Some(&large) = self.0.iter().find(|&&v| v.is_finite() && !f16::from_f32(v).is_finite()) {
            return Err(large);
        }
        let bits = |v: f32| u32::from(f16::from_f32(v).to_bits());
        Ok(self.0.chunks(2).map(|pair| f32::from_bits(bits(pair[0]) | bits(pair[1]) << 16)).collect())
    }
}

/// The number at an index of packed halves.
pub(crate) fn half_at(words: &[f32], index: usize) -> f32 {
    f16::from_bits((words[index / 2].to_bits() >> (16 * (index % 2))) as u16).to_f32()
}

fn pack_layer(packed: &mut [f32], planned: &PlannedLayer, raw: &RawLayer) -> Result<(), String> {
    let FusedLayer { transposed, input: [inputs, ..], output: [outputs, ..], kernel, .. } = planned.layer;
    let lens = [raw.weight.len(), raw.shift.len(), raw.scale.map_or(outputs, <[f32]>::len)];
    if lens != [inputs * outputs * kernel * kernel, outputs, outputs]
        || planned.layer.norm.is_some() && raw.fixed.is_some()
    {
        return Err(format!("{lens:?} numbers do not fill {:?}", planned.layer));
    }
    // Factor and bias by output channel; folding is exact enough in double precision.
    let folded: Vec<(f64, f64)> = (0..outputs)
        .map(|channel| match (raw.scale, raw.fixed) {
            (Some(scale), Some((means, variances, epsilon))) => {
                let factor = f64::from(scale[channel]) / (f64::from(variances[channel]) + f64::from(epsilon)).sqrt();
                (factor, f64::from(raw.shift[channel]) - f64::from(means[channel]) * factor)
            }
            _ => (1.0, raw.shift[channel].into()),
        })
        .collect();
    let weight = |ci: usize, co: usize, ky: usize, kx: usize| {
        let pair = if transposed { ci * outputs + co } else { co * inputs + ci };
        (f64::from(raw.weight[(pair * kernel + ky) * kernel + kx]) * folded[co].0) as f32
    };
    for gemm in &planned.gemms {
        for row in 0..gemm.rows {
            let (pixel, ci) = (row / inputs, row % inputs);
            let start = gemm.weights + row * gemm.padded_columns();
            for column in 0..gemm.columns {
                let co = column % outputs;
                let [ky, kx] = if gemm.taps[0].is_empty() {
                    let pixel = column / outputs;
                    [pixel / gemm.spread, pixel % gemm.spread]
                } else {
                    [gemm.taps[0][pixel / gemm.window[1]], gemm.taps[1][pixel % gemm.window[1]]]
                };
                packed[start + column] = weight(ci, co, ky, kx);
            }
        }
    }
    let (first, second) = packed[planned.bias..].split_at_mut(planned.padded_channels());
    match (planned.layer.norm, raw.scale) {
        (Some(_), Some(scale)) => {
            first[..outputs].copy_from_slice(scale);
            second[..outputs].copy_from_slice(raw.shift);
        }
        (Some(_), None) => return Err("a norm without scales".into()),
        (None, _) => first.iter_mut().zip(&folded).for_each(|(bias, &(_, folded))| *bias = folded as f32),
    }
    Ok(())
}
