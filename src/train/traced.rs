//! A stage's training step before there are data: to be looked at, tuned, timed, and trained.

use super::error::TrainError;
use super::networks::Networks;
use super::stage::Stage;
use super::step::TrainingStep;
use crate::config::Config;
use crate::engine::{EngineError, Executor, Program, ProgramId, Variables};

/// The training step of a stage as it is before there are any data: to be looked at, tuned and timed.
pub struct Traced {
    /// The networks that take part.
    pub networks: Networks,
    /// Theirs and the step's.
    pub variables: Variables,
    /// The step.
    pub step: TrainingStep,
}

impl Traced {
    /// Traces the step for so many training images, which decide how a frozen teacher takes part.
    ///
    /// # Errors
    /// Networks that cannot be trained.
    pub fn new(config: &Config, stage: Stage, images: usize) -> Result<Self, EngineError> {
        Self::with_channels(config, stage, images, config.preprocessing().channels)
    }

    /// Traces the step for so many training images of so many channels.
    pub(super) fn with_channels(
        config: &Config,
        stage: Stage,
        images: usize,
        channels: usize,
    ) -> Result<Self, EngineError> {
        let mut variables = Variables::new();
        let networks = Networks::register(config, stage, &mut variables);
        let shape = [channels, config.data.side, config.data.side];
        let step = TrainingStep::build(config, stage, &networks, &mut variables, images, shape)?;
        Ok(Self { networks, variables, step })
    }

    /// The step, compiled.
    ///
    /// # Errors
    /// Those of [`Program::compile`].
    pub fn program(&self) -> Result<Program, EngineError> {
        Program::compile(&self.step.graph, &self.variables)
    }

    /// Loads the step with random weights, made-up images and the schedules of the stage, so that it can run.
    ///
    /// # Errors
    /// Failures of the executor.
    pub fn load(&self, config: &Config, executor: &mut dyn Executor) -> Result<ProgramId, TrainError> {
        let program = executor.load(self.program()?)?;
        executor.allocate(&self.variables)?;
        self.networks.initialise(config, executor, &self.variables)?;
        let len = self.step.images.slots * self.step.images.elements * size_of::<f32>();
        let pixels: Vec<u8> = (0..len).map(|i| (127.5 + 127.5 * (i as f32 * 0.37).sin()) as u8).collect();
        self.step.images.write_bytes(executor, 0, &pixels)?;
        for (table, settings) in &self.step.tables {
            executor.write(*table, &settings.table())?;
        }
        Ok(program)
    }
}
