//! The training loop of a stage: submissions, log, checkpoints. `pacing.rs` and `diagnosis.rs`
//! hold what it asks of the clock and of numbers that are not finite.

use std::collections::VecDeque;
use std::time::Instant;

use serde::Serialize;

use super::checkpoint::Checkpoint;
use super::checkpoint_every::CheckpointEvery;
use super::diagnosis::Problem;
use super::error::TrainError;
use super::evaluation::SCORED_AT_ONCE;
use super::feed::Feed;
use super::finite::FiniteCheck;
use super::losses::Losses;
use super::networks::Networks;
use super::pacing::{IN_FLIGHT, Pacing};
use super::periodic_evaluation::PeriodicEvaluation;
use super::score::Scorer;
use super::stage::Stage;
use super::step::TrainingStep;
use super::teacher_outputs::PrecomputedOutputs;
use super::traced::Traced;
use crate::config::{Budget, Config};
use crate::data::Images;
use crate::engine::{Executor, GroupId, Pending, Program, ProgramId, Readback, Variables};
use crate::run::{MetricsLog, RunFile, RunFolder};

/// Steps whose mean losses make one line of the log.
const LOG_EVERY: usize = 50;
/// Largest step that the device's clock, an `f32`, counts exactly.
const MAX_STEPS: usize = 1 << 24;

