//! The cells of the study of batch sizes.

use std::collections::BTreeSet;

use super::{Cell, ReproduceError, Scope};
use crate::config::{Config, Goal, Statistics};
use crate::results::Budget;

/// Least batch size whose running averages are good enough to score with.
const RUNNING_FROM: usize = 4;

/// One network at several batch sizes, once at equal images seen and once at equal steps.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchSizes {
    /// The network.
    pub network: Studied,
    /// The batch sizes.
    pub sizes: Vec<usize>,
    /// Images that each network sees at equal images seen; none for those of the settings.
    pub images_seen: Option<u64>,
    /// Steps at equal steps; none for those of the settings.
    pub steps: Option<u64>,
    /// What batch norm does.
    pub scoring: Scoring,
}

/// The network whose batch size is studied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Studied {
    /// The teacher.
    Teacher,
    /// The student by itself.
    Student,
}

/// Where batch norm takes its statistics from in the networks of a study; see [`Statistics`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scoring {
    /// Those of each image at batch sizes below 4, where running averages are poor; running averages from 4 on.
    BestPractice,
    /// As the settings say, at every batch size.
    Settings,
    /// The same at every batch size.
    Fixed(Statistics),
}

impl BatchSizes {
    /// What is held equal.
    ///
    /// # Errors
    /// Data sets whose settings have different budgets, where none is named.
    pub fn budget(&self, scope: &Scope) -> Result<Budget, ReproduceError> {
        let mut budgets = scope.settings.iter().map(|config| {
            let (batch_size, steps) = match self.network {
                Studied::Teacher => (config.training.batch_size, config.training.steps),
                Studied::Student => (config.student.alone.batch_size, config.student.alone.steps),
            };
            let (own_steps, own_images) = (steps as u64, steps as u64 * batch_size as u64);
            Budget { images_seen: self.images_seen.unwrap_or(own_images), steps: self.steps.unwrap_or(own_steps) }
        });
        let first = budgets.next().ok_or(ReproduceError::Budgets)?;
        if budgets.all(|budget| budget == first) { Ok(first) } else { Err(ReproduceError::Budgets) }
    }

    /// The cells; one that is in both series is there once.
    ///
    /// # Errors
    /// Those of [`BatchSizes::budget`], and settings that are out of range.
    pub fn cells(&self, scope: &Scope) -> Result<Vec<Cell>, ReproduceError> {
        let budget = self.budget(scope)?;
        let mut cells = Vec::new();
        for spot in scope.spots() {
            for &size in &self.sizes {
                for steps in BTreeSet::from([budget.steps, budget.steps_at(size as u64)]) {
                    let (prefix, stage) = match self.network {
                        Studied::Teacher => ("", Goal::Teacher),
                        Studied::Student => ("alone-", Goal::Student),
                    };
                    let set = |config: &mut Config| {
                        self.set(config, size, steps as usize);
                        Ok(())
                    };
                    cells.push(spot.cell(format!("{prefix}batch-{size}-steps-{steps}"), stage, None, set)?);
                }
            }
        }
        Ok(cells)
    }

    /// A line for the reader: what batch norm does, and what else is held equal.
    pub fn note(&self) -> String {
        const RUNNING: &str = "the statistics of the batch in training and their running averages in scoring";
        const PER_IMAGE: &str = "the statistics of each image in training and scoring";
        let statistics = match self.scoring {
            Scoring::BestPractice => {
                format!("{PER_IMAGE} at batch sizes below {RUNNING_FROM}, {RUNNING} from {RUNNING_FROM} on")
            }
            Scoring::Settings => "the statistics that the settings say at every batch size".into(),
            Scoring::Fixed(Statistics::Running) => format!("{RUNNING} at every batch size"),
            Scoring::Fixed(Statistics::PerImage) => format!("{PER_IMAGE} at every batch size"),
        };
        format!(
            "Batch norm takes {statistics}. Every other setting, the learning rate included, is the same throughout."
        )
    }

    fn set(&self, config: &mut Config, size: usize, steps: usize) {
        let (batch_size, budget, statistics) = match self.network {
            Studied::Teacher => {
                let training = &mut config.training;
                (&mut training.batch_size, &mut training.steps, &mut config.scoring.statistics)
            }
            Studied::Student => {
                let student = &mut config.student;
                (&mut student.alone.batch_size, &mut student.alone.steps, &mut student.statistics)
            }
        };
        (*batch_size, *budget) = (size, steps);
        *statistics = match self.scoring {
            Scoring::BestPractice if size < RUNNING_FROM => Statistics::PerImage,
            Scoring::BestPractice => Statistics::Running,
            Scoring::Settings => *statistics,
            Scoring::Fixed(fixed) => fixed,
        };
    }
}
