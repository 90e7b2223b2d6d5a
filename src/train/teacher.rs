use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::checkpoint;
use super::error::TrainError;
use super::losses::Losses;
use super::model_file::{load_model, save_model};
use super::step::{HISTORY, TrainingStep};
use crate::config::Config;
use crate::data::{Images, order};
use crate::engine::{Executor, GroupId, Pending, Program, ProgramId, Readback, Variables};
use crate::model::{EdeGan, discriminator, encoder_and_decoder};
use crate::run::{MetricsLog, RunFile, RunFolder};

/// Steps whose mean losses make one line of the log.
const LOG_EVERY: usize = 50;
/// Time that one submission should take: long enough to hide its cost, short enough to react.
const SUBMISSION: Duration = Duration::from_millis(300);
/// Submissions on their way at once.
const IN_FLIGHT: usize = 2;
/// Time between checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);
/// Largest step that the device's clock, an `f32`, counts exactly.
const MOST_STEPS: usize = 1 << 24;

/// A teacher in training.
pub struct Teacher {
    /// The networks.
    pub gan: EdeGan,
    /// All variables on the executor.
    pub variables: Variables,
    config: Config,
    step: TrainingStep,
    program: ProgramId,
    done: usize,
    seconds_before: f64,
}

/// How a call of [`Teacher::train`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// Asked to stop; the checkpoint holds the state after so many steps.
    Stopped(usize),
}

/// A line of the log.
#[derive(Serialize)]
struct Line {
    step: usize,
    /// Of the discriminator, and of the generator's terms unweighted.
    #[serde(flatten)]
    losses: Losses,
    generator: f32,
    seconds: f64,
}

impl Teacher {
    /// Registers the networks, traces and compiles the training step, and uploads images, sample
    /// order and schedule. `indices` are those of the training images in `images`.
    pub fn new(
        config: &Config,
        executor: &mut dyn Executor,
        images: &Images,
        indices: &[usize],
    ) -> Result<Self, TrainError> {
        let training = &config.training;
        if training.steps > MOST_STEPS || indices.len() > MOST_STEPS {
            let problem = format!("at most {MOST_STEPS} steps and as many images can be counted exactly");
            return Err(TrainError::Settings(problem));
        }
        let (side, channels) = (config.data.side, images.channels());
        let mut variables = Variables::new();
        let gan = register(config, &mut variables, channels);
        let step = TrainingStep::build(config, &gan, &mut variables, indices.len(), [channels, side, side])?;
        let program = executor.load(Program::compile(&step.graph, &variables)?)?;
        executor.write(step.images, &images.to_signed_padded(indices, side)?)?;
        let samples = training.batch_size * training.steps;
        let order = order(training.seed, indices.len(), samples, training.shuffle);
        executor.write(step.order, &order.into_iter().map(|index| index as f32).collect::<Vec<_>>())?;
        executor.write(step.table, &step.settings.table())?;
        Ok(Self { gan, variables, config: config.clone(), step, program, done: 0, seconds_before: 0.0 })
    }

