//! The stages of a run, and which files each leaves. It trains nothing.

use crate::config::{Config, Goal, Structure};
use crate::run::RunFile;
use crate::train::Stage;

/// The stages of a run and the files that they leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In the order they run.
    pub stages: Vec<Stage>,
    /// The stage whose network is the run's result.
    pub result: Stage,
}

impl Plan {
    /// The stages that a configuration asks for. A distillation step without steps is left out.
    pub fn new(config: &Config) -> Self {
        let distillation = [Stage::Step1, Stage::Step2].into_iter().filter(|stage| stage.budget(config).steps > 0);
        let baseline = config.run.with_baseline.then_some(Stage::Alone);
        let (stages, result): (Vec<Stage>, _) = match config.run.stage {
            Goal::Teacher => (vec![Stage::Teacher], Stage::Teacher),
            Goal::Student => (vec![Stage::Alone], Stage::Alone),
            Goal::Distill => (baseline.into_iter().chain(distillation).collect(), Stage::Step2),
            Goal::All => ([Stage::Teacher].into_iter().chain(baseline).chain(distillation).collect(), Stage::Step2),
        };
        let last = stages.last().copied().unwrap_or(result);
        Self { stages, result: if result == Stage::Step2 { last } else { result } }
    }

    /// Where a stage leaves the network that it is there for: the student, but for the first.
    pub fn file(&self, stage: Stage) -> RunFile {
        match stage {
            _ if stage == self.result => RunFile::Model,
            Stage::Teacher => RunFile::Teacher,
            Stage::Alone => RunFile::StudentAlone,
            Stage::Step1 | Stage::Step2 => RunFile::StudentStep1,
        }
    }

    /// Where a stage leaves the teacher that it trains beside the student, if it does. No stage writes over what another
    /// one left, which it may have to start from once more.
    pub fn joint(&self, stage: Stage, config: &Config) -> Option<RunFile> {
        let trains = |stage: Stage| stage.structure(config).is_some_and(Structure::trains_teacher);
        let again = stage == Stage::Step1 && self.stages.contains(&Stage::Step2) && trains(Stage::Step2);
        trains(stage).then_some(if again { RunFile::TeacherStep1 } else { RunFile::TeacherJoint })
    }

    /// All files that a stage leaves, in the order they are written. It is done once all are there.
    pub fn files(&self, stage: Stage, config: &Config) -> impl Iterator<Item = RunFile> + use<> {
        self.joint(stage, config).into_iter().chain([self.file(stage)])
    }

    /// Where the teacher is that the student learns from.
    pub fn teacher(&self) -> RunFile {
        self.file(Stage::Teacher)
    }

    /// What a network is called that a stage leaves.
    pub fn network(&self, stage: Stage) -> &'static str {
        match stage {
            Stage::Teacher => "teacher",
            Stage::Alone => "student-alone",
            _ if stage == self.result => "student",
            Stage::Step1 | Stage::Step2 => "student-step1",
        }
    }
}
