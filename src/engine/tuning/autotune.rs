//! Timing the kernels that can compute a convolution, on the adapter at hand.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::choices::KernelChoices;
use super::measurements::{KernelTime, KernelTimes, MeasuredOn};
use crate::engine::conv::{ConvShape, LAUNCH_VERSION, candidates};
use crate::engine::error::EngineError;
use crate::engine::executor::{Executor, ProgramId};
use crate::engine::gpu::Gpu;
use crate::engine::kernel::convolution_texts;
use crate::engine::profile::median;
use crate::engine::shape::count;

/// Runs that a median is taken of.
const RUNS: std::ops::RangeInclusive<usize> = 5..=33;
/// Time that those runs of a kernel should take.
const TIME: Duration = Duration::from_millis(25);
/// How many times as long as the best one a kernel may take before its timing is stopped: after the first run, which
/// also pays for what drivers put off until then, and after the next ones.
const FIRST_RUN_CUTOFF: f64 = 4.0;
const CUTOFF: f64 = 2.0;
/// Seconds that a first run may pay for that.
const FIRST_RUN_ALLOWANCE: f64 = 0.5;

impl Gpu {
    /// What measurements of its kernels hold for.
    pub(crate) fn measured_on(&self) -> MeasuredOn {
        let summary = self.summary();
        let mut digest = Sha256::new();
        for text in convolution_texts() {
            digest.update(text);
            digest.update([0]);
        }
        digest.update(LAUNCH_VERSION.to_le_bytes());
        MeasuredOn {
            adapter: summary.name.clone(),
            backend: summary.backend.clone(),
            driver: summary.driver.clone(),
            kernels: digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// Times the kernels that can compute a convolution, by the device's clock where it has one. Those that prove
    /// clearly slower than another are dropped after their first runs; so are those that the adapter cannot run.
    ///
    /// # Errors
    /// Failures of the device, and a convolution that is too large for it.
    pub(crate) fn time_kernels(&mut self, shape: &ConvShape) -> Result<KernelTimes, EngineError> {
        let before = self.target.choices.clone();
        let timed = self.time_all(shape);
        self.target.choices = before;
        timed
    }

    fn time_all(&mut self, shape: &ConvShape) -> Result<KernelTimes, EngineError> {
        let mut times = Vec::new();
        let mut best = f64::INFINITY;
        for kernel in candidates(shape, self.target.adapter) {
            self.target.choices = KernelChoices::from_iter([(shape, kernel.to_string())]);
            let seconds = match self.time_one(shape, best) {
                Ok(seconds) => seconds,
                // The default must run; another may ask too much of the adapter.
                Err(EngineError::Limit { .. }) if !times.is_empty() => None,
                Err(error) => return Err(error),
            };
            best = seconds.map_or(best, |seconds| best.min(seconds));
            times.push(KernelTime { kernel: kernel.to_string(), seconds });
        }
        Ok(KernelTimes(times))
    }

    /// Seconds that the convolution takes as things are chosen; none if clearly more than `best`.
    fn time_one(&mut self, shape: &ConvShape, best: f64) -> Result<Option<f64>, EngineError> {
        let program = shape.program()?;
        let inputs: Vec<(String, usize)> =
            program.inputs.iter().map(|(name, operand)| (name.clone(), count(operand.shape))).collect();
        let id = self.load(program)?;
        let timed = (|| {
            for (name, len) in inputs {
                // Some numbers of either sign, none so small that arithmetic on it is slow.
                let numbers: Vec<f32> = (0..len).map(|i| (i % 31) as f32 / 16.0 - 0.96).collect();
                self.input(id, &name, &numbers)?;
            }
            if self.seconds_of(id, 1)? > FIRST_RUN_CUTOFF * best + FIRST_RUN_ALLOWANCE {
                return Ok(None);
            }
            let first = self.seconds_of(id, 2)?;
            if first > CUTOFF * best {
                return Ok(None);
            }
            let runs = (TIME.as_secs_f64() / first.max(1e-9)) as usize;
            Ok(Some(self.seconds_of(id, runs.clamp(*RUNS.start(), *RUNS.end()))?))
        })();
        self.unload(id);
        timed
    }

    /// Seconds of a run of a program: the median of so many by the device's clock, else their mean by the host's.
    fn seconds_of(&mut self, program: ProgramId, runs: usize) -> Result<f64, EngineError> {
        if let Some(seconds) = self.clocked(program, runs)? {
            let mut of_runs: Vec<f64> = seconds.iter().map(|kernels| kernels.iter().sum()).collect();
            return Ok(median(&mut of_runs));
        }
        let started = Instant::now();
        self.run(program, runs)?;
        self.read(&[])?.wait()?;
        Ok(started.elapsed().as_secs_f64() / runs as f64)
    }
}
