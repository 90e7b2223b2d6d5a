//! Studies: what the batch size does, the score, the structures of distillation, and the student's size.

mod batch_size;
mod compression;
mod score;
mod structures;

pub use batch_size::{BatchSizeStudy, Budget};
pub use compression::CompressionStudy;
pub use score::ScoreStudy;
pub use structures::StructureStudy;
