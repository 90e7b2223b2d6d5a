//! A planned generator scored as a whole: no program, no memory taken per image.

mod abreast;
mod bordered;
mod columns;
mod layer;
mod scorer;

pub use scorer::CpuScorer;
