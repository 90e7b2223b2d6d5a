//! Which step, and which loss or tensor, first left the numbers. It knows neither pacing nor the log.

use tracing::warn;

use super::checkpoint::Checkpoint;
use super::error::TrainError;
use super::finite::raised;
use super::losses::Losses;
use super::stage::Stage;
use super::trainer::Trainer;
use crate::engine::Executor;
use crate::run::{RunFile, RunFolder};

/// What left the numbers, and after how many steps.
pub(super) struct Problem {
    pub what: String,
    pub value: f32,
    pub step: usize,
}

impl Trainer {
    /// What is not finite in the `chunk` steps after `done`, by what was read back.
    pub(super) fn look(&self, read: &[Vec<f32>], done: usize, chunk: usize) -> Option<Problem> {
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
    pub(super) fn diagnose(
        &mut self,
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
        &mut self,
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
            let many = if step < good { (good - step).min(self.most_steps()) } else { 1 };
            self.submit(executor, step, many)?;
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

    pub(super) fn not_finite(&self, Problem { what, value, step }: Problem, folder: &RunFolder) -> TrainError {
        let half = self.budget().learning_rate / 2.0;
        let suggestion = match self.stage {
            Stage::Teacher => format!("--lr {half:?}"),
            Stage::Alone => format!("--set student.alone.learning_rate={half:?}"),
            stage => format!("--set distillation.{stage}.learning_rate={half:?}"),
        };
        TrainError::NotFinite { what, value, step, checkpoint: folder.file(RunFile::Checkpoint), suggestion }
    }
}
