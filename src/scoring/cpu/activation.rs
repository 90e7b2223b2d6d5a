use pulp::Simd;

use super::tanh::tanh;
use crate::engine::Activation;

/// Applies an activation to each value.
#[inline(always)]
pub(super) fn activate<S: Simd>(simd: S, activation: Activation, values: &mut [f32]) {
    // Where some values are to stay as they are, compilers make of a plain loop stores under a mask, which are slow.
    let (vectors, rest) = S::as_mut_simd_f32s(values);
    // A loop, not a closure: what compilers do not inline is not compiled for the vectors.
    for v in vectors {
        *v = rectified(simd, activation, *v);
    }
    match activation {
        Activation::Relu => rest.iter_mut().filter(|v| **v < 0.0).for_each(|v| *v = 0.0),
        Activation::LeakyRelu(slope) => rest.iter_mut().filter(|v| **v < 0.0).for_each(|v| *v *= slope),
        _ => curve(simd, activation, values),
    }
}

/// What rectifiers make of values; others leave them as they are.
#[inline(always)]
pub(super) fn rectified<S: Simd>(simd: S, activation: Activation, v: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    let below = match activation {
        Activation::Relu => zero,
        Activation::LeakyRelu(slope) => simd.mul_f32s(simd.splat_f32s(slope), v),
        _ => return v,
    };
    simd.select_f32s(simd.less_than_f32s(v, zero), below, v)
}

/// What activations that are no rectifiers make of values; those leave them as they are.
#[inline(always)]
pub(super) fn curve<S: Simd>(simd: S, activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Identity | Activation::Relu | Activation::LeakyRelu(_) => {}
        Activation::Tanh => {
            let (vectors, rest) = S::as_mut_simd_f32s(values);
            for v in vectors {
                *v = tanh(simd, *v);
            }
            if !rest.is_empty() {
                let v = simd.partial_load_f32s(rest);
                simd.partial_store_f32s(rest, tanh(simd, v));
            }
        }
        Activation::Sigmoid => values.iter_mut().for_each(|v| *v = 1.0 / (1.0 + (-*v).exp())),
    }
}
