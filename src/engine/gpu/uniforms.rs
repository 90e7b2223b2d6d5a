//! Inputs that kernels read from uniform buffers.
//!
//! llvmpipe loads from storage buffers in a loop over the lanes, and gathers from uniform ones: 9 nanoseconds for eight lanes'
//! `vec4`s, in place of 18 where the CPU has AVX-512 and 155 where it has not (Mesa 22.3.6). Only their declaration differs.

use super::shaders::{declaration, own_texts};
use crate::engine::ops::kernel::{Dispatch, Slot, Tuning};
use crate::engine::place::Buffer;
use crate::engine::program::Step;

/// How a kernel's text declares that it reads a storage buffer.
const STORAGE: &str = "var<storage, read>";
/// Its elements, where they are quads.
const QUADS: &str = "array<vec4<f32>>";
const ELEMENTS: &str = "array<Element>";

/// Lets a kernel read inputs from uniform buffers that are small enough for it, hold quads, and lie in buffers that the step does not
/// write.
pub(crate) fn with_uniforms(step: &Step, mut dispatch: Dispatch, tuning: &Tuning) -> Dispatch {
    let written = |buffer: Buffer| {
        let outputs = step.outputs.iter().map(|output| output.place);
        outputs.chain(step.mutated.iter().copied()).any(|place| place.buffer == buffer)
    };
    for binding in 0..dispatch.bindings.len() {
        let Slot::Input(input) = dispatch.bindings[binding] else { continue };
        let place = step.inputs[input].place;
        let quads = place.len.div_ceil(4);
        if quads <= tuning.uniform_quads && !written(place.buffer) && reads_quads(&dispatch, binding) {
            dispatch.bindings[binding] = Slot::Uniform { input, quads };
        }
    }
    dispatch
}

/// Whether the text declares a binding as a storage buffer of quads.
fn reads_quads(dispatch: &Dispatch, binding: usize) -> bool {
    let line = own_texts(dispatch).find_map(|text| declaration(text, binding));
    line.is_some_and(|line| {
        let quads = line.contains(QUADS) || (line.contains(ELEMENTS) && dispatch.element == Some("quad"));
        quads && line.contains(STORAGE)
    })
}

/// The kernel's text with its uniform buffers declared.
pub(super) fn declared(mut text: String, dispatch: &Dispatch) -> String {
    for (binding, slot) in dispatch.bindings.iter().enumerate() {
        let Slot::Uniform { quads, .. } = slot else { continue };
        if let Some(line) = declaration(&text, binding).map(str::to_owned) {
            let array = format!("array<vec4<f32>, {quads}>");
            let uniform = line.replace(STORAGE, "var<uniform>").replace(QUADS, &array).replace(ELEMENTS, &array);
            text = text.replace(&line, &uniform);
        }
    }
    text
}
