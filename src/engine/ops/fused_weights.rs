use std::fmt::Write;
use std::ops::Range;

use super::kernel::{Dispatch, Slot, Tuning};
use crate::engine::fused::{FusedNetworks, Precision};

/// Numbers of a uniform buffer, how they are aligned, and the number of such buffers: what every adapter has.
const UNIFORM: usize = 64 * 1024 / 4;
const ALIGNMENT: usize = 256 / 4;
const MOST_BANKS: usize = 12;

/// How the kernel of [`super::fused_score`] reads its packed weights: from one storage buffer, or from several uniform buffers,
/// its banks. On llvmpipe a load from a uniform buffer is straight code, half as long as the loop over lanes that other loads
/// are; a GPU is slow where invocations read different places of a uniform buffer.
pub(super) struct FusedWeights {
    banks: Vec<Range<usize>>,
    of_layers: Vec<usize>,
    /// What stands for weights in the shader; none for uniforms.
    element: Option<&'static str>,
    half: bool,
}

impl FusedWeights {
    pub fn new(plan: &FusedNetworks, precision: Precision, tuning: &Tuning) -> Self {
        let uniforms = tuning.software && precision == Precision::Single;
        let banks = uniforms.then(|| plan.banks(UNIFORM, ALIGNMENT)).flatten();
        if let Some((banks, of_layers)) = banks.filter(|(banks, _)| banks.len() <= MOST_BANKS) {
            return Self { banks, of_layers, element: None, half: false };
        }
        let element = match (precision, tuning.half_precision) {
            (Precision::Single, _) => "weights_single",
            (Precision::Half, true) => "weights_half",
            (Precision::Half, false) => "weights_half_packed",
        };
        let half = precision == Precision::Half && tuning.half_precision;
        let banks = std::iter::once(0..plan.weights()).collect();
        Self { banks, of_layers: vec![0; plan.chain().count()], element: Some(element), half }
    }

    /// The bindings of the kernel with those of its weights: number 1, and the last ones.
    pub fn bindings(&self) -> Vec<Slot> {
        let mut slots = vec![Slot::Input(0), Slot::Input(1), Slot::Output(0), Slot::Output(1), Slot::Output(2)];
        if self.element.is_none() {
            let mut uniforms = self.banks.iter().map(|at| Slot::Uniform { input: 1, first: at.start, len: at.len() });
            slots.splice(1..2, uniforms.next());
            slots.extend(uniforms);
        }
        slots
    }

    /// Declares what the shader calls `weight`; what it takes beyond that is the text returned.
    pub fn declare(&self, dispatch: Dispatch) -> (Dispatch, String) {
        if let Some(element) = self.element {
            let dispatch = dispatch.element(element);
            return (if self.half { dispatch.enable("f16") } else { dispatch }, String::new());
        }
        let (mut text, mut cases) = (String::new(), String::new());
        for (bank, at) in self.banks.iter().enumerate() {
            let (binding, quads) = (if bank == 0 { 1 } else { 4 + bank }, at.len() / 4);
            // Writing to a string cannot fail.
            let _ =
                writeln!(text, "@group(0) @binding({binding}) var<uniform> weights{bank}: array<vec4<f32>, {quads}>;");
            let case = if bank == 0 { "default".to_owned() } else { format!("case {bank}u") };
            let _ = writeln!(cases, "        {case}: {{ return weights{bank}[quad]; }}");
        }
        text += &format!("fn weight(bank: u32, quad: u32) -> vec4<f32> {{\n    switch bank {{\n{cases}    }}\n}}\n");
        (dispatch, text)
    }

    /// The bank of a layer, and where in the packed weights it starts.
    pub fn bank(&self, layer: usize) -> (usize, usize) {
        let bank = self.of_layers[layer];
        (bank, self.banks[bank].start)
    }
}
