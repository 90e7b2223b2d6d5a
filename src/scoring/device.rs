//! A generator on an executor: programs by path and batch size, weights, submission. It knows no adapter.

use std::collections::HashMap;

use super::detector::Wanted;
use super::error::ScoringError;
use super::generator::Generator;
use super::path::ScoringPath;
use crate::engine::{
    Executor, Graph, PackedWeights, Pending, Precision, Program, ProgramId, Readback, VarId, Variables,
};
use crate::model::{EdeGan, ModelFile, arrange};
use crate::train::TrainError;

/// Names of the programs' tensors.
const IMAGES: &str = "images";
const SCORE: &str = "score";
const RECONSTRUCTION: &str = "reconstruction";
const LATENTS: &str = "latents";

/// A generator on an executor, on any of the paths that take one.
pub(super) struct DeviceScorer {
    executor: Box<dyn Executor>,
    file: ModelFile,
    generator: Generator,
    variables: Variables,
    gan: Option<EdeGan>,
    packed: HashMap<ScoringPath, VarId>,
    /// By path, batch size, and whether latent vectors can be read.
    programs: HashMap<(ScoringPath, usize, bool), ProgramId>,
    /// A batch filled up to what a program takes.
    filled: Vec<f32>,
}

impl DeviceScorer {
    pub(super) fn new(executor: Box<dyn Executor>, file: &ModelFile, generator: &Generator) -> Self {
        Self {
            executor,
            file: file.clone(),
            generator: generator.clone(),
            variables: Variables::new(),
            gan: None,
            packed: HashMap::new(),
            programs: HashMap::new(),
            filled: Vec::new(),
        }
    }

    /// Begins to score `[n, C, H, W]`, at most `capacity` images: scores, then reconstructions and latent vectors where
    /// wanted, of at least as many.
    pub(super) fn submit(
        &mut self,
        path: ScoringPath,
        pixels: &[f32],
        capacity: usize,
        wanted: Wanted,
    ) -> Result<Pending, ScoringError> {
        let len: usize = self.generator.plan.image().iter().product();
        let images = pixels.len() / len;
        // A program of ops is expensive to make, one of a single op is not.
        let batch = match path {
            ScoringPath::OpByOp => capacity,
            // There is nothing to compile for the CPU.
            ScoringPath::Cpu => images,
            _ => images.next_power_of_two().min(capacity),
        };
        let program = self.program(path, batch, wanted.latents)?;
        if images == batch {
            self.executor.input(program, IMAGES, pixels)?;
        } else {
            self.filled.clear();
            self.filled.extend_from_slice(pixels);
            self.filled.resize(batch * len, 0.0);
            self.executor.input(program, IMAGES, &self.filled)?;
        }
        let mut outputs = vec![Readback::Output(program, SCORE)];
        outputs.extend(wanted.reconstructions.then_some(Readback::Output(program, RECONSTRUCTION)));
        outputs.extend(wanted.latents.then_some(Readback::Output(program, LATENTS)));
        Ok(self.executor.run_and_read(program, &outputs)?)
    }

    /// The program for batches of so many images.
    pub(super) fn program(
        &mut self,
        path: ScoringPath,
        batch: usize,
        with_latents: bool,
    ) -> Result<ProgramId, ScoringError> {
        if let Some(&program) = self.programs.get(&(path, batch, with_latents)) {
            return Ok(program);
        }
        let [channels, height, width] = self.generator.plan.image();
        let mut graph = Graph::new();
        let images = graph.input(IMAGES, [batch, channels, height, width]);
        let (score, reconstruction, latents) = match path {
            ScoringPath::OpByOp | ScoringPath::Cpu => {
                let gan = self.networks()?;
                let mode = self.file.statistics.scoring();
                let (score, made) = gan.score_with(&mut graph, &self.variables, images, mode)?;
                (score, made.reconstruction, made.latent)
            }
            ScoringPath::FusedF32 | ScoringPath::FusedF16 => {
                let precision = if path == ScoringPath::FusedF16 { Precision::Half } else { Precision::Single };
                let weights = self.weights(path)?;
                let weights = graph.variable(&self.variables, weights);
                let [score, made, latents] =
                    graph.fused_score(images, weights, self.generator.plan.clone(), precision)?;
                (score, made, latents)
            }
        };
        graph.output(SCORE, score);
        graph.output(RECONSTRUCTION, reconstruction);
        if with_latents {
            graph.output(LATENTS, latents);
        }
        let program = self.executor.load(Program::compile(&graph, &self.variables)?)?;
        self.programs.insert((path, batch, with_latents), program);
        Ok(program)
    }

    /// The networks with their weights on the executor.
    fn networks(&mut self) -> Result<EdeGan, ScoringError> {
        if let Some(gan) = &self.gan {
            return Ok(gan.clone());
        }
        let ModelFile { architecture, norm_epsilon, weights, .. } = &self.file;
        let gan = EdeGan::register(&mut self.variables, "model", architecture, *norm_epsilon);
        let arranged = arrange(weights.clone(), &self.variables, &gan)?;
        self.executor.allocate(&self.variables)?;
        for (variable, values) in arranged {
            self.executor.write(variable, &values).map_err(TrainError::from)?;
        }
        Ok(self.gan.insert(gan).clone())
    }

    /// The packed weights on the executor.
    fn weights(&mut self, path: ScoringPath) -> Result<VarId, ScoringError> {
        if let Some(&weights) = self.packed.get(&path) {
            return Ok(weights);
        }
        let packed: &PackedWeights = &self.generator.weights;
        let halves;
        let words = if path == ScoringPath::FusedF16 {
            halves = packed.halves().map_err(|large| ScoringError::Unsuited {
                path,
                problem: format!("half precision cannot hold a weight of {large}; use {}", ScoringPath::FusedF32),
            })?;
            &halves
        } else {
            packed.singles()
        };
        let group = self.variables.group(path.name());
        let weights = self.variables.add(group, "weights", [1, 1, 1, words.len()]);
        self.executor.allocate(&self.variables)?;
        self.executor.write(weights, words)?;
        self.packed.insert(path, weights);
        Ok(weights)
    }
}
