use super::kernel::{Dispatch, Slot, Tuning};
use crate::engine::fused::Precision;

/// How a kernel of [`super::fused_score`] reads its packed weights: from a storage buffer, or from a texture. Where the adapter is
/// a CPU and each lane has an index of its own, llvmpipe gathers texels in a third of the time that it takes for its loop over the
/// lanes, which loads from a buffer are.
pub(super) struct FusedWeights {
    /// Where they are.
    pub slot: Slot,
    /// What stands for weights in the shader.
    element: &'static str,
    /// Whether the shader computes in half precision.
    half: bool,
}

impl FusedWeights {
    /// The weights are that input of the op.
    pub fn new(input: usize, precision: Precision, texture: bool, tuning: &Tuning) -> Self {
        let slot = if texture { Slot::Texture(input) } else { Slot::Input(input) };
        let (element, half) = match (precision, texture) {
            (Precision::Single, true) => ("weights_texture", false),
            (Precision::Single, false) => ("weights_single", false),
            (Precision::Half, true) => ("weights_half_texture", false),
            (Precision::Half, false) if tuning.half_precision => ("weights_half", true),
            (Precision::Half, false) => ("weights_half_packed", false),
        };
        Self { slot, element, half }
    }

    /// Declares what the shader calls `weight`.
    pub fn declare(&self, dispatch: Dispatch) -> Dispatch {
        let dispatch = dispatch.element(self.element);
        if self.half { dispatch.enable("f16") } else { dispatch }
    }
}
