//! The GPU executor, on wgpu.

mod adapter;
mod declarations;
mod device;
mod driver_threads;
mod faults;
mod given_up;
mod loaded;
mod loads;
mod pipeline_cache;
mod pipelines;
mod profile;
mod readback;
mod reports;
mod shaders;
mod submitter;
mod textures;
mod tune;
mod uniforms;
mod unroll;

pub use adapter::{AdapterSummary, GpuOptions, PATIENCE, adapters};
pub use device::Gpu;
pub use driver_threads::{Phase, TriedThreads, fastest, open_fastest};
pub use faults::{Fault, UnknownFault};
pub use given_up::driver_given_up;
pub use pipeline_cache::PipelineStore;
pub use profile::Timed;
pub(crate) use readback::Mapping;
pub use shaders::KernelText;
pub(crate) use textures::with_textures;
pub(crate) use uniforms::with_uniforms;
