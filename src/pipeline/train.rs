//! Trains the stages of a run one after the other, from wherever its folder is. A single stage is `train/`'s.

use std::path::Path;

use super::devices::RunDevices;
use super::normality::with_normality;
use super::{Data, Devices, Plan, Watch, estimate};
use crate::calibration::Calibration;
use crate::config::{Config, Given};
use crate::engine::Executor;
use crate::model::EdeGan;
use crate::run::{MetricsLog, RunFile, RunFolder};
use crate::train::{
    Checkpoint, CheckpointEvery, Differences, FrozenTeacher, Outcome, PeriodicEvaluation, PrecomputedOutputs,
    SCORED_AT_ONCE, Scorer, Stage, Traced, TrainError, Trainer, load_weights, take_model,
};
use crate::weights::Weights;

/// How far a run's training got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All stages are done, their networks saved.
    Trained,
    /// Asked to stop, in this stage after so many of its steps.
    Stopped(Stage, usize, usize),
}

/// Trains the stages that the folder does not have the networks of yet, from its last checkpoint where that is of the
/// stage at hand. The first starts from the folder's initial weights where it has any. `periodic` is for people to see
/// how it goes, and changes nothing.
///
/// # Errors
/// What goes wrong in a stage; networks of earlier ones and the last checkpoint stay.
pub fn train(
    config: &Config,
    folder: &RunFolder,
    data: &Data,
    devices: &dyn Devices,
    every: CheckpointEvery,
    periodic: Option<&PeriodicEvaluation>,
    watch: &mut dyn Watch,
) -> Result<Progress, TrainError> {
    let devices = RunDevices::new(devices, folder)?;
    let plan = Plan::new(config);
    let mut all_done = true;
    let mut timed = Vec::new();
    for (place, &stage) in plan.stages.iter().enumerate() {
        if is_done(config, &plan, stage, folder)? {
            continue;
        }
        if all_done {
            // What is left, from the first stage that is not done.
            timed = estimate::time(config, &plan.stages[place..], data, &devices, watch);
        }
        all_done = false;
        let steps = stage.budget(config).steps;
        let traced = Traced::new(config, stage, data.split.train.len())?;
        let asked = traced.step.teacher_outputs.is_some();
        let outputs = asked.then(|| ask(config, &plan, stage, folder, &devices, data, watch)).transpose()?;
        watch.prepare(stage.name());
        let (mut executor, mut trainer) = devices.trainer(config, stage, data, watch)?;
        let executor = executor.as_mut();
        match Checkpoint::latest(folder)? {
            Some(checkpoint) if checkpoint.stage == stage => trainer.resume(executor, checkpoint)?,
            _ => {
                let init = Some(folder.file(RunFile::Initial)).filter(|init| place == 0 && init.exists());
                start(config, &plan, stage, folder, executor, &trainer, init.as_deref())?;
            }
        }
        if let Some(outputs) = outputs {
            trainer.set_teacher_outputs(outputs);
        }
        if !timed.is_empty() {
            let left = |of: Stage| of.budget(config).steps - if of == stage { trainer.steps_done() } else { 0 };
            let stages: Vec<_> = timed.drain(..).map(|(of, seconds)| (of, seconds * left(of) as f64)).collect();
            watch.estimated(&stages);
        }
        watch.begin(stage, trainer.steps_done(), steps);
        let outcome = trainer.train(executor, folder, every, periodic, |event| watch.trained(stage, event))?;
        if let Outcome::Stopped(step) = outcome {
            return Ok(Progress::Stopped(stage, step, steps));
        }
        save(config, stage, folder, executor, &trainer, data, watch)?;
    }
    if all_done {
        // No stage has cut off what a process that was killed left there.
        MetricsLog::resume(&folder.file(RunFile::Metrics), "", u64::MAX)?;
    }
    Ok(Progress::Trained)
}

/// Whether a stage has left all its files, whole.
fn is_done(config: &Config, plan: &Plan, stage: Stage, folder: &RunFolder) -> Result<bool, TrainError> {
    let files: Vec<_> = plan.files(stage, config).map(|file| folder.file(file)).collect();
    if !files.iter().all(|file| file.exists()) {
        return Ok(false);
    }
    for file in files {
        Weights::read(&file).and_then(|weights| weights.expect_finite()).map_err(|source| TrainError::Finished {
            stage,
            folder: folder.path().to_owned(),
            source,
        })?;
    }
    Ok(true)
}

