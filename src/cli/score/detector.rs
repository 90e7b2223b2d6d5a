use pkdgan::config::Statistics;
use pkdgan::engine::{Executor, Graph, Measure, Program, ProgramId, Readback, Variables};
use pkdgan::model::{EdeGan, ModelFile, NormMode};
use pkdgan::stream::Detect;
use pkdgan::train::{Model, TrainError};

/// Images at a time.
pub const MOST: usize = 64;

/// A model on an executor.
pub struct Plain<E> {
    executor: E,
    program: ProgramId,
    len: usize,
}

impl<E: Executor> Plain<E> {
    pub fn new(file: ModelFile, mut executor: E) -> Result<Self, TrainError> {
        let mode = match file.statistics {
            Statistics::Running => NormMode::Running,
            Statistics::PerImage => NormMode::PerImage,
        };
        let Model { gan, variables, .. } = Model::place(file, &mut executor)?;
        let (program, len) = program(&gan, &variables, mode, &mut executor)?;
        Ok(Self { executor, program, len })
    }

    fn run(&mut self, pixels: &[f32], output: &str) -> Result<Vec<f32>, TrainError> {
        let count = pixels.len() / self.len;
        let mut filled = pixels.to_vec();
        filled.resize(MOST * self.len, 0.0);
        self.executor.input(self.program, "images", &filled)?;
        self.executor.run(self.program, 1)?;
        let mut values = self.executor.read(&[Readback::Output(self.program, output)])?.wait_one()?;
        values.truncate(values.len() / MOST * count);
        Ok(values)
    }
}

fn program(
    gan: &EdeGan,
    variables: &Variables,
    mode: NormMode,
    executor: &mut dyn Executor,
) -> Result<(ProgramId, usize), TrainError> {
    let [channels, height, width] = gan.encoder1.spec.input;
    let mut graph = Graph::new();
    let images = graph.input("images", [MOST, channels, height, width]);
    let made = gan.generate(&mut graph, variables, images, mode)?;
    let score = graph.distance(made.latent, made.latent_again, Measure::L2)?;
    graph.output("score", score);
    graph.output("reconstruction", made.reconstruction);
    Ok((executor.load(Program::compile(&graph, variables)?)?, channels * height * width))
}

impl<E: Executor + Send> Detect for Plain<E> {
    fn score(&mut self, pixels: &[f32]) -> Result<Vec<f32>, TrainError> {
        self.run(pixels, "score")
    }

    fn reconstruct(&mut self, pixels: &[f32]) -> Result<Vec<f32>, TrainError> {
        self.run(pixels, "reconstruction")
    }
}
