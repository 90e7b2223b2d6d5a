//! A planned generator scored as a whole: no program, no memory taken per image.

mod bordered;
mod channel_per_lane;
mod image_per_lane;
mod layer;
mod scorer;

pub use scorer::CpuScorer;