/// A stage in training.
pub struct Trainer {
    /// The networks that take part.
    pub networks: Networks,
    /// All variables on the executor.
    pub variables: Variables,
    pub(super) config: Config,
    pub(super) stage: Stage,
    pub(super) step: TrainingStep,
    program: ProgramId,
    feed: Feed,
    pub(super) check: FiniteCheck,
    pub(super) done: usize,
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

/// An event of a stage in training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// So many steps are done, the latest with these losses; some times a second.
    Steps(usize, &'a Losses),
    /// These mean losses went to the log for the steps up to this one.
    Logged(usize, &'a Losses),
    /// AUROC after so many steps, where a [`PeriodicEvaluation`] was asked for.
    Evaluated(usize, f64),
}

/// A line of the log for a periodic evaluation.
#[derive(Serialize)]
struct EvaluationLine {
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

/// Refuses a stage of more steps than can be counted.
///
/// # Errors
/// [`TrainError::Settings`] with the stage and its steps.
pub fn check_steps(config: &Config, stage: Stage) -> Result<(), TrainError> {
    let steps = stage.budget(config).steps;
    if steps > MAX_STEPS {
        let problem = format!("stage {stage} has {steps} steps; at most {MAX_STEPS} can be counted exactly");
        return Err(TrainError::Settings(problem));
    }
    Ok(())
}

impl Trainer {
    /// Registers the networks, sets them to random weights, traces and compiles the training step, and uploads the
    /// schedule. `indices` are those of the training images in `images`.
    pub fn new(
        config: &Config,
        stage: Stage,
        executor: &mut dyn Executor,
        images: &Images,
        indices: &[usize],
    ) -> Result<Self, TrainError> {
        check_steps(config, stage)?;
        let Traced { networks, mut variables, step } =
            Traced::with_channels(config, stage, indices.len(), images.channels())?;
        let check = FiniteCheck::load(executor, &mut variables, &state(&step, &networks))?;
        let program = executor.load(Program::compile(&step.graph, &variables)?)?;
        // A frozen teacher's discriminator is in no program, but weight files have it.
        executor.allocate(&variables)?;
        networks.initialise(config, executor, &variables)?;
        for (table, settings) in &step.tables {
            executor.write(*table, &settings.table())?;
        }
        let feed = Feed::new(config, stage, &step, images, indices);
        Ok(Self {
            networks,
            variables,
            config: config.clone(),
            stage,
            step,
            program,
            feed,
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
    pub(super) fn restore(&self, executor: &mut dyn Executor, checkpoint: Checkpoint) -> Result<usize, TrainError> {
        checkpoint.restore(executor, &self.variables, &self.state())?;
        let clock = executor.read(&[Readback::Variable(self.step.clock)])?.wait_one()?;
        Ok(clock.first().map_or(0, |&step| step as usize).min(self.budget().steps))
    }

    /// Sets the outputs of a frozen teacher for the training images.
    pub fn set_teacher_outputs(&mut self, outputs: PrecomputedOutputs) {
        self.feed.set_outputs(outputs);
    }

    /// Takes so many steps after `done`, no more than [`Self::most_steps`], which the device then is at work on.
    pub(super) fn submit(&mut self, executor: &mut dyn Executor, done: usize, steps: usize) -> Result<(), TrainError> {
        self.feed.feed(executor, &self.step, done, steps)?;
        Ok(executor.run(self.program, steps)?)
    }

    /// Most steps of a submission: as many as the device has room for the images of.
    pub(super) fn most_steps(&self) -> usize {
        self.step.images.slots
    }

    /// Steps done so far.
    pub fn steps_done(&self) -> usize {
        self.done
    }

    /// The budget of the stage.
    pub fn budget(&self) -> Budget {
        self.stage.budget(&self.config)
    }

    /// Trains to the last step, or until `watch` returns true. What `periodic` finds goes to the log and to `watch`,
    /// its time into the stage's.
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
        periodic: Option<&PeriodicEvaluation>,
        mut watch: impl FnMut(Event) -> bool,
    ) -> Result<Outcome, TrainError> {
        let steps = self.budget().steps;
        let scorer = periodic.map(|_| self.scorer(executor)).transpose()?;
        let mut log = MetricsLog::resume(&folder.file(RunFile::Metrics), self.stage.name(), self.done as u64)?;
        let (started, before) = (Instant::now(), self.seconds_before);
        let seconds = || before + started.elapsed().as_secs_f64();
        if !self.saved {
            self.save(executor, folder, &mut log, seconds())?;
        }
        let mut last_saved = Instant::now();
        let mut submitted = self.done;
        let mut evaluated = self.done;
        let mut pacing = Pacing::new();
        let mut waiting: VecDeque<(usize, Pending)> = VecDeque::new();
        let mut stop = false;
        loop {
            // No submission reaches past a step that is to be saved, or is followed by a periodic evaluation.
            let reach = if self.saved { self.done } else { self.done.saturating_sub(1) };
            let save_at = every.next_step(reach).map_or(steps, |step| step.min(steps));
            let evaluate_at = periodic.map_or(steps, |periodic| periodic.next(evaluated).min(steps));
            let limit = save_at.min(evaluate_at);
            let due = stop || (every.is_due(last_saved.elapsed()) && !self.saved);
            while submitted < limit && waiting.len() < IN_FLIGHT && !due {
                let chunk = pacing.steps().min(limit - submitted).min(self.most_steps());
                self.submit(executor, submitted, chunk)?;
                self.check.run(executor)?;
                submitted += chunk;
                waiting.push_back((chunk, executor.read(&self.readbacks())?));
            }
            let Some((chunk, pending)) = waiting.pop_front() else {
                // Nothing is under way: time for a periodic evaluation, finished, stopped, or time to save.
                if let (Some(periodic), Some(scorer)) = (periodic, &scorer)
                    && self.done == periodic.next(evaluated)
                {
                    evaluated = self.done;
                    let auroc = periodic.auroc(executor, scorer)?;
                    log.append(&EvaluationLine { stage: self.stage, step: self.done, auroc, seconds: seconds() })?;
                    stop |= watch(Event::Evaluated(self.done, auroc));
                    pacing.restart();
                }
                if !(stop || due || self.done == save_at) {
                    continue;
                }
                if !self.saved {
                    self.save(executor, folder, &mut log, seconds())?;
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
            pacing.submission_took(chunk);
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
    pub(super) fn readbacks(&self) -> Vec<Readback<'static>> {
        self.step.history.readbacks().into_iter().chain([self.check.readback()]).collect()
    }

    /// Writes the state after `self.done` steps, if it is one to go on from, once the log is on the disk up to there.
    fn save(
        &mut self,
        executor: &mut dyn Executor,
        folder: &RunFolder,
        log: &mut MetricsLog,
        seconds: f64,
    ) -> Result<(), TrainError> {
        let state = Checkpoint::take(executor, &self.variables, &self.state(), self.stage, seconds)?;
        if let Some((name, value)) = state.not_finite(&self.variables, &self.state()) {
            let problem = Problem { what: format!("tensor `{name}`"), value, step: self.done };
            return Err(self.not_finite(problem, folder));
        }
        log.sync()?;
        state.with_losses(&self.unlogged).write(folder)?;
        folder.keep()?;
        self.saved = true;
        Ok(())
    }

    pub(super) fn state(&self) -> Vec<GroupId> {
        state(&self.step, &self.networks)
    }
}

/// The groups that change from step to step, and those of a frozen teacher.
fn state(step: &TrainingStep, networks: &Networks) -> Vec<GroupId> {
    let moments = step.optimizers.iter().flat_map(|groups| [groups.first, groups.second]);
    let networks =
        networks.each().flat_map(|gan| [gan.generator_parameters, gan.discriminator_parameters, gan.averages]);
    networks.chain(moments).chain([step.clock.group()]).collect()
}
