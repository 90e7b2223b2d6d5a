//! The compute engine: trace once, replay many.
//!
//! ```text
//! Graph (ops, shapes, autograd)  ->  Program (buffers, dispatch list)  ->  Executor (gpu or cpu)
//! ```
//!
//! A [`Graph`] is a static single-assignment tape over `f32` tensors in NCHW; gradients are more nodes of the same
//! tape. [`Program::compile`] drops dead ops, fuses activations into the ops that feed them and places every tensor in
//! a buffer. An [`Executor`] replays the program: [`Gpu`] through wgpu and the kernels under `shaders/`, [`Cpu`] over
//! all cores; [`Reference`], the oracle of the tests, with the plain reference of every kernel.
//!
//! ```
//! use pkdgan::engine::{Cpu, Executor, Graph, Window};
//!
//! let mut graph = Graph::new();
//! let x = graph.input("x", [1, 1, 4, 4]);
//! let w = graph.input("w", [2, 1, 2, 2]);
//! let y = graph.conv2d(x, w, None, Window::stride(2))?;
//! graph.output("y", y);
//!
//! let image: Vec<f32> = (0..16).map(|v| v as f32).collect();
//! let out = Cpu::new().evaluate(&graph, &[("x", &image), ("w", &[1.0; 8])])?;
//! assert_eq!(out["y"], [10.0, 18.0, 42.0, 50.0, 10.0, 18.0, 42.0, 50.0]);
//! # Ok::<(), pkdgan::engine::EngineError>(())
//! ```
//!
//! On a GPU the same two lines read `Gpu::open(&GpuOptions::default())?.evaluate(...)`.

mod activation;
mod autograd;
mod compile;
mod conv;
mod cpu;
mod error;
mod executor;
mod fuse;
mod fused;
mod gpu;
mod graph;
pub(crate) mod internals;
mod kernel;
mod levels;
mod lower;
mod number;
mod ops;
mod place;
mod profile;
mod program;
mod reference;
mod shape;
mod software;
mod summary;
mod tuning;
mod variables;

pub use activation::Activation;
pub use conv::Window;
pub use cpu::Cpu;
pub use error::EngineError;
pub use executor::{DeviceKind, Executor, Pending, ProgramId, Readback};
pub use gpu::{AdapterDetails, DEVICE_TIMEOUT, Gpu, GpuOptions, adapter_details, adapters, driver_hung};
pub use graph::{Graph, Tensor};
pub(crate) use internals::*;
pub(crate) use ops::unit_rms::MIN_NORM;
pub use ops::{
    adam::{AdamGroups, AdamSettings, Schedule},
    batch_norm::{Running, Statistics},
    distance::Measure,
};
pub use program::Program;
pub use shape::Shape;
pub use summary::AdapterSummary;
pub use variables::{GroupId, VarId, Variables};
