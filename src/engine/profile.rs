//! The time of a kernel or op, as both executors give it.

/// A kernel of a program, with the time that it takes.
#[derive(Clone, Debug)]
pub struct Timed {
    /// Scope and op; of kernels side by side all, joined by ` + `.
    pub label: String,
    /// File under `shaders/`; of kernels side by side all, joined by `+`; the op's name where it runs without one.
    pub shader: String,
    /// Multiply-accumulates of the ops.
    pub macs: u64,
    /// Workgroups along x, y and z.
    pub workgroups: [u32; 3],
    /// Seconds on the device; 0 where none were taken.
    pub seconds: f64,
}

/// The middle one of some numbers, or the upper of the two in the middle.
pub(crate) fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
