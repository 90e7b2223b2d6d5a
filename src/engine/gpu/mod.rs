//! The GPU executor, on wgpu.

mod adapter;
mod device;
mod faults;
mod given_up;
mod loaded;
mod pipeline_cache;
mod pipelines;
mod profile;
mod readback;
mod reports;
mod shaders;
mod submitter;
mod tune;

pub use adapter::{AdapterSummary, GpuOptions, PATIENCE, adapters};
pub use device::Gpu;
pub use faults::{Fault, UnknownFault};
pub use given_up::driver_given_up;
pub use pipeline_cache::PipelineStore;
pub use profile::Timed;
pub(crate) use readback::Mapping;
pub use shaders::KernelText;
