//! The cells of the study of what holds latent vectors in training.

use super::{Cell, Scope};
use crate::config::{Config, ConfigError, Goal, LatentConstraint};

/// Each way of holding latent vectors: what is done to them, and whether the latent loss has its weight.
const WAYS: [(LatentConstraint, bool); 5] = [
    (LatentConstraint::UnitRms, true),
    (LatentConstraint::UnitRms, false),
    (LatentConstraint::None, true),
    (LatentConstraint::None, false),
    (LatentConstraint::Tanh, true),
];

/// Teachers whose latent vectors are held in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constraints;

impl Constraints {
    /// The cells. The one that is as the settings say is that of a grid.
    ///
    /// # Errors
    /// Settings that are out of range.
    pub fn cells(self, scope: &Scope) -> Result<Vec<Cell>, ConfigError> {
        let mut cells = Vec::new();
        for spot in scope.spots() {
            for (constraint, loss) in WAYS {
                let own = spot.config();
                let as_set = (constraint, loss) == (own.network.latent_constraint, true);
                let name = match (as_set, loss) {
                    (true, _) => "teacher".to_owned(),
                    (false, true) => format!("teacher-{}", constraint.name()),
                    (false, false) => format!("teacher-{}-no-latent-loss", constraint.name()),
                };
                let set = |config: &mut Config| {
                    config.network.latent_constraint = constraint;
                    if !loss {
                        config.training.weights.latent = 0.0;
                    }
                    Ok(())
                };
                cells.push(spot.cell(name, Goal::Teacher, None, set)?);
            }
        }
        Ok(cells)
    }
}
