//! One-class novelty detection: train on normal images only, then find the images that are not.
//!
//! A generative network, the *teacher* (EDE-GAN), learns to encode normal images, decode them, and encode them again. An
//! image's score is the distance of its two codes: higher is more anomalous. A much smaller *student* is distilled from
//! the teacher (P-KDGAN). Everything is computed by the crate's own [`engine`], on GPUs through wgpu or on the CPU.
//!
//! # Run an op and its gradient
//!
//! A [`engine::Graph`] is a tape of ops. Gradients are more ops on the same tape.
//!
//! ```
//! use pkdgan::engine::{Cpu, Executor, Graph, Window};
//!
//! let mut graph = Graph::new();
//! let x = graph.input("x", [1, 1, 2, 2]);
//! let w = graph.input("w", [1, 1, 1, 1]);
//! let y = graph.conv2d(x, w, None, Window::stride(1))?;
//! let loss = graph.mean(y)?;
//! let gradients = graph.gradients(loss, &[w])?;
//! graph.output("y", y);
//! graph.output("dw", gradients[0]);
//!
//! let out = Cpu::new().evaluate(&graph, &[("x", &[1.0, 2.0, 3.0, 6.0]), ("w", &[10.0])])?;
//! assert_eq!(out["y"], [10.0, 20.0, 30.0, 60.0]);
//! assert_eq!(out["dw"], [3.0]); // the mean of x
//! # Ok::<(), pkdgan::engine::EngineError>(())
//! ```
//!
//! # Train on a folder
//!
//! ```no_run
//! use pkdgan::training::{Outcome, Training};
//!
//! if let Outcome::Done(run) = Training::on_images("photos/good").side(64).run("runs/photos")? {
//!     println!("trained in {:.0} s: {}", run.seconds(), run.model_path().display());
//! }
//! # Ok::<(), pkdgan::training::TrainingError>(())
//! ```
//!
//! # Score an image
//!
//! ```no_run
//! use std::path::Path;
//! use pkdgan::model::ModelFile;
//! use pkdgan::scoring::{DetectorOptions, score_pictures};
//!
//! let model = ModelFile::read(Path::new("runs/photos/model.safetensors"))?;
//! for inspected in score_pictures(&model, ["photo.png"], DetectorOptions::default())? {
//!     let score = inspected?.score?;
//!     // The share of normal images that score as high.
//!     let p = model.calibration.as_ref().map(|calibration| calibration.p_value(score)).transpose()?;
//!     println!("score {score}, p-value {p:?}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! | module | what is in it |
//! |---|---|
//! | [`engine`] | graph, tensors, variables, programs, executors |
//! | [`model`] | model files |
//! | [`training`] | training runs |
//! | [`scoring`] | scoring pictures and batches |
//! | [`metrics`] | AUROC, average precision, best F1 |
//! | [`config`], [`data`] | every setting; data sets and how pictures are prepared |
//! | [`unstable`] | what the binary, the benches and the tests need; it may change in any version |
//!
//! # Ops of your own
//!
//! They cannot be added from outside: the ops are a closed enum. Each op states its gradients, its kernels for GPUs and
//! CPUs, and a plain reference that tests hold them to. Those traits change too often for a promise. To add an op, copy
//! the crate and follow "Add an op" in its CONTRIBUTING.md: a file under `src/engine/ops/`, a shader, a line in
//! `ops/mod.rs` and one in `kernel/source.rs`, a test in `tests/kernels.rs`. docs/decisions/closed-op-set.md has the
//! reasons. What is a composition of ops needs no op of its own: write a function on a [`engine::Graph`].

#![deny(unsafe_code)]

mod anomaly_map;
mod baselines;
mod cache;
mod calibration;
pub mod config;
pub mod data;
pub mod engine;
mod export;
mod files;
mod format;
mod message;
pub mod metrics;
pub mod model;
mod monitor;
mod pipeline;
mod plot;
mod report;
mod reproduce;
mod results;
mod run;
mod score_kind;
pub mod scoring;
mod sensitivity;
mod shard;
mod stream;
mod threads;
mod train;
pub mod training;
pub mod unstable;
mod version;
mod weights;
