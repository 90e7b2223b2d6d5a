//! A whole generator as one op: its layers cut into pieces of one kind, and its weights packed for them.
//!
//! [`crate::engine::Graph::fused_score`] runs the pieces in one dispatch, a workgroup for one image or a few; the CPU scoring path runs
//! the same pieces over the same weights.

mod layer;
mod pack;
mod piece;
mod plan;

pub use layer::FusedLayer;
pub(crate) use pack::half_at;
pub use pack::{PackedWeights, Precision, RawLayer};
pub use piece::Piece;
pub use plan::{FusedNetworks, PlannedLayer, Source};
