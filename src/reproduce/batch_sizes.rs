//! The cells of the study of batch sizes.

use std::collections::BTreeSet;

use super::{Cell, Origin, ReproduceError, Scope};
use crate::config::{Config, Goal, Statistics};
use crate::results::Budget;

/// One network at several batch sizes, once at equal images seen and once at equal steps. Each trains by the statistics of
/// its batches, and is scored by their running averages and by the statistics of each image.
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
}

/// The network whose batch size is studied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Studied {
    /// The teacher.
    Teacher,
    /// The student by itself.
    Student,
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
                    let set = |statistics| {
                        move |config: &mut Config| {
                            self.set(config, size, steps as usize, statistics);
                            Ok(())
                        }
                    };
                    let name = format!("{prefix}batch-{size}-steps-{steps}");
                    cells.push(spot.cell(&name, stage, None, set(Statistics::Running))?);
                    let trained = Some(Origin::Network(spot.folder(&name)));
                    let name = name + "-scored-per-image";
                    cells.push(spot.cell(name, stage, trained, set(Statistics::PerImage))?);
                }
            }
        }
        Ok(cells)
    }

    fn set(&self, config: &mut Config, size: usize, steps: usize, scored_by: Statistics) {
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
        (*batch_size, *budget, *statistics) = (size, steps, scored_by);
    }
}
