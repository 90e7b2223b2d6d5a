//! Which kernel computes each convolution: what was chosen, what was measured, and the measuring.
//!
//! Only `autotune.rs` touches a device.

mod autotune;
mod choices;
mod measurements;

pub use choices::KernelChoices;
pub use measurements::{KernelTime, KernelTimes, MeasuredOn, Measurements};
