//! Paths, adapters and what is kept of them in the user's cache folder: as the command line has them.

use std::sync::Arc;

use pkdgan::engine::{DEVICE_TIMEOUT, DeviceKind, GpuOptions};
use pkdgan::scoring::ScoringPath;
use pkdgan::unstable::cache::{KernelCache, PipelineFiles};
use pkdgan::unstable::data::cache_folder;
use pkdgan::unstable::engine::GpuOptionsInternals;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::detached::short;
use crate::errors::exception;

/// How to open an adapter: by the kernels that were measured here, with the compiled ones that are kept.
pub(crate) fn gpu_options(adapter: Option<String>) -> GpuOptions {
    let folder = cache_folder();
    let measured = folder.as_deref().map(|folder| Arc::new(KernelCache::new(folder).read()));
    GpuOptions::default()
        .adapter(adapter)
        .pipelines(folder.map(|folder| Arc::new(PipelineFiles::new(folder)) as _))
        .measurements(measured)
}

/// The path of scoring of this name; none for `auto`.
pub(crate) fn scoring_path(name: &str) -> PyResult<Option<ScoringPath>> {
    match name {
        "auto" => Ok(None),
        name => name.parse().map(Some).map_err(PyValueError::new_err),
    }
}

/// The kind of device of this name; none for `auto`.
pub(crate) fn device_kind(name: &str) -> PyResult<Option<DeviceKind>> {
    match name {
        "auto" => Ok(None),
        "gpu" => Ok(Some(DeviceKind::Gpu)),
        "cpu" => Ok(Some(DeviceKind::Cpu)),
        name => Err(PyValueError::new_err(format!("there is no device `{name}`; there are auto, gpu, cpu"))),
    }
}

/// The adapters of this machine.
#[pyfunction]
pub(crate) fn adapters(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let found = short(py, || pkdgan::engine::adapters(DEVICE_TIMEOUT))?.map_err(|error| exception(&error))?;
    let described = found.into_iter().map(|adapter| {
        let described = PyDict::new(py);
        for (key, value) in
            [("name", adapter.name), ("backend", adapter.backend), ("driver", adapter.driver), ("kind", adapter.kind)]
        {
            described.set_item(key, value)?;
        }
        Ok(described)
    });
    described.collect()
}
