//! The generator's part of a training step, as Burn's peer has it.

use pkdgan::config::{Budget, Config, LossWeights};
use pkdgan::engine::{
    AdamGroups, AdamSettings, EngineError, Graph, Measure, Schedule, Shape, Tensor, VarId, Variables,
};
use pkdgan::unstable::model::NormMode;
use pkdgan::unstable::train::{Networks, Ring, Stage, TrainingStep};

use super::start::{IMAGES, learner, level};

/// A step on one tape, with what it keeps on the device.
pub(crate) struct Step {
    pub graph: Graph,
    pub images: Ring,
    pub clock: VarId,
    pub tables: Vec<(VarId, AdamSettings)>,
    pub histories: Vec<VarId>,
}

impl From<TrainingStep> for Step {
    fn from(step: TrainingStep) -> Self {
        let histories = step.history.variables().collect();
        let TrainingStep { graph, images, clock, tables, .. } = step;
        Self { graph, images, clock, tables, histories }
    }
}

/// The generator's part of a training step, without a discriminator: no stage of training is like that, but it is a
/// common measure between libraries.
pub(crate) fn build(
    config: &Config,
    stage: Stage,
    networks: &Networks,
    variables: &mut Variables,
) -> Result<Step, EngineError> {
    let Budget { batch_size, steps, learning_rate, .. } = stage.budget(config);
    let LossWeights { reconstruction: con, latent: enc, .. } =
        if stage == Stage::Teacher { config.training.weights } else { config.student.weights };
    let gan = learner(networks);
    let mut add = |name: &str, shape: Shape| {
        let group = variables.group(name);
        variables.add(group, name, shape)
    };
    let shape = [batch_size, 1, 32, 32];
    let elements = shape.iter().product::<usize>() / 4;
    let slots = IMAGES.div_ceil(batch_size);
    let images = Ring { variable: add("images", [slots, 1, 1, elements]), slots, elements };
    let clock = add("clock", [1, 1, 1, 1]);
    let table = add("schedule", [1, 1, steps, 2]);
    let history = add("history", [1, 1, 1024, 2]);

    let mut graph = Graph::new();
    let [ring, step] = [images.variable, clock].map(|variable| graph.variable(variables, variable));
    let levels: Vec<f32> = (0..256).map(|byte| level(byte as u8)).collect();
    let levels = graph.constant([1, 1, 1, 256], &levels)?;
    let batch = graph.gather_bytes(ring, levels, step, shape)?;
    let made = gan.generate(
        &mut graph,
        variables,
        batch,
        NormMode::Tracked { momentum: config.training.norm_momentum as f32 },
    )?;
    let mut mean = |a: Tensor, b: Tensor, measure| {
        let each = graph.distance(a, b, measure)?;
        graph.mean(each)
    };
    let reconstruction = mean(batch, made.reconstruction, Measure::L1)?;
    let latent = mean(made.latent, made.reconstruction_latent, Measure::MeanSquared)?;
    graph.record(variables, history, step, &[reconstruction, latent])?;
    let weighted = [graph.scale(reconstruction, con as f32)?, graph.scale(latent, enc as f32)?];
    let loss = graph.add(weighted[0], weighted[1])?;

    let groups = AdamGroups::mirror(variables, gan.generator_parameters);
    let parameters: Vec<Tensor> =
        variables.of(groups.parameters).map(|variable| graph.variable(variables, variable)).collect();
    let gradients = graph.gradients(loss, &parameters)?;
    let betas = config.training.betas;
    let settings = AdamSettings::new(learning_rate, steps).schedule(Schedule::Constant).betas(betas).epsilon(1e-8);
    let rates = graph.variable(variables, table);
    graph.adam(variables, groups, &settings, [step, rates], &gradients)?;
    graph.tick(clock)?;
    Ok(Step { graph, images, clock, tables: vec![(table, settings)], histories: vec![history] })
}
