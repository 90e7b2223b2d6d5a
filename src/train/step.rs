use super::losses::Losses;
use crate::config::{Config, Schedule};
use crate::engine::{
    AdamGroups, AdamSettings, EngineError, Graph, Measure, Schedule as EngineSchedule, Tensor, VarId, Variables,
};
use crate::model::{EdeGan, NormMode};

/// Rows of the loss history that the device keeps between read-backs.
pub(super) const HISTORY: usize = 1024;

/// A training step of an EDE-GAN with everything it keeps on the device.
#[derive(Clone, Debug)]
pub struct TrainingStep {
    /// The discriminator's and the generator's update, on one tape.
    pub graph: Graph,
    /// Optimizer state of generator and discriminator.
    pub optimizers: [AdamGroups; 2],
    /// The training images, `[M, C, H, W]`.
    pub images: VarId,
    /// Indices into the images, in the order of the whole run.
    pub order: VarId,
    /// Number of steps taken.
    pub clock: VarId,
    /// The optimizer's table by step.
    pub table: VarId,
    /// Losses of the latest steps, `[1, 1, HISTORY, 4]`.
    pub history: VarId,
    /// What the table holds.
    pub settings: AdamSettings,
}

impl TrainingStep {
    /// Builds the step for so many training images of `[C, H, W]`.
    pub fn build(
        config: &Config,
        gan: &EdeGan,
        variables: &mut Variables,
        images: usize,
        [channels, height, width]: [usize; 3],
    ) -> Result<Self, EngineError> {
        let training = &config.training;
        let settings = AdamSettings {
            learning_rate: training.learning_rate,
            schedule: match training.schedule {
                Schedule::Cosine => EngineSchedule::Cosine,
                Schedule::Constant => EngineSchedule::Constant,
            },
            betas: training.betas,
            epsilon: 1e-8,
            steps: training.steps,
        };
        let optimizers =
            [gan.generator_parameters, gan.discriminator_parameters].map(|group| AdamGroups::mirror(variables, group));
        let mut add = |name: &str, shape| {
            let group = variables.group(name);
            variables.add(group, name, shape)
        };
        let mut step = Self {
            graph: Graph::new(),
            optimizers,
            images: add("images", [images, channels, height, width]),
            order: add("order", [1, 1, 1, training.batch_size * training.steps]),
            clock: add("clock", [1, 1, 1, 1]),
            table: add("schedule", [1, 1, training.steps, 2]),
            history: add("history", [1, 1, HISTORY, Losses::COUNT]),
            settings,
        };
        step.trace(config, gan, variables)?;
        Ok(step)
    }

    fn trace(&mut self, config: &Config, gan: &EdeGan, variables: &Variables) -> Result<(), EngineError> {
        let training = &config.training;
        let batch = training.batch_size;
        let graph = &mut self.graph;
        let clock = graph.variable(variables, self.clock);
        let table = graph.variable(variables, self.table);
        let (images, order) = (graph.variable(variables, self.images), graph.variable(variables, self.order));

        let images = graph.gather(images, order, clock, batch)?;
        let made =
            gan.generate(graph, variables, images, NormMode::Tracked { momentum: training.norm_momentum as f32 })?;

        // The discriminator sees images and reconstructions as one batch of two sets: each is normed
        // by its own statistics, and the mean over both is (BCE(D(x), real) + BCE(D(x'), fake)) / 2.
        let fakes = graph.detach(made.reconstruction);
        let both = graph.batch_concat(images, fakes)?;
        let logits = gan.discriminator.forward(graph, variables, both, NormMode::Batch { sets: 2 })?;
        let truth = graph.constant([2 * batch, 1, 1, 1], &[vec![1.0; batch], vec![0.0; batch]].concat())?;
        let discriminator_loss = cross_entropy(graph, logits, truth)?;
        update(graph, variables, self.optimizers[1], &self.settings, [clock, table], discriminator_loss)?;

        // The generator answers the discriminator as it is after that update.
        let logits = gan.discriminator.forward(graph, variables, made.reconstruction, NormMode::Batch { sets: 1 })?;
        let real = graph.constant([batch, 1, 1, 1], &vec![1.0; batch])?;
        let adversarial = cross_entropy(graph, logits, real)?;
        let reconstruction = mean_distance(graph, images, made.reconstruction, Measure::L1)?;
        let latent = mean_distance(graph, made.latent, made.latent_again, Measure::MeanSquared)?;
        let weights = &training.weights;
        let mut total = graph.scale(reconstruction, weights.reconstruction as f32)?;
        for (loss, weight) in [(latent, weights.latent), (adversarial, weights.adversarial)] {
            let weighted = graph.scale(loss, weight as f32)?;
            total = graph.add(total, weighted)?;
        }
        update(graph, variables, self.optimizers[0], &self.settings, [clock, table], total)?;

        graph.record(variables, self.history, clock, &[discriminator_loss, reconstruction, latent, adversarial])?;
        graph.tick(self.clock)
    }
}

fn cross_entropy(graph: &mut Graph, logits: Tensor, truth: Tensor) -> Result<Tensor, EngineError> {
    let each = graph.bce_with_logits(logits, truth)?;
    graph.mean(each)
}

fn mean_distance(graph: &mut Graph, a: Tensor, b: Tensor, measure: Measure) -> Result<Tensor, EngineError> {
    let each = graph.distance(a, b, measure)?;
    graph.mean(each)
}

/// Adds the gradients of `loss` by a network's parameters and their update.
fn update(
    graph: &mut Graph,
    variables: &Variables,
    groups: AdamGroups,
    settings: &AdamSettings,
    clock_and_table: [Tensor; 2],
    loss: Tensor,
) -> Result<(), EngineError> {
    let parameters: Vec<Tensor> =
        variables.of(groups.parameters).map(|variable| graph.variable(variables, variable)).collect();
    let gradients = graph.gradients(loss, &parameters)?;
    graph.adam(variables, groups, settings, clock_and_table, &gradients)
}
