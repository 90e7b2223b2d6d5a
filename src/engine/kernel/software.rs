//! What kernels are shaped by on adapters that are CPUs: software drivers, which run a workgroup's invocations as the
//! lanes of vectors.
//!
//! All that is there for their sake stands here and in `conv/register_tile.rs`, with its kernels `shaders/*_register.wgsl`.
//! Without it such drivers would be slower, and nothing else would change.

/// Invocations in a workgroup: eight fill a CPU's vector unit.
pub(crate) const WIDTH: u32 = 8;

/// How many workgroups share so many loads of an element at most. A workgroup costs a CPU as much as five such loads of
/// its lanes.
pub(super) fn max_workgroups(loads: usize) -> usize {
    (loads / (16 * WIDTH as usize)).clamp(1, 16)
}
