//! The CPU executor: the lowered, placed program over all cores, in the widest vectors that the processor has.
//!
//! Convolutions are matrix products (`convolution.rs`, `gemm.rs`), everything else loops over slices (`vectors.rs`).
//! The same program gives the same bytes with one thread and with many, and with vectors of 8 and of 16 numbers.
//! Nothing here knows of graphs, devices or networks, but for `fused/`, which scores a planned generator as a whole.

mod activation;
mod adam;
mod col2im;
mod convolution;
mod dense;
mod executor;
mod fused;
mod gemm;
mod implicit_gemm;
mod kernel;
mod norm;
mod tanh;
mod threads;
mod vectors;
mod windows;

pub(crate) use activation::{activation, activation_grad};
pub(crate) use adam::adam;
pub(crate) use convolution::{conv_transpose2d, conv2d, conv2d_weight_grad};
pub use executor::Cpu;
pub use fused::CpuScorer;
pub(crate) use kernel::CpuKernel;
pub(crate) use norm::{batch_norm, batch_norm_grad, channel_sum};
pub(crate) use vectors::{each, sum};
