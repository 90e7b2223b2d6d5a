//! The stages, and what each network does in them. It trains nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::{Budget, Config, DistillationStep, LossWeights, Structure};

/// A stretch of training with a budget of its own; what it leaves, later ones start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stage {
    /// The teacher, by its own losses.
    Teacher,
    /// The student by its own losses, without a teacher.
    Alone,
    /// Distillation, first step: a new student, a trained teacher.
    Step1,
    /// Distillation, second step: from the networks after the first.
    Step2,
}

/// What a network does in a stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// It computes, and stays as it is.
    Frozen,
    /// It is trained at this learning rate; `own` are the weights of its own losses, if it has any.
    Trained {
        /// At the first step.
        learning_rate: f64,
        /// Of reconstruction, latent and adversarial loss.
        own: Option<LossWeights>,
    },
}

impl Role {
    /// Whether it is trained by own losses.
    pub(super) fn has_own_losses(self) -> bool {
        matches!(self, Self::Trained { own: Some(_), .. })
    }
}

impl Stage {
    /// Every stage, in the order they run.
    pub const ALL: [Self; 4] = [Self::Teacher, Self::Alone, Self::Step1, Self::Step2];

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Teacher => "teacher",
            Self::Alone => "alone",
            Self::Step1 => "step1",
            Self::Step2 => "step2",
        }
    }

    /// The settings of a distillation step.
    pub fn distillation(self, config: &Config) -> Option<&DistillationStep> {
        match self {
            Self::Teacher | Self::Alone => None,
            Self::Step1 => Some(&config.distillation.step1),
            Self::Step2 => Some(&config.distillation.step2),
        }
    }

    /// The structure of a distillation step.
    pub fn structure(self, config: &Config) -> Option<Structure> {
        self.distillation(config).map(|step| step.structure)
    }

    /// Batch size, steps and learning rate; the student's where both networks are trained.
    pub fn budget(self, config: &Config) -> Budget {
        let training = &config.training;
        match (self, self.distillation(config)) {
            (Self::Teacher, _) => {
                Budget { batch_size: training.batch_size, steps: training.steps, learning_rate: training.learning_rate }
            }
            (_, Some(step)) => {
                Budget { batch_size: step.batch_size, steps: step.steps, learning_rate: step.learning_rate }
            }
            (_, None) => config.student.alone,
        }
    }

    /// What the teacher does, if it takes part.
    pub(crate) fn teacher(self, config: &Config) -> Option<Role> {
        let own = Some(config.training.weights);
        match (self, self.distillation(config)) {
            (Self::Teacher, _) => Some(Role::Trained { learning_rate: config.training.learning_rate, own }),
            (_, None) => None,
            (_, Some(step)) if step.structure.trains_teacher() => {
                Some(Role::Trained { learning_rate: step.teacher_learning_rate, own })
            }
            (_, Some(_)) => Some(Role::Frozen),
        }
    }

    /// What the student does, if it takes part.
    pub(crate) fn student(self, config: &Config) -> Option<Role> {
        let own = self.structure(config).is_none_or(Structure::has_own_losses);
        let own = own.then_some(config.student.weights);
        let learning_rate = self.budget(config).learning_rate;
        (self != Self::Teacher).then_some(Role::Trained { learning_rate, own })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
