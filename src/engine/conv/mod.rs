//! The convolution, its transpose and its weight gradient: geometry, kernels, tiles, launches.
//!
//! No wgpu here. The ops themselves stand under `ops/`, their CPU kernels under `cpu/`.

mod dispatch;
mod epilogue;
mod geometry;
mod kernel;
mod shape;
mod sizes;
mod tile;

pub(crate) use dispatch::{LAUNCH_VERSION, conv_transpose2d, conv2d, conv2d_weight_grad};
pub(in crate::engine) use dispatch::{forward, spread};
pub(crate) use epilogue::Epilogue;
pub(crate) use geometry::Geometry;
pub use geometry::Window;
pub(crate) use geometry::check_channels;
pub use kernel::ConvVariant;
pub(crate) use kernel::{ConvKernel, candidates};
pub(crate) use shape::ConvKind;
pub use shape::ConvShape;
pub(in crate::engine) use sizes::Sizes;
