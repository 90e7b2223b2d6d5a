//! Fault injection for tests: what can be asked for. The driver's reactions are real. It knows no device; `inject.rs`
//! does.

use std::str::FromStr;

/// Trouble that a device is opened with; see `docs/reliability-log.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The device is destroyed before the run of this number, counted from 1.
    Lost(u64),
    /// A kernel that takes many minutes goes before the run of this number, counted from 1.
    Hang(u64),
    /// The device is opened with buffers of at most so many bytes.
    Limit(u64),
    /// The text of this kernel, a file under `shaders/`, is no WGSL.
    Kernel(String),
}

/// A text that names no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no fault `{0}`; say lost=RUN, hang=RUN, limit=BYTES or kernel=SHADER")]
pub struct UnknownFault(pub String);

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let (kind, value) = text.split_once('=').unwrap_or((text, ""));
        let fault = match kind {
            "lost" => value.parse().ok().map(Self::Lost),
            "hang" => value.parse().ok().map(Self::Hang),
            "limit" => value.parse().ok().map(Self::Limit),
            "kernel" if !value.is_empty() => Some(Self::Kernel(value.to_owned())),
            _ => None,
        };
        fault.ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

impl Fault {
    /// The limits that the device is asked for in place of the adapter's.
    pub(super) fn limits(&self, adapter: wgpu::Limits) -> wgpu::Limits {
        match *self {
            Self::Limit(bytes) => wgpu::Limits {
                max_buffer_size: bytes.min(adapter.max_buffer_size),
                max_storage_buffer_binding_size: bytes.min(adapter.max_storage_buffer_binding_size),
                ..adapter
            },
            _ => adapter,
        }
    }

    /// The text that is compiled in place of a launch's.
    pub(super) fn text(&self, shaders: &str, text: String) -> String {
        match self {
            Self::Kernel(name) if shaders.split('+').any(|shader| shader == name) => format!("{text}\nfn broken( {{"),
            _ => text,
        }
    }
}
