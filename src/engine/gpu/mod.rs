//! The GPU executor, on wgpu.

mod adapter;
mod context;
mod details;
mod device;
mod faults;
mod inject;
mod kept;
mod loaded;
mod pipeline_cache;
mod pipelines;
mod profile;
mod readback;
mod reports;
mod submitter;
mod watchdog;

pub use adapter::{DEVICE_TIMEOUT, GpuOptions, NO_DRIVER, adapters};
pub use details::{AdapterDetails, adapter_details};
pub use device::Gpu;
pub use faults::{Fault, UnknownFault};
pub use pipeline_cache::PipelineStore;
pub use watchdog::driver_hung;
