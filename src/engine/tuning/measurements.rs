//! Measured times of kernels by adapter, as a file holds them, and the choice that follows. It measures nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::choices::KernelChoices;
use crate::engine::conv::ConvShape;

/// What a measurement of kernels holds for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredOn {
    /// Name of the adapter.
    pub adapter: String,
    /// Graphics API that it was reached by.
    pub backend: String,
    /// Driver with version.
    pub driver: String,
    /// SHA-256 of the kernels' texts and of what launches them.
    pub kernels: String,
}

impl MeasuredOn {
    /// Whether the two differ in nothing but the kernels.
    fn same_device(&self, other: &Self) -> bool {
        let device = |on: &Self| Self { kernels: String::new(), ..on.clone() };
        device(self) == device(other)
    }
}

/// How long a kernel took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelTime {
    /// Its name.
    pub kernel: String,
    /// The median, in seconds; absent where its timing was stopped as clearly slower than another, or cannot be run
    /// here.
    pub seconds: Option<f64>,
}

/// The kernels that were timed for a convolution, the default first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KernelTimes(pub Vec<KernelTime>);

/// What another kernel must take of the default's time to be taken in its place: less is within what measurements
/// differ by.
const WORTHWHILE: f64 = 0.97;

impl KernelTimes {
    /// The one that is taken unless another was measured to be faster.
    pub fn usual(&self) -> Option<&KernelTime> {
        self.0.first()
    }

    /// The one to take: the fastest, or the default where that is as good as it.
    pub fn chosen(&self) -> Option<&KernelTime> {
        let seconds = |time: &KernelTime| time.seconds.filter(|seconds| *seconds > 0.0).unwrap_or(f64::INFINITY);
        let fastest = self.0.iter().min_by(|a, b| seconds(a).total_cmp(&seconds(b)));
        let default = self.usual();
        match (fastest, default) {
            (Some(fastest), Some(default)) if seconds(fastest) < WORTHWHILE * seconds(default) => Some(fastest),
            _ => default,
        }
    }
}

/// Times of the kernels that can compute convolutions, by adapter: what a file remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Measurements(Vec<OnDevice>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OnDevice {
    on: MeasuredOn,
    /// By the convolution's text.
    convolutions: BTreeMap<String, KernelTimes>,
}

impl Measurements {
    /// What was measured of a convolution.
    pub fn of(&self, on: &MeasuredOn, shape: &ConvShape) -> Option<&KernelTimes> {
        self.device(on)?.convolutions.get(&shape.to_string())
    }

    /// Adds what was measured of a convolution. What was measured of other kernels on the same device is forgotten.
    pub fn insert(&mut self, on: &MeasuredOn, shape: &ConvShape, times: KernelTimes) {
        self.0.retain(|device| device.on == *on || !device.on.same_device(on));
        if self.device(on).is_none() {
            self.0.push(OnDevice { on: on.clone(), convolutions: BTreeMap::new() });
        }
        if let Some(device) = self.0.iter_mut().find(|device| device.on == *on) {
            device.convolutions.insert(shape.to_string(), times);
        }
    }

    /// The kernels to take where another than the default proved faster.
    pub fn choices(&self, on: &MeasuredOn) -> KernelChoices {
        let convolutions = self.device(on).into_iter().flat_map(|device| &device.convolutions);
        let faster = convolutions.filter_map(|(shape, times)| {
            let chosen = times.chosen().filter(|&chosen| Some(chosen) != times.usual())?;
            Some((shape.clone(), chosen.kernel.clone()))
        });
        faster.collect()
    }

    fn device(&self, on: &MeasuredOn) -> Option<&OnDevice> {
        self.0.iter().find(|device| device.on == *on)
    }
}
