//! The graph of one training step of a stage. It knows neither images nor devices.

use super::distillation::DistillationLosses;
use super::gan::{
    Optimizer, generator_losses, pseudo_anomaly_loss, second_encoder_loss, train_discriminator, weighted_sum,
};
use super::losses::{History, LossNames};
use super::networks::Networks;
use super::ring::{Ring, slots};
use super::stage::{Role, Stage};
use super::teacher_outputs::TeacherOutputs;
use super::transformations::Transformations;
use crate::config::{Config, LossWeights, Schedule};
use crate::data::levels;
use crate::engine::{
    AdamGroups, AdamSettings, EngineError, Graph, Schedule as EngineSchedule, Shape, Tensor, VarId, Variables,
};
use crate::model::{EdeGan, Generated, Statistics};

/// A training step of a stage with everything it keeps on the device.
#[derive(Clone, Debug)]
pub struct TrainingStep {
    /// All updates of the step, on one tape.
    pub graph: Graph,
    /// Optimizer state, by network: discriminator and generator of the teacher, then of the student.
    pub optimizers: Vec<AdamGroups>,
    /// The bytes of the images of coming steps, each slot `[1, 1, 1, ceil(N C H W / 4)]`.
    pub images: Ring,
    /// Number of steps taken.
    pub clock: VarId,
    /// The optimizers' tables by step, with what each holds.
    pub tables: Vec<(VarId, AdamSettings)>,
    /// Losses of the latest steps.
    pub history: History,
    /// What a frozen teacher makes of each training image, where it is asked once for all.
    pub teacher_outputs: Option<TeacherOutputs>,
    /// What is done to the images.
    pub transformations: Transformations,
}

impl TrainingStep {
    /// Builds the step for so many training images of `[C, H, W]`.
    pub fn build(
        config: &Config,
        stage: Stage,
        networks: &Networks,
        variables: &mut Variables,
        images: usize,
        [channels, height, width]: [usize; 3],
    ) -> Result<Self, EngineError> {
        let batch = stage.budget(config).batch_size;
        let shape = [batch, channels, height, width];
        let bytes = shape.iter().product::<usize>();
        let teacher = match (&networks.teacher, stage.teacher(config)) {
            // What is computed once for an image does not hold for what becomes of it.
            (Some(gan), Some(Role::Frozen))
                if config.distillation.precompute_teacher_outputs
                    && Transformations::leave_images(config)
                    && TeacherOutputs::pay(&gan.architecture, images) =>
            {
                Some(&gan.architecture)
            }
            _ => None,
        };
        let slots = slots(bytes + teacher.map_or(0, |teacher| TeacherOutputs::bytes(teacher, batch)));
        let clock = variables.group("clock");
        let mut step = Self {
            graph: Graph::new(),
            optimizers: Vec::new(),
            images: Ring::register(variables, "images", slots, [1, 1, 1, bytes.div_ceil(size_of::<f32>())]),
            clock: variables.add(clock, "clock", [1, 1, 1, 1]),
            tables: Vec::new(),
            history: History::default(),
            teacher_outputs: teacher.map(|teacher| TeacherOutputs::register(variables, teacher, batch, slots)),
            transformations: Transformations::register(config, stage, variables, slots),
        };
        step.trace(config, stage, networks, variables, shape)?;
        Ok(step)
    }

    fn trace(
        &mut self,
        config: &Config,
        stage: Stage,
        networks: &Networks,
        variables: &mut Variables,
        shape: Shape,
    ) -> Result<(), EngineError> {
        let clock = self.graph.variable(variables, self.clock);
        let ring = self.graph.variable(variables, self.images.variable);
        let batch_size = stage.budget(config).batch_size;
        let momentum = config.training.norm_momentum as f32;
        let levels = self.graph.constant([1, 1, 1, 256], &levels())?;
        let images = self.graph.gather_bytes(ring, levels, clock, shape)?;
        let (images, pseudo_anomalies) = self.transformations.apply(&mut self.graph, variables, images, clock)?;

        let teacher_outputs = match (&networks.teacher, stage.teacher(config)) {
            (Some(gan), Some(Role::Frozen)) => Some(match self.teacher_outputs {
                Some(outputs) => outputs.gather(&mut self.graph, variables, clock, batch_size)?,
                None => gan.generate(&mut self.graph, variables, images, config.scoring.statistics.scoring())?,
            }),
            (Some(gan), Some(Role::Trained { learning_rate, own })) => {
                let mode = config.scoring.statistics.training(batch_size, momentum);
                let made = gan.generate(&mut self.graph, variables, images, mode)?;
                let table = self.table(config, stage, variables, "teacher", learning_rate)?;
                let pseudo = self.generate_aside(gan, variables, pseudo_anomalies, config.scoring.statistics)?;
                let learner = Learner { gan, made, pseudo, statistics: config.scoring.statistics, table };
                // Where a student learns too, the log must tell the two apart.
                let names = if networks.student.is_some() {
                    [LossNames::TEACHER, LossNames::TEACHER_PSEUDO_ANOMALIES]
                } else {
                    [LossNames::OWN, LossNames::PSEUDO_ANOMALIES]
                };
                let own = own.unwrap_or_default();
                let mut terms = self.own_losses(config, variables, &learner, [images, clock], names, own)?;
                terms.extend(self.second_encoder(variables, &learner, own)?);
                self.train_generator(variables, &learner, clock, &terms)?;
                Some(made)
            }
            _ => None,
        };
        if let (Some(gan), Some(Role::Trained { learning_rate, own })) = (&networks.student, stage.student(config)) {
            let mode = config.student.statistics.training(batch_size, momentum);
            let made = gan.generate(&mut self.graph, variables, images, mode)?;
            let table = self.table(config, stage, variables, "student", learning_rate)?;
            let pseudo = self.generate_aside(gan, variables, pseudo_anomalies, config.student.statistics)?;
            let learner = Learner { gan, made, pseudo, statistics: config.student.statistics, table };
            let mut terms = Vec::new();
            if let Some(own) = own {
                terms.extend(self.own_losses(
                    config,
                    variables,
                    &learner,
                    [images, clock],
                    [LossNames::OWN, LossNames::PSEUDO_ANOMALIES],
                    own,
                )?);
                // Beside a teacher, that one's latent vectors teach it.
                if teacher_outputs.is_none() {
                    terms.extend(self.second_encoder(variables, &learner, own)?);
                }
            }
            if let Some(teacher) = teacher_outputs {
                let distances = DistillationLosses::new(&mut self.graph, &teacher, &made)?;
                terms.extend(distances.terms(&config.distillation.weights));
                let recorded = [distances.latent, distances.reconstruction, distances.reconstruction_latent];
                self.history.record(&mut self.graph, variables, clock, LossNames::DISTILLATION, &recorded)?;
            }
            self.train_generator(variables, &learner, clock, &terms)?;
        }
        self.graph.tick(self.clock)
    }

