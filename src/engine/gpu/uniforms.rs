//! Inputs that kernels read from uniform buffers.
//!
//! llvmpipe loads from storage buffers in a loop over the lanes, and gathers from uniform ones: 9 nanoseconds for eight lanes'
//! `vec4`s, in place of 18 where the CPU has AVX-512 and 155 where it has not (Mesa 22.3.6). Only their declaration differs.

use super::declarations::{Declaration, reads_quads};
use crate::engine::ops::kernel::{Dispatch, Slot, Tuning};
use crate::engine::program::Step;

/// Lets a kernel read inputs from uniform buffers that are small enough for it, hold quads, and lie in buffers that the step does not
/// write.
pub(crate) fn with_uniforms(step: &Step, mut dispatch: Dispatch, tuning: &Tuning) -> Dispatch {
    for binding in 0..dispatch.bindings.len() {
        let Slot::Input(input) = dispatch.bindings[binding] else { continue };
        let place = step.inputs[input].place;
        let quads = place.len.div_ceil(4);
        let written = step.written().any(|target| target.buffer == place.buffer);
        if quads <= tuning.uniform_quads && !written && reads_quads(&dispatch, binding) {
            dispatch.bindings[binding] = Slot::Uniform { input, quads };
        }
    }
    dispatch
}

/// The kernel's text with its uniform buffers declared.
pub(super) fn declared(mut text: String, dispatch: &Dispatch) -> String {
    for (binding, slot) in dispatch.bindings.iter().enumerate() {
        let Slot::Uniform { quads, .. } = slot else { continue };
        if let Some(Declaration { line, name }) = Declaration::of_quads(&text, binding) {
            let uniform = format!("@group(0) @binding({binding}) var<uniform> {name}: array<vec4<f32>, {quads}>;");
            text = text.replacen(line, &uniform, 1);
        }
    }
    text
}
