//! A frozen teacher on a device of its own, which computes its outputs for all training images. It knows no student.

use std::path::Path;

use super::batches::in_batches;
use super::error::TrainError;
use super::model_file::load_weights;
use super::teacher_outputs::PrecomputedOutputs;
use crate::config::{Config, Given};
use crate::data::Images;
use crate::engine::{EngineError, Executor, Graph, Program, ProgramId, Variables};
use crate::model::{Architecture, EdeGan, Statistics};

/// Images of a batch.
const BATCH: usize = 50;

/// Names of the program's outputs.
const OUTPUTS: [&str; 3] = ["latent", "reconstruction", "reconstruction_latent"];

/// A frozen teacher on a device of its own, where it computes its outputs for the training images before its student's
/// first step.
pub struct FrozenTeacher {
    program: ProgramId,
    architecture: Architecture,
}

impl FrozenTeacher {
    /// Loads the teacher of a configuration with the weights in a file.
    ///
    /// # Errors
    /// A file that cannot be read, has other tensors or says other settings, and failures of the device.
    pub fn load(config: &Config, weights: &Path, executor: &mut dyn Executor) -> Result<Self, TrainError> {
        let mut variables = Variables::new();
        let epsilon = config.training.norm_epsilon as f32;
        let teacher = EdeGan::register(&mut variables, "teacher", &config.teacher(), epsilon);
        load_weights(weights, config, Given::Teacher, executor, &variables, &teacher)?;
        let program = executor.load(Self::program(&variables, &teacher, config.scoring.statistics)?)?;
        Ok(Self { program, architecture: teacher.architecture })
    }

    /// What computes the outputs for a batch of images.
    ///
    /// # Errors
    /// Networks that do not go together.
    pub fn program(variables: &Variables, teacher: &EdeGan, statistics: Statistics) -> Result<Program, EngineError> {
        let mut graph = Graph::new();
        let [channels, height, width] = teacher.encoder1.spec.input;
        let input = graph.input("images", [BATCH, channels, height, width]);
        let made = teacher.generate(&mut graph, variables, input, statistics.scoring())?;
        for (name, tensor) in OUTPUTS.into_iter().zip([made.latent, made.reconstruction, made.reconstruction_latent]) {
            graph.output(name, tensor);
        }
        Program::compile(&graph, variables)
    }

    /// Latent vectors, reconstructions and their latent vectors of the images at `indices`, one after the other,
    /// where they are many in a file without a name in `folder`; `progress` hears how many images are done.
    ///
    /// # Errors
    /// Images that do not fit the networks, a folder that cannot be written to, and failures of the device.
    pub fn outputs(
        &self,
        executor: &mut dyn Executor,
        images: &Images,
        indices: &[usize],
        folder: &Path,
        mut progress: impl FnMut(usize),
    ) -> Result<PrecomputedOutputs, TrainError> {
        let pixels = |batch: &[usize]| Ok(images.to_signed_padded(batch, self.architecture.side)?);
        let mut all = PrecomputedOutputs::new(folder, &self.architecture, indices.len())?;
        let take = |done, outputs: [&[f32]; 3]| {
            all.write(done, outputs)?;
            progress((done + BATCH).min(indices.len()));
            Ok(())
        };
        in_batches(executor, self.program, OUTPUTS, BATCH, indices, pixels, take)?;
        Ok(all)
    }
}
