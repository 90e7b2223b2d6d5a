//! The networks of a stage: registered, and set to random weights by the seed.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::error::TrainError;
use super::stage::Stage;
use crate::config::Config;
use crate::engine::{Executor, Variables};
use crate::model::{Architecture, EdeGan, Initial};

/// The networks that take part in a stage, registered.
#[derive(Clone, Debug)]
pub struct Networks {
    /// The large one.
    pub teacher: Option<EdeGan>,
    /// The small one.
    pub student: Option<EdeGan>,
}

impl Networks {
    /// Registers what the stage needs.
    pub fn register(config: &Config, stage: Stage, variables: &mut Variables) -> Self {
        let epsilon = config.training.norm_epsilon as f32;
        let mut register =
            |label, architecture: Architecture| EdeGan::register(variables, label, &architecture, epsilon);
        Self {
            teacher: stage.teacher(config).map(|_| register("teacher", config.teacher())),
            student: stage.student(config).map(|_| register("student", config.student())),
        }
    }

    /// Those that there are.
    pub fn each(&self) -> impl Iterator<Item = &EdeGan> {
        self.teacher.iter().chain(&self.student)
    }

    /// Sets all to random weights by the configured seed; each network draws from a stream of its own.
    pub fn initialise(
        &self,
        config: &Config,
        executor: &mut dyn Executor,
        variables: &Variables,
    ) -> Result<(), TrainError> {
        let deviation = Initial::Deviation(config.training.init_std as f32);
        // The sample order draws from stream 0.
        for (gan, stream, initial) in [(&self.teacher, 1, deviation), (&self.student, 2, Initial::He)] {
            let Some(gan) = gan else { continue };
            let mut rng = ChaCha8Rng::seed_from_u64(config.training.seed);
            rng.set_stream(stream);
            gan.initialise(executor, variables, &mut rng, initial)?;
        }
        Ok(())
    }
}
