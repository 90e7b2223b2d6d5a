use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;
use tracing::warn;

use super::checkpoint::Checkpoint;
use super::checkpoint_every::CheckpointEvery;
use super::error::TrainError;
use super::evaluation::SCORED_AT_ONCE;
use super::finite::{FiniteCheck, raised};
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
/// Time that a trial should take.
const TRIAL: Duration = Duration::from_millis(200);
/// Submissions on their way at once.
const IN_FLIGHT: usize = 2;
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
    check: FiniteCheck,
    done: usize,
    seconds_before: f64,
    /// Losses of the steps since the last line of the log.
    unlogged: Vec<Losses>,
    /// Whether the checkpoint in the folder is the state after `done` steps.
    saved: bool,
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
        let check = FiniteCheck::load(executor, &mut variables, &state(&step, &networks))?;
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
        Ok(Self {
            networks,
            variables,
            config: config.clone(),
            stage,
            step,
            program,
            check,
            done: 0,
            seconds_before: 0.0,
            unlogged: Vec::new(),
            saved: false,
        })
    }

    /// Goes on from the last checkpoint of the folder, which is of this stage.
    pub fn resume(&mut self, executor: &mut dyn Executor, mut checkpoint: Checkpoint) -> Result<(), TrainError> {
        self.seconds_before = checkpoint.seconds_trained;
        self.unlogged = checkpoint.take_losses(&self.step.history.names())?;
        self.done = self.restore(executor, checkpoint)?;
        self.saved = true;
        Ok(())
    }

    /// Puts a state back on the executor; returns how many steps it is after.
    fn restore(&self, executor: &mut dyn Executor, checkpoint: Checkpoint) -> Result<usize, TrainError> {
        checkpoint.restore(executor, &self.variables, &self.state())?;
        let clock = executor.read(&[Readback::Variable(self.step.clock)])?.wait_one()?;
        Ok(clock.first().map_or(0, |&step| step as usize).min(self.budget().steps))
    }

    /// Takes the answers of a frozen teacher that was asked about the training images.
    pub fn learn_from(&self, executor: &mut dyn Executor, answers: &[Vec<f32>; 3]) -> Result<(), TrainError> {
        match &self.step.answers {
            Some(room) => Ok(room.write(executor, answers)?),
            None => Ok(()),
        }
    }

    /// Seconds of a step, from some that are taken to find out; what they train is undone.
    ///
    /// # Errors
    /// Failures of the device.
    pub fn trial(&self, executor: &mut dyn Executor) -> Result<f64, TrainError> {
        let before = Checkpoint::take(executor, &self.variables, &self.state(), self.stage, 0.0)?;
        let mut steps = |count: usize| -> Result<f64, TrainError> {
            let started = Instant::now();
            executor.run(self.program, count)?;
            executor.read(&[Readback::Variable(self.step.clock)])?.wait()?;
            Ok(started.elapsed().as_secs_f64() / count as f64)
        };
        // The first finds memory and kernels cold; the second tells how many make a trial.
        steps(1)?;
        let mut seconds = steps(1)?;
        let half = (TRIAL.as_secs_f64() / seconds.max(1e-9) / 2.0) as usize;
        if half > 0 {
            let half = half.min(HISTORY / 2);
            seconds = steps(half)?.min(steps(half)?);
        }
        self.restore(executor, before)?;
        Ok(seconds)
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
    /// The device is kept two submissions ahead; losses come back with each, and with them whether all
    /// that training changes is still finite. How many steps make a submission goes by the clock, and has
    /// no influence on results. A checkpoint is written at the start, at the end, and as `every` says.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] names step and tensor or loss; the last checkpoint is from before that step.
    pub fn train(
        &mut self,
        executor: &mut dyn Executor,
        folder: &RunFolder,
        every: CheckpointEvery,
        glance: Option<&Glance>,
        mut watch: impl FnMut(Event) -> bool,
    ) -> Result<Outcome, TrainError> {
        let steps = self.budget().steps;
        let scorer = glance.map(|_| self.scorer(executor)).transpose()?;
        let mut log = MetricsLog::resume(&folder.file(RunFile::Metrics), self.stage.name(), self.done as u64)?;
        let (started, before) = (Instant::now(), self.seconds_before);
        let seconds = || before + started.elapsed().as_secs_f64();
        if !self.saved {
            self.save(executor, folder, &log, seconds())?;
        }
        let mut last_saved = Instant::now();
        let mut submitted = self.done;
        let mut glanced = self.done;
        let mut size = 1;
        let mut waiting: VecDeque<(usize, Pending)> = VecDeque::new();
        let mut stop = false;
        let mut last = Instant::now();
        loop {
            // No submission reaches past a step that is to be saved, or is followed by a glance.
            let reach = if self.saved { self.done } else { self.done.saturating_sub(1) };
            let save_at = every.next_step(reach).map_or(steps, |step| step.min(steps));
            let glance_at = glance.map_or(steps, |glance| glance.next(glanced).min(steps));
            let limit = save_at.min(glance_at);
            let due = stop || (every.is_due(last_saved.elapsed()) && !self.saved);
            while submitted < limit && waiting.len() < IN_FLIGHT && !due {
                let chunk = size.min(limit - submitted);
                executor.run(self.program, chunk)?;
                self.check.run(executor)?;
                submitted += chunk;
                waiting.push_back((chunk, executor.read(&self.readbacks())?));
            }
            let Some((chunk, pending)) = waiting.pop_front() else {
                // Nothing is under way: time for a glance, finished, stopped, or time to save.
                if let (Some(glance), Some(scorer)) = (glance, &scorer)
                    && self.done == glance.next(glanced)
                {
                    glanced = self.done;
                    let auroc = glance.auroc(executor, scorer)?;
                    log.append(&GlanceLine { stage: self.stage, step: self.done, auroc, seconds: seconds() })?;
                    stop |= watch(Event::Glanced(self.done, auroc));
                    last = Instant::now();
                }
                if !(stop || due || self.done == save_at) {
                    continue;
                }
                if !self.saved {
                    self.save(executor, folder, &log, seconds())?;
                }
                last_saved = Instant::now();
                if self.done == steps {
                    return Ok(Outcome::Finished(seconds()));
                }
                if stop {
                    return Ok(Outcome::Stopped(self.done));
                }
                continue;
            };
            let history = pending.wait()?;
            if let Some(problem) = self.look(&history, self.done, chunk) {
                return Err(self.diagnose(executor, folder, (self.done, chunk), problem));
            }
            for step in self.done..self.done + chunk {
                self.unlogged.push(self.step.history.losses(&history, step));
                if (step + 1) % LOG_EVERY == 0 || step + 1 == steps {
                    let losses = Losses::mean(&self.unlogged);
                    stop |= watch(Event::Logged(step + 1, &losses));
                    log.append(&Line { stage: self.stage, step: step + 1, losses, seconds: seconds() })?;
                    self.unlogged.clear();
                }
            }
            self.done += chunk;
            self.saved = false;
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

    /// Losses of the latest steps, and whether all is finite.
    fn readbacks(&self) -> Vec<Readback<'static>> {
        self.step.history.readbacks().into_iter().chain([self.check.readback()]).collect()
    }

    /// What is not finite in the `chunk` steps after `done`, by what was read back.
    fn look(&self, read: &[Vec<f32>], done: usize, chunk: usize) -> Option<Problem> {
        for step in done..done + chunk {
            let Losses(losses) = self.step.history.losses(read, step);
            if let Some((loss, value)) = losses.into_iter().find(|(_, value)| !value.is_finite()) {
                let network =
                    if self.stage == Stage::Teacher || loss.starts_with("teacher_") { "teacher" } else { "student" };
                return Some(Problem { what: format!("loss `{loss}` of the {network}"), value, step: step + 1 });
            }
        }
        let flags = read.last().is_some_and(|flags| raised(flags));
        flags.then(|| Problem { what: "a tensor of the networks".into(), value: f32::NAN, step: done + chunk })
    }

    /// Finds out which loss or tensor left the numbers first, somewhere in the `chunk` steps after `good`.
    ///
    /// By now what went wrong has spread through the networks. So the steps since the last checkpoint are taken once
    /// more, from `good` on one by one: the same steps give the same numbers.
    fn diagnose(
        &self,
        executor: &mut dyn Executor,
        folder: &RunFolder,
        (good, chunk): (usize, usize),
        seen: Problem,
    ) -> TrainError {
        match self.first_not_finite(executor, folder, good, chunk) {
            Ok(found) => self.not_finite(found.unwrap_or(seen), folder),
            Err(error) => error,
        }
    }

    fn first_not_finite(
        &self,
        executor: &mut dyn Executor,
        folder: &RunFolder,
        good: usize,
        chunk: usize,
    ) -> Result<Option<Problem>, TrainError> {
        let mut step = self.restore(executor, Checkpoint::read(&folder.file(RunFile::Checkpoint))?)?;
        self.check.reset(executor, &self.variables)?;
        warn!(
            "numbers are no longer finite; taking the steps from {} to {} again to see where that began",
            step + 1,
            good + chunk
        );
        while step < good + chunk {
            let many = if step < good { (good - step).min(HISTORY / (2 * IN_FLIGHT)) } else { 1 };
            executor.run(self.program, many)?;
            self.check.run(executor)?;
            let read = executor.read(&self.readbacks())?.wait()?;
            if let Some(problem) = self.look(&read, step, many) {
                let state = Checkpoint::take(executor, &self.variables, &self.state(), self.stage, 0.0)?;
                let tensor = state.not_finite(&self.variables, &self.state());
                let loss =
                    self.step.history.losses(&read, problem.step - 1).0.iter().any(|(_, value)| !value.is_finite());
                return Ok(Some(match tensor {
                    Some((name, _)) if loss => {
                        Problem { what: format!("{} (and then tensor `{name}`)", problem.what), ..problem }
                    }
                    Some((name, value)) => Problem { what: format!("tensor `{name}`"), value, ..problem },
                    None => problem,
                }));
            }
            step += many;
        }
        Ok(None)
    }

    fn not_finite(&self, Problem { what, value, step }: Problem, folder: &RunFolder) -> TrainError {
        let half = self.budget().learning_rate / 2.0;
        let suggestion = match self.stage {
            Stage::Teacher => format!("--lr {half:?}"),
            Stage::Alone => format!("--set student.alone.learning_rate={half:?}"),
            stage => format!("--set distillation.{stage}.learning_rate={half:?}"),
        };
        TrainError::NotFinite { what, value, step, checkpoint: folder.file(RunFile::Checkpoint), suggestion }
    }

    /// Writes the state after `self.done` steps, if it is one to go on from, once the log is on the disk up to there.
    fn save(
        &mut self,
        executor: &mut dyn Executor,
        folder: &RunFolder,
        log: &MetricsLog,
        seconds: f64,
    ) -> Result<(), TrainError> {
        let state = Checkpoint::take(executor, &self.variables, &self.state(), self.stage, seconds)?;
        if let Some((name, value)) = state.not_finite(&self.variables, &self.state()) {
            let problem = Problem { what: format!("tensor `{name}`"), value, step: self.done };
            return Err(self.not_finite(problem, folder));
        }
        log.sync()?;
        state.with_losses(&self.unlogged).write(folder)?;
        self.saved = true;
        Ok(())
    }

    fn state(&self) -> Vec<GroupId> {
        state(&self.step, &self.networks)
    }
}

/// What left the numbers, and after how many steps.
struct Problem {
    what: String,
    value: f32,
    step: usize,
}

/// The groups that change from step to step, and those of a frozen teacher.
fn state(step: &TrainingStep, networks: &Networks) -> Vec<GroupId> {
    let moments = step.optimizers.iter().flat_map(|groups| [groups.first, groups.second]);
    let networks =
        networks.each().flat_map(|gan| [gan.generator_parameters, gan.discriminator_parameters, gan.averages]);
    networks.chain(moments).chain([step.clock.group()]).collect()
}
