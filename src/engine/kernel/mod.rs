//! Kernels as they are described before any backend sees them: a launch, what shapes it, and its text in WGSL.
//!
//! Nothing here imports wgpu or knows a device; `gpu/` compiles and runs what this describes.

mod dispatch;
mod launch;
mod source;
mod target;
mod text;

pub(crate) use dispatch::{Dispatch, Slot, Weights};
pub(crate) use launch::{Binding, Launch, Storage};
pub use source::KernelText;
pub(crate) use source::convolution_texts;
pub(crate) use target::{AdapterKind, MAX_BINDINGS, Target};
