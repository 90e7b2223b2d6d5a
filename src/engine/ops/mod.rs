//! The ops: one file each, with its shape rule, backward rule, plain reference and GPU dispatches. The
//! shader of the same name lies under `shaders/`.

pub(super) mod activation;
pub(super) mod adam;
pub(super) mod add_scaled;
pub(super) mod augment;
pub(super) mod batch_concat;
pub(super) mod batch_norm;
pub(super) mod batch_norm_grad;
pub(super) mod bce_with_logits;
pub(super) mod broadcast;
pub(super) mod channel_sum;
pub(super) mod conv2d;
pub(super) mod conv2d_weight_grad;
pub(super) mod conv_transpose2d;
pub(super) mod distance;
mod fused_score;
pub(super) mod gather;
mod gather_bytes;
pub(super) mod not_finite;
pub(super) mod record;
pub(super) mod reduce;
pub(super) mod rule;
pub(super) mod scale;
pub(super) mod tick;
pub(super) mod unit_rms;

pub(crate) use rule::{Fusible, GpuCall, GradientInputs, LossOf, ReferenceCall, Rule};

use super::autograd::Arrived;
use super::conv::ConvShape;
use super::cpu::CpuKernel;
use super::error::EngineError;
use super::graph::{Graph, Mutation, Tensor};
use super::kernel::Dispatch;
use super::number::Real;
use super::shape::Shape;
use super::variables::VarId;

/// Declares [`Op`], with a variant for each op and every method of [`Rule`] forwarded to it.
macro_rules! ops {
    ($($name:ident = $path:path),* $(,)?) => {
        /// Any op of a graph.
        #[derive(Clone, Debug)]
        pub(crate) enum Op { $($name($path)),* }

        $(impl From<$path> for Op { fn from(op: $path) -> Self { Self::$name(op) } })*

        impl Rule for Op {
            fn name(&self) -> &'static str { match self { $(Self::$name(op) => op.name()),* } }
            fn infer(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
                match self { $(Self::$name(op) => op.infer(inputs)),* }
            }
            fn backward(&self, graph: &mut Graph, at: &Arrived) -> Result<Vec<Option<Tensor>>, EngineError> {
                match self { $(Self::$name(op) => op.backward(graph, at)),* }
            }
            fn mutates(&self) -> Vec<Mutation> { match self { $(Self::$name(op) => op.mutates()),* } }
            fn placed_inputs(&self) -> Vec<(usize, VarId)> {
                match self { $(Self::$name(op) => op.placed_inputs()),* }
            }
            fn fusible(&self) -> Option<Fusible> { match self { $(Self::$name(op) => op.fusible()),* } }
            fn absorb(&mut self, next: Fusible) -> bool { match self { $(Self::$name(op) => op.absorb(next)),* } }
            fn gradient_of(&self) -> Option<LossOf> { match self { $(Self::$name(op) => op.gradient_of()),* } }
            fn absorb_gradient(&mut self, inputs: &mut Vec<Tensor>, gradient: GradientInputs, ready: bool) -> bool {
                match self { $(Self::$name(op) => op.absorb_gradient(inputs, gradient, ready)),* }
            }
            fn macs(&self, inputs: &[Shape], outputs: &[Shape]) -> u64 {
                match self { $(Self::$name(op) => op.macs(inputs, outputs)),* }
            }
            fn convolution(&self, inputs: &[Shape], outputs: &[Shape]) -> Option<ConvShape> {
                match self { $(Self::$name(op) => op.convolution(inputs, outputs)),* }
            }
            fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
                match self { $(Self::$name(op) => op.reference(call)),* }
            }
            fn cpu(&self, inputs: &[Shape], outputs: &[Shape]) -> CpuKernel {
                match self { $(Self::$name(op) => op.cpu(inputs, outputs)),* }
            }
            fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> { match self { $(Self::$name(op) => op.gpu(call)),* } }
        }
    };
}

ops! {
    Activation = activation::Activate,
    ActivationGrad = activation::ActivationGrad,
    Adam = adam::Adam,
    AddScaled = add_scaled::AddScaled,
    Augment = augment::Augment,
    BatchConcat = batch_concat::BatchConcat,
    BatchSlice = batch_concat::BatchSlice,
    BatchNorm = batch_norm::BatchNorm,
    BatchNormGrad = batch_norm_grad::BatchNormGrad,
    BceWithLogits = bce_with_logits::BceWithLogits,
    BceWithLogitsGrad = bce_with_logits::BceWithLogitsGrad,
    Broadcast = broadcast::Broadcast,
    ChannelSum = channel_sum::ChannelSum,
    Conv2d = conv2d::Conv2d,
    Conv2dWeightGrad = conv2d_weight_grad::Conv2dWeightGrad,
    ConvTranspose2d = conv_transpose2d::ConvTranspose2d,
    Distance = distance::Distance,
    DistanceGrad = distance::DistanceGrad,
    FusedScore = fused_score::FusedScore,
    Gather = gather::Gather,
    GatherBytes = gather_bytes::GatherBytes,
    NotFinite = not_finite::NotFinite,
    Record = record::Record,
    Reduce = reduce::Reduce,
    Scale = scale::Scale,
    Tick = tick::Tick,
    UnitRms = unit_rms::UnitRms,
    UnitRmsGrad = unit_rms::UnitRmsGrad,
}
