//! What an executor says of what it computes on. It knows no driver.

use std::fmt;

use serde::Serialize;

/// What an adapter says of itself.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct AdapterSummary {
    /// Name of the device.
    pub name: String,
    /// Graphics API: `vulkan`, `metal`, `dx12`; `cpu` of the CPU executor.
    pub backend: String,
    /// Driver with version.
    pub driver: String,
    /// `discrete`, `integrated`, `virtual`, `cpu` or `other`.
    pub kind: String,
}

impl AdapterSummary {
    /// The cores of this machine, used without a driver.
    pub(crate) fn cpu(name: &str, how: String) -> Self {
        Self { name: name.into(), backend: "cpu".into(), driver: how, kind: "cpu".into() }
    }

    /// Whether kernels run on the CPU: a software driver, or no adapter at all.
    pub fn is_software(&self) -> bool {
        self.kind == "cpu"
    }

    /// Whether this is the CPU executor, which takes no driver.
    pub fn is_cpu_executor(&self) -> bool {
        self.backend == "cpu"
    }
}

impl fmt::Display for AdapterSummary {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.is_cpu_executor() {
            return write!(f, "{}, {}", self.name, self.driver);
        }
        write!(f, "{} ({}, {}, driver {})", self.name, self.kind, self.backend, self.driver)
    }
}
