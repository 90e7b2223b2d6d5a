//! Models for other programs: ONNX, and safetensors in half precision.

mod builder;
mod error;
mod half;
mod onnx;
pub mod schema;
mod scores;

pub use error::ExportError;
pub use half::{in_half, write_model};
pub use onnx::onnx;
pub use scores::check_scores;
