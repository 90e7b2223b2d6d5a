//! Scores the evaluation images with every network of a run.

use std::time::Duration;

use super::devices::RunDevices;
use super::localization::LocalizationTest;
use super::sensitivity::SensitivityTest;
use super::{Data, Devices, Plan, Watch};
use crate::config::Config;
use crate::engine::AdapterSummary;
use crate::run::{LocalizationReport, MetricsLog, NetworkReport, RunFile, RunFolder, Score, SensitivityReport};
use crate::train::{Evaluation, Model, Stage, TrainError, scoring_latency};

/// What the networks of a run are worth.
pub struct Evaluated {
    /// Every network, the run's result last.
    pub networks: Vec<NetworkReport>,
    /// The result's score of every evaluation image.
    pub scores: Vec<Score>,
    /// The teacher's, where it is not the result itself.
    pub teacher: Option<Vec<Score>>,
    /// What was found of defects painted into normal images, in a run on own pictures.
    pub sensitivity: Option<SensitivityReport>,
    /// How well heat maps point at defects whose masks are known.
    pub localization: Option<LocalizationReport>,
    /// What the result was computed on.
    pub adapter: Option<AdapterSummary>,
}

/// What the teacher is called that a student learns from.
pub(super) const TEACHER: &str = "teacher";

/// Most time spent on finding out how long scoring an image takes.
const LATENCY: Duration = Duration::from_secs(2);

/// A network to evaluate: its name, its file, and the stage it comes from.
struct Candidate {
    name: &'static str,
    file: RunFile,
    stage: Stage,
}

/// Scores the evaluation images with every network in its folder, but for those named in `leave_out`.
///
/// # Errors
/// Networks that are missing or damaged, and failures of the device.
pub fn evaluate(
    config: &Config,
    folder: &RunFolder,
    data: &Data,
    devices: &dyn Devices,
    leave_out: &[&str],
    watch: &mut dyn Watch,
) -> Result<Evaluated, TrainError> {
    let devices = RunDevices::new(devices, folder)?;
    let plan = Plan::new(config);
    let mut networks = Vec::new();
    let (mut scores, mut teacher, mut adapter) = (Vec::new(), None, None);
    let mut candidates = candidates(config, &plan, folder);
    let mut test = SensitivityTest::new(config, data)?;
    let mut localization = LocalizationTest::new(config, data);
    candidates.retain(|candidate| !leave_out.contains(&candidate.name));
    for Candidate { name, file, stage } in candidates {
        let images = data.split.test.len();
        watch.prepare(&format!("scoring {name}"));
        let mut executor = devices.open(stage)?;
        let executor = executor.as_mut();
        adapter = Some(executor.summary());
        let model = Model::load_for(config, &folder.file(file), executor)?;
        let report = |done: usize| watch.scored(name, done, images);
        let evaluation = Evaluation::run(executor, &model, &data.eval, &data.split, report)?;
        if let Some(test) = &mut test {
            watch.prepare(&format!("painted defects, {name}"));
            test.network(name, executor, &model, data)?;
        }
        if let Some(localization) = &mut localization {
            localization.network(name, executor, &model, data)?;
        }
        let budget = stage.budget(config);
        let threshold = |calibration| data.threshold(&evaluation, calibration, None);
        networks.push(NetworkReport {
            network: name.into(),
            structure: structure(config, &plan, stage),
            score: model.score,
            params: model.gan.architecture.generator_params() as u64,
            macs: model.gan.architecture.generator_macs(),
            ratio: config.teacher().generator_macs() as f64 / model.gan.architecture.generator_macs() as f64,
            steps: budget.steps as u64,
            batch_size: budget.batch_size as u64,
            seconds: MetricsLog::seconds(&folder.file(RunFile::Metrics), stage.name()),
            auroc: evaluation.auroc,
            average_precision: evaluation.average_precision,
            reconstruction_auroc_l1: evaluation.reconstruction_auroc_l1,
            reconstruction_auroc_l2: evaluation.reconstruction_auroc_l2,
            reconstruction_l1_normal: evaluation.reconstruction_l1_normal,
            blank_l1_normal: evaluation.blank_l1_normal,
            threshold: model.calibration.as_ref().map(threshold).transpose()?,
            best_f1: evaluation.best_f1,
            latency_seconds: scoring_latency(executor, &model, 1, LATENCY)?,
        });
        let former = std::mem::replace(&mut scores, evaluation.scores);
        if networks.len() == 2 && networks[0].network == TEACHER {
            teacher = Some(former);
        }
    }
    let sensitivity = test.map(|test| {
        watch.prepare("simple detectors on the same pixels");
        test.report(data)
    });
    let localization = localization.map(LocalizationTest::report);
    Ok(Evaluated { networks, scores, teacher, sensitivity: sensitivity.transpose()?, localization, adapter })
}

/// What there is to evaluate, the run's result last.
fn candidates(config: &Config, plan: &Plan, folder: &RunFolder) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    if plan.result != Stage::Teacher && folder.file(plan.teacher()).exists() {
        candidates.push(Candidate { name: TEACHER, file: plan.teacher(), stage: Stage::Teacher });
    }
    for &stage in plan.stages.iter().filter(|&&stage| stage != Stage::Teacher || plan.result == stage) {
        if plan.joint(stage, config) == Some(RunFile::TeacherJoint) {
            candidates.push(Candidate { name: "teacher-joint", file: RunFile::TeacherJoint, stage });
        }
        candidates.push(Candidate { name: plan.network(stage), file: plan.file(stage), stage });
    }
    candidates
}

/// The structures of distillation up to a stage, as `1+4`.
fn structure(config: &Config, plan: &Plan, stage: Stage) -> String {
    let Some(own) = stage.structure(config) else { return String::new() };
    let first = Stage::Step1.structure(config).filter(|_| stage == Stage::Step2 && plan.stages.contains(&Stage::Step1));
    first.into_iter().chain([own]).map(|structure| structure.number().to_string()).collect::<Vec<_>>().join("+")
}
