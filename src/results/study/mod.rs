//! Studies: what the batch size does, and what the score does.

mod batch_size;
mod score;

pub use batch_size::{BatchSizeStudy, Budget};
pub use score::ScoreStudy;