    /// Sets the networks to random weights by the configured seed.
    pub fn initialise(&self, executor: &mut dyn Executor) -> Result<(), TrainError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.training.seed);
        // A stream of its own: the sample order draws from stream 0.
        rng.set_stream(1);
        for network in self.gan.generator().into_iter().chain([&self.gan.discriminator]) {
            network.initialise(executor, &self.variables, &mut rng, self.config.training.init_std as f32)?;
        }
        Ok(())
    }

    /// Sets the networks from a weight file; what it leaves out stays as it is.
    pub fn load_weights(&self, executor: &mut dyn Executor, path: &Path) -> Result<(), TrainError> {
        load_model(path, executor, &self.variables, &self.gan)
    }

    /// Goes on from a checkpoint.
    pub fn resume(&mut self, executor: &mut dyn Executor, path: &Path) -> Result<(), TrainError> {
        self.seconds_before = checkpoint::restore(path, executor, &self.variables, &self.state())?;
        let clock = executor.read(&[Readback::Variable(self.step.clock)])?.wait_one()?;
        self.done = clock.first().map_or(0, |&step| step as usize).min(self.config.training.steps);
        Ok(())
    }

    /// Steps done so far.
    pub fn steps_done(&self) -> usize {
        self.done
    }

    /// Writes the networks to a model file.
    pub fn save(&self, executor: &mut dyn Executor, path: &Path) -> Result<(), TrainError> {
        save_model(path, executor, &self.variables, &self.gan, &self.config)
    }

    /// Trains to the last step, or until `watch` returns true: it hears, some times a second, how
    /// many steps are done and the losses of the latest. Returns with the seconds trained in all.
    ///
    /// The device is kept two submissions ahead; losses come back with each. A checkpoint is written
    /// at the start, every minute, and at the end.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] names step and loss; the last checkpoint is from before that step.
    pub fn train(
        &mut self,
        executor: &mut dyn Executor,
        folder: &RunFolder,
        mut watch: impl FnMut(usize, &Losses) -> bool,
    ) -> Result<(Outcome, f64), TrainError> {
        let steps = self.config.training.steps;
        let mut log = MetricsLog::resume(&folder.file(RunFile::Metrics), self.done as u64)?;
        let started = Instant::now();
        let seconds = |before: f64| before + started.elapsed().as_secs_f64();
        self.write_checkpoint(executor, folder, self.seconds_before)?;
        let mut saved = Instant::now();
        let mut submitted = self.done;
        let mut size = 1;
        let mut waiting: VecDeque<(usize, Pending)> = VecDeque::new();
        let mut unlogged: Vec<Losses> = Vec::new();
        let mut stop = false;
        let mut last = Instant::now();
        loop {
            let due = saved.elapsed() > CHECKPOINT_EVERY;
            while submitted < steps && waiting.len() < IN_FLIGHT && !stop && !due {
                let chunk = size.min(steps - submitted);
                executor.run(self.program, chunk)?;
                submitted += chunk;
                waiting.push_back((chunk, executor.read(&[Readback::Variable(self.step.history)])?));
            }
            let Some((chunk, pending)) = waiting.pop_front() else {
                // Nothing is under way: finished, stopped, or time to save.
                let finished = self.done == steps;
                if stop || due || finished {
                    self.write_checkpoint(executor, folder, seconds(self.seconds_before))?;
                    saved = Instant::now();
                }
                if finished || stop {
                    let outcome = if finished { Outcome::Finished } else { Outcome::Stopped(self.done) };
                    return Ok((outcome, seconds(self.seconds_before)));
                }
                continue;
            };
            let history = pending.wait_one()?;
            for step in self.done..self.done + chunk {
                let row = step % HISTORY * Losses::COUNT;
                let losses = Losses::from_row(&history[row..row + Losses::COUNT]);
                self.check(&losses, step, folder)?;
                unlogged.push(losses);
                if (step + 1) % LOG_EVERY == 0 || step + 1 == steps {
                    let losses = Losses::mean(&unlogged);
                    let generator = losses.generator(&self.config.training.weights);
                    let seconds = seconds(self.seconds_before);
                    log.append(&Line { step: step + 1, losses, generator, seconds })?;
                    unlogged.clear();
                }
            }
            self.done += chunk;
            let latest = Losses::from_row(&history[(self.done - 1) % HISTORY * Losses::COUNT..]);
            stop = stop || watch(self.done, &latest);

            // Submissions are kept near the time they should take, and well below the history's length.
            let per_step = last.elapsed().as_secs_f64() / chunk as f64;
            last = Instant::now();
            let fitting = (SUBMISSION.as_secs_f64() / per_step.max(1e-9)) as usize;
            size = fitting.clamp(1, (2 * size).min(HISTORY / (2 * IN_FLIGHT)));
        }
    }

    /// Refuses losses that are not finite.
    fn check(&self, losses: &Losses, step: usize, folder: &RunFolder) -> Result<(), TrainError> {
        match losses.named().into_iter().find(|(_, value)| !value.is_finite()) {
            None => Ok(()),
            Some((loss, value)) => Err(self.not_finite(format!("the {loss} loss"), value, step + 1, folder)),
        }
    }

    fn not_finite(&self, what: String, value: f32, step: usize, folder: &RunFolder) -> TrainError {
        let suggestion = self.config.training.learning_rate / 2.0;
        TrainError::NotFinite { what, value, step, checkpoint: folder.file(RunFile::Checkpoint), suggestion }
    }

    /// Writes the state after `self.done` steps, if it is one to go on from.
    fn write_checkpoint(
        &self,
        executor: &mut dyn Executor,
        folder: &RunFolder,
        seconds: f64,
    ) -> Result<(), TrainError> {
        let weights = checkpoint::take(executor, &self.variables, &self.state(), seconds)?;
        for (name, tensor) in &weights.tensors {
            if let Some(&value) = tensor.values.iter().find(|value| !value.is_finite()) {
                return Err(self.not_finite(name.clone(), value, self.done, folder));
            }
        }
        Ok(weights.write(&folder.file(RunFile::Checkpoint))?)
    }

    /// The groups that change from step to step.
    fn state(&self) -> Vec<GroupId> {
        let optimizers =
            self.step.optimizers.iter().flat_map(|groups| [groups.parameters, groups.first, groups.second]);
        optimizers.chain([self.gan.averages, self.step.clock.group()]).collect()
    }
}

/// Registers the networks of a configuration, for images of so many channels.
pub fn register(config: &Config, variables: &mut Variables, channels: usize) -> EdeGan {
    let network = &config.network;
    let side = config.data.side;
    let generator = encoder_and_decoder(channels, side, network.generator, network.latents);
    let critic = discriminator(channels, side, network.discriminator);
    EdeGan::register(variables, generator, critic, config.training.norm_epsilon as f32)
}
