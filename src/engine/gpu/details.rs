//! What an adapter can do, for programs that choose one and for reports of trouble.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::adapter::{found, instance, summary};
use super::watchdog::watched;
use crate::engine::error::EngineError;
use crate::engine::summary::AdapterSummary;

/// An adapter with what it can do.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct AdapterDetails {
    /// What it is.
    #[serde(flatten)]
    pub summary: AdapterSummary,
    /// Identifiers of maker and device, as the driver has them.
    pub vendor: u32,
    /// See `vendor`.
    pub device: u32,
    /// Limits that kernels and buffers keep to, by WebGPU's names: bytes and counts.
    pub limits: BTreeMap<&'static str, u64>,
    /// What it can do beyond that, by wgpu's names.
    pub features: Vec<String>,
}

/// The adapters of this machine with what they can do, in the order of [`super::adapters`].
///
/// # Errors
/// [`EngineError::TimedOut`] if a driver does not come back in time.
pub fn adapter_details(timeout: Duration) -> Result<Vec<AdapterDetails>, EngineError> {
    watched("the search for adapters", timeout, || found(&instance()).iter().map(details).collect())
}

fn details(adapter: &wgpu::Adapter) -> AdapterDetails {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    let limits = [
        ("maxBufferSize", limits.max_buffer_size),
        ("maxStorageBufferBindingSize", limits.max_storage_buffer_binding_size),
        ("maxStorageBuffersPerShaderStage", limits.max_storage_buffers_per_shader_stage.into()),
        ("maxBindingsPerBindGroup", limits.max_bindings_per_bind_group.into()),
        ("minStorageBufferOffsetAlignment", limits.min_storage_buffer_offset_alignment.into()),
        ("maxComputeWorkgroupStorageSize", limits.max_compute_workgroup_storage_size.into()),
        ("maxComputeInvocationsPerWorkgroup", limits.max_compute_invocations_per_workgroup.into()),
        ("maxComputeWorkgroupSizeX", limits.max_compute_workgroup_size_x.into()),
        ("maxComputeWorkgroupSizeY", limits.max_compute_workgroup_size_y.into()),
        ("maxComputeWorkgroupSizeZ", limits.max_compute_workgroup_size_z.into()),
        ("maxComputeWorkgroupsPerDimension", limits.max_compute_workgroups_per_dimension.into()),
        ("subgroupMinSize", info.subgroup_min_size.into()),
        ("subgroupMaxSize", info.subgroup_max_size.into()),
    ];
    AdapterDetails {
        summary: summary(adapter),
        vendor: info.vendor,
        device: info.device,
        limits: limits.into(),
        features: adapter.features().iter_names().map(|(name, _)| name.to_owned()).collect(),
    }
}
