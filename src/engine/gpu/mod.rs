//! The GPU executor, on wgpu.

mod adapter;
mod device;
mod loaded;
mod pipelines;
mod profile;
mod readback;
mod shaders;

pub use adapter::{AdapterSummary, GpuOptions, adapters};
pub use device::Gpu;
pub use profile::Timed;
pub(crate) use readback::Mapping;