/// Where the teacher is that a distillation begins with.
fn teacher(config: &Config, plan: &Plan, stage: Stage) -> RunFile {
    plan.joint(Stage::Step1, config).filter(|_| follows_step1(plan, stage)).unwrap_or(plan.teacher())
}

/// Whether a stage goes on from what the first step of distillation left.
fn follows_step1(plan: &Plan, stage: Stage) -> bool {
    stage == Stage::Step2 && plan.stages.contains(&Stage::Step1)
}

/// Asks the frozen teacher of a stage about the training images.
fn ask(
    config: &Config,
    plan: &Plan,
    stage: Stage,
    folder: &RunFolder,
    devices: &RunDevices,
    data: &Data,
    watch: &mut dyn Watch,
) -> Result<PrecomputedOutputs, TrainError> {
    watch.prepare("asking the teacher");
    let mut executor = devices.open(stage)?;
    let executor = executor.as_mut();
    let frozen = FrozenTeacher::load(config, &folder.file(teacher(config, plan, stage)), executor)?;
    let images = &data.split.train;
    let report = |done| watch.scored("with the frozen teacher", done, images.len());
    frozen.outputs(executor, &data.train.images, images, folder.path(), report)
}

/// Sets the networks of a stage to what earlier ones left.
fn start(
    config: &Config,
    plan: &Plan,
    stage: Stage,
    folder: &RunFolder,
    executor: &mut dyn Executor,
    trainer: &Trainer,
    init: Option<&Path>,
) -> Result<(), TrainError> {
    let mut load = |given, path: &Path| {
        let gan = match given {
            Given::Teacher => &trainer.networks.teacher,
            Given::Student => &trainer.networks.student,
        };
        gan.as_ref().map_or(Ok(()), |gan| load_weights(path, config, given, executor, &trainer.variables, gan))
    };
    if stage != Stage::Teacher {
        load(Given::Teacher, &folder.file(teacher(config, plan, stage)))?;
    }
    if follows_step1(plan, stage) {
        load(Given::Student, &folder.file(plan.file(Stage::Step1)))?;
    }
    match init {
        Some(path) if stage == Stage::Teacher => load(Given::Teacher, path),
        Some(path) => load(Given::Student, path),
        None => Ok(()),
    }
}

/// Saves what a stage trained, calibrated on the held-out images; last the network that says that the stage is done.
fn save(
    config: &Config,
    stage: Stage,
    folder: &RunFolder,
    executor: &mut dyn Executor,
    trainer: &Trainer,
    data: &Data,
    watch: &mut dyn Watch,
) -> Result<(), TrainError> {
    let plan = Plan::new(config);
    let file = plan.file(stage);
    let held_out = &data.split.calibration;
    let mut save = |gan: &EdeGan, statistics, file| -> Result<(), TrainError> {
        let mut model = take_model(executor, &trainer.variables, gan, statistics, config)?;
        if !held_out.is_empty() {
            let report = |done| watch.scored("held-out images", done, held_out.len());
            let scorer = Scorer::new(executor, &trainer.variables, gan, statistics, SCORED_AT_ONCE)?;
            let scored = scorer.score(executor, &data.train.images, held_out, report)?;
            model.calibration = Some(Calibration::new(scored.iter().map(|scored| scored.score).collect())?);
            let differences = Differences::new(executor, &trainer.variables, gan, statistics, SCORED_AT_ONCE)?;
            model.map_scale = differences.scale(executor, &data.train.images, held_out)?;
            differences.unload(executor);
            watch.prepare("fitting further scores");
            model = with_normality(config, model, executor, (&trainer.variables, gan, statistics), data)?;
        }
        Ok(model.write(&folder.file(file))?)
    };
    let statistics = config.scoring.statistics;
    match (&trainer.networks.teacher, &trainer.networks.student) {
        (Some(teacher), None) => save(teacher, statistics, file)?,
        (teacher, Some(student)) => {
            if let (Some(teacher), Some(file)) = (teacher, plan.joint(stage, config)) {
                save(teacher, statistics, file)?;
            }
            save(student, config.student.statistics, file)?;
        }
        (None, None) => {}
    }
    Ok(())
}
