//! Whether an adapter's loads from storage buffers are so dear that they are worth being kept from kernels.
//!
//! Versions of llvmpipe differ, and with them what the CPU must be able to do: `benches/README.md` has figures. So it is measured.

use std::sync::OnceLock;

use super::device::Gpu;
use crate::engine::error::EngineError;
use crate::engine::executor::Executor;
use crate::engine::graph::Graph;
use crate::engine::program::Program;
use crate::engine::variables::Variables;

/// Quads that are loaded: what every uniform buffer can hold.
const QUADS: usize = 1024;
/// How often.
const LOADS: usize = 1 << 15;
/// Runs of which the fastest counts.
const RUNS: usize = 7;
/// How many times as long as from a uniform buffer a load may take. By Mesa 22.3 and 25.0 it is 1.1 to 2, and 17 in the former without
/// AVX-512.
const DEAR: f64 = 4.0;

impl Gpu {
    /// Finds out, once in a process, on llvmpipe; no other driver is known for it.
    ///
    /// # Errors
    /// Failures of the device.
    pub(super) fn are_loads_dear(&mut self) -> Result<bool, EngineError> {
        static KNOWN: OnceLock<bool> = OnceLock::new();
        if self.summary().mesa().is_none() {
            return Ok(false);
        }
        if let Some(&known) = KNOWN.get() {
            return Ok(known);
        }
        let mut graph = Graph::new();
        let x = graph.input("x", [1, 1, QUADS, 4]);
        let y = graph.reread(x, LOADS)?;
        graph.output("y", y);
        let program = Program::compile(&graph, &Variables::new())?;
        let most = self.tuning.uniform_quads;
        let uniform = self.fastest(program.clone())?;
        self.tuning.uniform_quads = 0;
        let storage = self.fastest(program);
        self.tuning.uniform_quads = most;
        // Without a clock nothing is known, and nothing done.
        let ratio = storage?.zip(uniform).map_or(1.0, |(storage, uniform)| storage / uniform.max(1e-9));
        tracing::info!("loads from storage buffers take {ratio:.1} times as long as those from uniform buffers");
        Ok(*KNOWN.get_or_init(|| ratio > DEAR))
    }

    /// Seconds that the fastest of some runs takes, by the device's clock if it has one.
    fn fastest(&mut self, program: Program) -> Result<Option<f64>, EngineError> {
        let id = self.load(program)?;
        self.input(id, "x", &[0.5; 4 * QUADS])?;
        let runs = self.clocked(id, RUNS)?;
        self.unload(id);
        Ok(runs.and_then(|runs| runs.iter().map(|kernels| kernels.iter().sum()).min_by(f64::total_cmp)))
    }
}
