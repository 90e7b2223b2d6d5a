//! The programs that this project's networks are made of: for the tests that translate their kernels, and the bench that
//! compiles them.

use std::sync::Arc;

use pkdgan::config::{Recipe, Statistics, Structure};
use pkdgan::data::Dataset;
use pkdgan::engine::{Graph, Program, Variables};
use pkdgan::model::{Layer, LayerKind};
use pkdgan::unstable::engine::{FusedLayer, FusedNetworks, GraphInternals, Precision};
use pkdgan::unstable::model::{EdeGan, NormMode};
use pkdgan::unstable::train::{Networks, Stage, TrainingStep};

/// A training step of every stage and structure, for the networks of a data set.
pub(crate) fn training(dataset: Dataset, batch_size: usize, statistics: Statistics) -> Vec<Program> {
    let mut programs = Vec::new();
    for structure in Structure::ALL {
        let mut config = Recipe::Default.config(dataset);
        config.training.batch_size = batch_size;
        config.student.alone.batch_size = batch_size;
        config.distillation.step1.batch_size = batch_size;
        config.distillation.step1.structure = structure;
        config.scoring.statistics = statistics;
        config.student.statistics = statistics;
        let stages = if structure == Structure::Frozen { &Stage::ALL[..] } else { &[Stage::Step1] };
        for &stage in stages {
            let mut variables = Variables::new();
            let networks = Networks::register(&config, stage, &mut variables);
            let shape = [dataset.channels(), 32, 32];
            let step = TrainingStep::build(&config, stage, &networks, &mut variables, 100, shape).unwrap();
            programs.push(Program::compile(&step.graph, &variables).unwrap());
        }
    }
    programs
}

/// Teacher and student as they score so many images at once.
pub(crate) fn scoring(dataset: Dataset, batch: usize, mode: NormMode) -> Vec<Program> {
    let config = Recipe::Default.config(dataset);
    let program = |architecture| {
        let mut variables = Variables::new();
        let gan = EdeGan::register(&mut variables, "model", &architecture, 1e-5);
        let mut graph = Graph::new();
        let images = graph.input("images", [batch, dataset.channels(), 32, 32]);
        for (name, score) in
            ["score", "l1", "l2"].into_iter().zip(gan.score(&mut graph, &variables, images, mode).unwrap())
        {
            graph.output(name, score);
        }
        Program::compile(&graph, &variables).unwrap()
    };
    vec![program(config.teacher()), program(config.student())]
}

/// The student's generator as one kernel, in both precisions.
pub(crate) fn fused(dataset: Dataset, statistics: Statistics) -> Vec<Program> {
    let networks = Recipe::Default.config(dataset).student().generator();
    let norm = (statistics == Statistics::PerImage).then_some(1e-5);
    let plan = FusedNetworks::new(
        networks.each_ref().map(|network| {
            let outputs = network.layer_inputs().skip(1).map(|(_, input)| input).chain([network.output()]);
            let layer = |((layer, input), output): ((&Layer, [usize; 3]), [usize; 3])| FusedLayer {
                transposed: layer.kind == LayerKind::ConvTranspose,
                input,
                output,
                kernel: layer.kernel,
                stride: layer.stride,
                padding: layer.padding,
                norm: norm.filter(|_| layer.norm),
                activation: layer.activation,
            };
            network.layer_inputs().zip(outputs).map(layer).collect()
        }),
        true,
    );
    let plan = Arc::new(plan.unwrap());
    let program = |(precision, words)| {
        let mut graph = Graph::new();
        let images = graph.input("images", [3, dataset.channels(), 32, 32]);
        let weights = graph.input("weights", [1, 1, 1, words]);
        let [score, ..] = graph.fused_score(images, weights, plan.clone(), precision).unwrap();
        graph.output("score", score);
        Program::compile(&graph, &Variables::new()).unwrap()
    };
    let words = plan.weights();
    [(Precision::Single, words), (Precision::Half, words.div_ceil(2))].map(program).into()
}
