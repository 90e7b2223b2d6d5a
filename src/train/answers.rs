use super::error::TrainError;
use super::step::scoring_mode;
use crate::config::Statistics;
use crate::data::Images;
use crate::engine::{EngineError, Executor, Graph, Program, Readback, Tensor, VarId, Variables};
use crate::model::{Architecture, EdeGan, Generated};

/// Images that the teacher is asked about at a time.
const BATCH: usize = 50;

/// Names of the program's outputs.
const OUTPUTS: [&str; 3] = ["latent", "reconstruction", "latent_again"];

/// What a frozen teacher makes of each training image. It does not change, so it is computed once and stays on the
/// device, instead of being computed again each time an image is seen.
#[derive(Clone, Copy, Debug)]
pub struct Answers {
    latent: VarId,
    reconstruction: VarId,
    latent_again: VarId,
}

impl Answers {
    /// Registers room for the answers to so many images.
    pub(super) fn register(variables: &mut Variables, teacher: &Architecture, images: usize) -> Self {
        let mut add = |name: &str, [c, h, w]: [usize; 3]| {
            let group = variables.group(format!("teacher.answers.{name}"));
            variables.add(group, name, [images, c, h, w])
        };
        let &Architecture { channels, side, latents, .. } = teacher;
        Self {
            latent: add("latent", [latents, 1, 1]),
            reconstruction: add("reconstruction", [channels, side, side]),
            latent_again: add("latent_again", [latents, 1, 1]),
        }
    }

    /// Adds the answers to the images of a step to its graph.
    pub(super) fn gather(
        &self,
        graph: &mut Graph,
        variables: &Variables,
        [order, clock]: [Tensor; 2],
        batch: usize,
    ) -> Result<Generated, EngineError> {
        let mut gather = |variable| {
            let all = graph.variable(variables, variable);
            graph.gather(all, order, clock, batch)
        };
        Ok(Generated {
            latent: gather(self.latent)?,
            reconstruction: gather(self.reconstruction)?,
            latent_again: gather(self.latent_again)?,
        })
    }

    /// What answers a batch of images.
    ///
    /// # Errors
    /// Networks that do not go together.
    pub fn program(variables: &Variables, teacher: &EdeGan, statistics: Statistics) -> Result<Program, EngineError> {
        let &Architecture { channels, side, .. } = &teacher.architecture;
        let mut graph = Graph::new();
        let input = graph.input("images", [BATCH, channels, side, side]);
        let made = teacher.generate(&mut graph, variables, input, scoring_mode(statistics))?;
        for (name, tensor) in OUTPUTS.into_iter().zip([made.latent, made.reconstruction, made.latent_again]) {
            graph.output(name, tensor);
        }
        Program::compile(&graph, variables)
    }

    /// Asks the teacher, whose weights are on the executor, about the images at `indices`; `progress` hears how many it
    /// has answered.
    pub(super) fn ask(
        &self,
        executor: &mut dyn Executor,
        variables: &Variables,
        (teacher, statistics): (&EdeGan, Statistics),
        (images, indices): (&Images, &[usize]),
        mut progress: impl FnMut(usize),
    ) -> Result<(), TrainError> {
        let side = teacher.architecture.side;
        let program = executor.load(Self::program(variables, teacher, statistics)?)?;
        let mut answers = OUTPUTS.map(|_| Vec::new());
        for batch in indices.chunks(BATCH) {
            // The last batch is filled up with its last image, whose further answers are dropped.
            let mut filled = batch.to_vec();
            filled.resize(BATCH, batch[batch.len() - 1]);
            executor.input(program, "images", &images.to_signed_padded(&filled, side)?)?;
            executor.run(program, 1)?;
            let read = executor.read(&OUTPUTS.map(|name| Readback::Output(program, name)))?.wait()?;
            for (answers, read) in answers.iter_mut().zip(read) {
                answers.extend_from_slice(&read[..read.len() / BATCH * batch.len()]);
            }
            progress(answers[0].len() / teacher.architecture.latents);
        }
        executor.unload(program);
        for (variable, answers) in [self.latent, self.reconstruction, self.latent_again].into_iter().zip(answers) {
            executor.write(variable, &answers)?;
        }
        Ok(())
    }
}
