use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::checkpoint::{self, Checkpoint};
use super::error::TrainError;
use super::evaluation::SCORED_AT_ONCE;
use super::glance::Glance;
use super::losses::{HISTORY, Losses};
use super::networks::Networks;
use super::score::Scorer;
use super::stage::Stage;
use super::step::TrainingStep;
use crate::config::{Budget, Config};
use crate::data::{Images, order};
use crate::engine::{Executor, GroupId, Pending, Program, ProgramId, Readback, Variables};
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

/// A stage in training.
pub struct Trainer {
    /// The networks that take part.
    pub networks: Networks,
    /// All variables on the executor.
    pub variables: Variables,
    config: Config,
    stage: Stage,
    step: TrainingStep,
    program: ProgramId,
    done: usize,
    seconds_before: f64,
}

/// How a call of [`Trainer::train`] ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// All steps are done, in so many seconds.
    Finished(f64),
    /// Asked to stop; the checkpoint holds the state after so many steps.
    Stopped(usize),
}

/// What is heard of a stage in training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// So many steps are done, the latest with these losses; some times a second.
    Steps(usize, &'a Losses),
    /// These mean losses went to the log for the steps up to this one.
    Logged(usize, &'a Losses),
    /// AUROC after so many steps, where a [`Glance`] was asked for.
    Glanced(usize, f64),
}

/// A line of the log for a glance.
#[derive(Serialize)]
struct GlanceLine {
    stage: Stage,
    step: usize,
    auroc: f64,
    seconds: f64,
}

/// A line of the log.
#[derive(Serialize)]
struct Line {
    stage: Stage,
    step: usize,
    #[serde(flatten)]
    losses: Losses,
    seconds: f64,
}

impl Trainer {
    /// Registers the networks, sets them to random weights, traces and compiles the training step, and uploads images,
    /// sample order and schedule. `indices` are those of the training images in `images`.
    pub fn new(
        config: &Config,
        stage: Stage,
        executor: &mut dyn Executor,
        images: &Images,
        indices: &[usize],
    ) -> Result<Self, TrainError> {
        let Budget { batch_size, steps, .. } = stage.budget(config);
        if steps > MOST_STEPS || indices.len() > MOST_STEPS {
            let problem = format!("at most {MOST_STEPS} steps and as many images can be counted exactly");
            return Err(TrainError::Settings(problem));
        }
        let side = config.data.side;
        let mut variables = Variables::new();
        let networks = Networks::register(config, stage, &mut variables);
        let shape = [images.channels(), side, side];
        let step = TrainingStep::build(config, stage, &networks, &mut variables, indices.len(), shape)?;
        let program = executor.load(Program::compile(&step.graph, &variables)?)?;
        // A frozen teacher's discriminator is in no program, but weight files have it.
        executor.allocate(&variables)?;
        networks.initialise(config, executor, &variables)?;
        executor.write(step.images, &images.to_signed_padded(indices, side)?)?;
        let order = order(config.training.seed, indices.len(), batch_size * steps, config.training.shuffle);
        executor.write(step.order, &order.into_iter().map(|index| index as f32).collect::<Vec<_>>())?;
        for (table, settings) in &step.tables {
            executor.write(*table, &settings.table())?;
        }
        Ok(Self { networks, variables, config: config.clone(), stage, step, program, done: 0, seconds_before: 0.0 })
    }

    /// Goes on from a checkpoint of this stage.
    pub fn resume(&mut self, executor: &mut dyn Executor, path: &Path) -> Result<(), TrainError> {
        self.seconds_before = checkpoint::restore(path, executor, &self.variables, &self.state())?;
        let clock = executor.read(&[Readback::Variable(self.step.clock)])?.wait_one()?;
        self.done = clock.first().map_or(0, |&step| step as usize).min(self.budget().steps);
        Ok(())
    }

    /// Asks a frozen teacher about the training images, once its weights are set, where the step wants its answers;
    /// `progress` hears how many of how many it has answered.
    pub fn ask_teacher(
        &self,
        executor: &mut dyn Executor,
        images: &Images,
        indices: &[usize],
        mut progress: impl FnMut(usize, usize),
    ) -> Result<(), TrainError> {
        let (Some(answers), Some(teacher)) = (&self.step.answers, &self.networks.teacher) else { return Ok(()) };
        let teacher = (teacher, self.config.scoring.statistics);
        let count = indices.len();
        answers.ask(executor, &self.variables, teacher, (images, indices), |done| progress(done, count))
    }

    /// Steps done so far.
    pub fn steps_done(&self) -> usize {
        self.done
    }

    /// The budget of the stage.
    pub fn budget(&self) -> Budget {
        self.stage.budget(&self.config)
    }

    /// Trains to the last step, or until `watch` returns true. What `glance` sees goes to the log and to `watch`, its time
    /// into the stage's.
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
        glance: Option<&Glance>,
        mut watch: impl FnMut(Event) -> bool,
    ) -> Result<Outcome, TrainError> {
        let steps = self.budget().steps;
        let scorer = glance.map(|_| self.scorer(executor)).transpose()?;
        let mut log = MetricsLog::resume(&folder.file(RunFile::Metrics), self.stage.name(), self.done as u64)?;
        let started = Instant::now();
        let seconds = |before: f64| before + started.elapsed().as_secs_f64();
        self.write_checkpoint(executor, folder, self.seconds_before)?;
        let mut saved = Instant::now();
        let mut submitted = self.done;
        let mut glanced = self.done;
        let mut size = 1;
        let mut waiting: VecDeque<(usize, Pending)> = VecDeque::new();
        let mut unlogged: Vec<Losses> = Vec::new();
        let mut stop = false;
        let mut last = Instant::now();
        loop {
            let due = saved.elapsed() > CHECKPOINT_EVERY;
            // No submission reaches past a step that is followed by a glance.
            let limit = glance.map_or(steps, |glance| glance.next(glanced).min(steps));
            while submitted < limit && waiting.len() < IN_FLIGHT && !stop && !due {
                let chunk = size.min(limit - submitted);
                executor.run(self.program, chunk)?;
                submitted += chunk;
                waiting.push_back((chunk, executor.read(&self.step.history.readbacks())?));
            }
            let Some((chunk, pending)) = waiting.pop_front() else {
                // Nothing is under way: time for a glance, finished, stopped, or time to save.
                if let (Some(glance), Some(scorer)) = (glance, &scorer) {
                    if self.done == glance.next(glanced) {
                        glanced = self.done;
                        let auroc = glance.auroc(executor, scorer)?;
                        let seconds = seconds(self.seconds_before);
                        log.append(&GlanceLine { stage: self.stage, step: self.done, auroc, seconds })?;
                        stop |= watch(Event::Glanced(self.done, auroc));
                        last = Instant::now();
                    }
                }
                let finished = self.done == steps;
                if stop || due || finished {
                    self.write_checkpoint(executor, folder, seconds(self.seconds_before))?;
                    saved = Instant::now();
                }
                if finished {
                    return Ok(Outcome::Finished(seconds(self.seconds_before)));
                }
                if stop {
                    return Ok(Outcome::Stopped(self.done));
                }
                continue;
            };
            let history = pending.wait()?;
            for step in self.done..self.done + chunk {
                let losses = self.step.history.losses(&history, step);
                self.check(&losses, step, folder)?;
                unlogged.push(losses);
                if (step + 1) % LOG_EVERY == 0 || step + 1 == steps {
                    let losses = Losses::mean(&unlogged);
                    let seconds = seconds(self.seconds_before);
                    stop |= watch(Event::Logged(step + 1, &losses));
                    log.append(&Line { stage: self.stage, step: step + 1, losses, seconds })?;
                    unlogged.clear();
                }
            }
            self.done += chunk;
            let latest = self.step.history.losses(&history, self.done - 1);
            stop |= watch(Event::Steps(self.done, &latest));

            // Submissions are kept near the time they should take, and well below the history's length.
            let per_step = last.elapsed().as_secs_f64() / chunk as f64;
            last = Instant::now();
            let fitting = (SUBMISSION.as_secs_f64() / per_step.max(1e-9)) as usize;
            size = fitting.clamp(1, (2 * size).min(HISTORY / (2 * IN_FLIGHT)));
        }
    }

    /// What scores with the network that the stage is there for.
    fn scorer(&self, executor: &mut dyn Executor) -> Result<Scorer, TrainError> {
        let student = self.networks.student.as_ref().map(|gan| (gan, self.config.student.statistics));
        let teacher = self.networks.teacher.as_ref().map(|gan| (gan, self.config.scoring.statistics));
        let none = || TrainError::Settings("there is no network to evaluate".into());
        let (gan, statistics) = student.or(teacher).ok_or_else(none)?;
        Scorer::new(executor, &self.variables, gan, statistics, SCORED_AT_ONCE)
    }

    /// Refuses losses that are not finite.
    fn check(&self, losses: &Losses, step: usize, folder: &RunFolder) -> Result<(), TrainError> {
        match losses.0.iter().find(|(_, value)| !value.is_finite()) {
            None => Ok(()),
            Some(&(loss, value)) => {
                Err(self.not_finite(format!("{} loss `{loss}`", self.stage), value, step + 1, folder))
            }
        }
    }

    fn not_finite(&self, what: String, value: f32, step: usize, folder: &RunFolder) -> TrainError {
        let suggestion = self.budget().learning_rate / 2.0;
        TrainError::NotFinite { what, value, step, checkpoint: folder.file(RunFile::Checkpoint), suggestion }
    }

    /// Writes the state after `self.done` steps, if it is one to go on from.
    fn write_checkpoint(
        &self,
        executor: &mut dyn Executor,
        folder: &RunFolder,
        seconds: f64,
    ) -> Result<(), TrainError> {
        let saved = Checkpoint { stage: self.stage, seconds_trained: seconds };
        let weights = checkpoint::take(executor, &self.variables, &self.state(), saved)?;
        for (name, tensor) in &weights.tensors {
            if let Some(&value) = tensor.values.iter().find(|value| !value.is_finite()) {
                return Err(self.not_finite(name.clone(), value, self.done, folder));
            }
        }
        Ok(weights.write(&folder.file(RunFile::Checkpoint))?)
    }

    /// The groups that change from step to step, and those of a frozen teacher.
    fn state(&self) -> Vec<GroupId> {
        let moments = self.step.optimizers.iter().flat_map(|groups| [groups.first, groups.second]);
        let networks =
            self.networks.each().flat_map(|gan| [gan.generator_parameters, gan.discriminator_parameters, gan.averages]);
        moments.chain(networks).chain([self.step.clock.group()]).collect()
    }
}
