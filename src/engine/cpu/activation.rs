//! Activations of whole slices, in vectors.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::kernel::CpuKernel;
use super::tanh::tanh;
use super::threads::parallel_for;
use super::vectors::MIN_PARALLEL_LEN;
use crate::engine::Activation;

/// Applies an activation to each value.
#[inline(always)]
pub(in crate::engine::cpu) fn activate<S: Simd>(simd: S, activation: Activation, values: &mut [f32]) {
    if activation == Activation::Identity {
        return;
    }
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
pub(in crate::engine::cpu) fn rectified<S: Simd>(simd: S, activation: Activation, v: S::f32s) -> S::f32s {
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
pub(in crate::engine::cpu) fn curve<S: Simd>(simd: S, activation: Activation, values: &mut [f32]) {
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

/// Multiplies values by the activation's slope where its output was `made`, which is as long.
#[inline(always)]
pub(in crate::engine::cpu) fn multiply_by_slope(activation: Activation, made: &[f32], values: &mut [f32]) {
    let pairs = values.iter_mut().zip(made);
    match activation {
        Activation::Identity => {}
        Activation::Relu => pairs.for_each(|(v, &y)| *v *= if y > 0.0 { 1.0 } else { 0.0 }),
        Activation::LeakyRelu(slope) => pairs.for_each(|(v, &y)| *v *= if y > 0.0 { 1.0 } else { slope }),
        Activation::Tanh => pairs.for_each(|(v, &y)| *v *= 1.0 - y * y),
        Activation::Sigmoid => pairs.for_each(|(v, &y)| *v *= y * (1.0 - y)),
    }
}

/// See [`crate::engine::ops::activation::Activate`].
pub(crate) fn activation(activation: Activation) -> CpuKernel {
    CpuKernel::new(move |call| {
        let (x, arch) = (call.inputs[0], call.arch);
        let y = call.outputs[0].par_chunks_mut(MIN_PARALLEL_LEN).zip(x.par_chunks(MIN_PARALLEL_LEN));
        parallel_for(x.len() >= 2 * MIN_PARALLEL_LEN, y, |(values, x)| {
            values.copy_from_slice(x);
            arch.dispatch(Activate { activation, values });
        });
    })
}

struct Activate<'a> {
    activation: Activation,
    values: &'a mut [f32],
}

impl WithSimd for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        activate(simd, self.activation, self.values);
    }
}

/// See [`crate::engine::ops::activation::ActivationGrad`].
pub(crate) fn activation_grad(activation: Activation) -> CpuKernel {
    CpuKernel::new(move |call| {
        let (dy, made, arch) = (call.inputs[0], call.inputs[1], call.arch);
        let y = call.outputs[0].par_chunks_mut(MIN_PARALLEL_LEN).zip(dy.par_chunks(MIN_PARALLEL_LEN));
        let chunks = y.zip(made.par_chunks(MIN_PARALLEL_LEN));
        parallel_for(dy.len() >= 2 * MIN_PARALLEL_LEN, chunks, |((values, dy), made)| {
            values.copy_from_slice(dy);
            arch.dispatch(Slope { activation, made, values });
        });
    })
}

struct Slope<'a> {
    activation: Activation,
    made: &'a [f32],
    values: &'a mut [f32],
}

impl WithSimd for Slope<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        multiply_by_slope(self.activation, self.made, self.values);
    }
}
