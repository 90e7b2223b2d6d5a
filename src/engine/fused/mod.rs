//! A whole generator as one op: its layers cut into matrix products of one kind, and its weights packed for them.
//!
//! [`crate::engine::Graph::fused_score`] runs the matrix products in one dispatch, a workgroup for one image or a few;
//! the CPU scoring path runs the same matrix products over the same weights.

mod implicit_gemm;
mod layer;
mod pack;
mod plan;

pub use implicit_gemm::ImplicitGemm;
pub use layer::FusedLayer;
pub(crate) use pack::half_at;
pub use pack::{PackedWeights, Precision, RawLayer};
pub use plan::{FusedNetworks, PlannedLayer, Source};