    /// Adds what a generator makes of images that are not normal: as in scoring, so that running averages do not follow
    /// them.
    fn generate_aside(
        &mut self,
        gan: &EdeGan,
        variables: &Variables,
        images: Option<Tensor>,
        statistics: Statistics,
    ) -> Result<Option<Generated>, EngineError> {
        images.map(|images| gan.generate(&mut self.graph, variables, images, statistics.scoring())).transpose()
    }

    /// The optimizers' table for one network.
    fn table(
        &mut self,
        config: &Config,
        stage: Stage,
        variables: &mut Variables,
        name: &str,
        learning_rate: f64,
    ) -> Result<Table, EngineError> {
        let training = &config.training;
        let settings = AdamSettings {
            learning_rate,
            schedule: match training.schedule {
                Schedule::Cosine => EngineSchedule::Cosine,
                Schedule::Constant => EngineSchedule::Constant,
            },
            betas: training.betas,
            epsilon: 1e-8,
            steps: stage.budget(config).steps,
        };
        let group = variables.group(format!("{name}.schedule"));
        let table = variables.add(group, "schedule", [1, 1, settings.steps, 2]);
        self.tables.push((table, settings));
        Ok(Table { tensor: self.graph.variable(variables, table), settings })
    }

    /// Adds the discriminator's update and the generator's own losses, recorded; returns the weighted terms.
    fn own_losses(
        &mut self,
        config: &Config,
        variables: &mut Variables,
        learner: &Learner,
        [images, clock]: [Tensor; 2],
        [names, pseudo_names]: [LossNames; 2],
        weights: LossWeights,
    ) -> Result<Vec<(Tensor, f64)>, EngineError> {
        let groups = AdamGroups::mirror(variables, learner.gan.discriminator_parameters);
        self.optimizers.push(groups);
        let optimizer = learner.optimizer(groups, clock);
        let (gan, made) = (learner.gan, &learner.made);
        let discriminator = train_discriminator(&mut self.graph, variables, gan, images, made, &optimizer)?;
        let own = generator_losses(&mut self.graph, variables, gan, images, made)?;
        let recorded = [discriminator, own.reconstruction, own.latent, own.adversarial];
        self.history.record(&mut self.graph, variables, clock, names, &recorded)?;
        let mut terms = own.terms(&weights).to_vec();
        if let Some(made) = &learner.pseudo {
            let settings = &config.training.pseudo_anomalies;
            let loss = pseudo_anomaly_loss(&mut self.graph, made, settings.margin)?;
            self.history.record(&mut self.graph, variables, clock, pseudo_names, &[loss])?;
            terms.push((loss, settings.weight));
        }
        Ok(terms)
    }

    /// Where the latent loss has no weight, nothing else would train the second encoder: it gets a term of its own.
    fn second_encoder(
        &mut self,
        variables: &Variables,
        learner: &Learner,
        weights: LossWeights,
    ) -> Result<Option<(Tensor, f64)>, EngineError> {
        if weights.latent != 0.0 {
            return Ok(None);
        }
        let &Learner { gan, ref made, statistics, .. } = learner;
        Ok(Some((second_encoder_loss(&mut self.graph, variables, gan, made, statistics)?, 1.0)))
    }

    fn train_generator(
        &mut self,
        variables: &mut Variables,
        learner: &Learner,
        clock: Tensor,
        terms: &[(Tensor, f64)],
    ) -> Result<(), EngineError> {
        let groups = AdamGroups::mirror(variables, learner.gan.generator_parameters);
        self.optimizers.push(groups);
        let loss = weighted_sum(&mut self.graph, terms)?;
        learner.optimizer(groups, clock).update(&mut self.graph, variables, loss)
    }
}

/// A network that is trained, with what it made of the batch.
struct Learner<'a> {
    gan: &'a EdeGan,
    made: Generated,
    /// What it made of pseudo-anomalies, where there are any.
    pseudo: Option<Generated>,
    /// Where its norms take their statistics from.
    statistics: Statistics,
    table: Table,
}

struct Table {
    tensor: Tensor,
    settings: AdamSettings,
}

impl Learner<'_> {
    fn optimizer(&self, groups: AdamGroups, clock: Tensor) -> Optimizer<'_> {
        Optimizer { groups, settings: &self.table.settings, clock_and_table: [clock, self.table.tensor] }
    }
}
