//! Which networks a grid trains, and the cells that follow.

use super::{Cell, Origin, Pair, Scope};
use crate::config::{ConfigError, Goal};

/// Teachers, students alone and students by distillation.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Which networks are trained.
    pub networks: Networks,
    /// Whether the student is trained alone too, beside distillation.
    pub baseline: bool,
    /// Structures of distillation; none for those of the settings.
    pub structures: Vec<Pair>,
}

/// Networks of a grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Networks {
    /// Teachers only.
    Teacher,
    /// Students by themselves only.
    Student,
    /// Teachers, and students alone and by distillation.
    All,
}

impl Grid {
    /// The cells, each after the one whose teacher it starts from.
    ///
    /// # Errors
    /// Settings that are out of range.
    pub fn cells(&self, scope: &Scope) -> Result<Vec<Cell>, ConfigError> {
        let mut cells = Vec::new();
        for spot in scope.spots() {
            if self.networks != Networks::Student {
                cells.push(spot.cell("teacher", Goal::Teacher, None, |_| Ok(()))?);
            }
            if self.networks == Networks::Student || (self.networks == Networks::All && self.baseline) {
                cells.push(spot.cell("alone", Goal::Student, None, |_| Ok(()))?);
            }
            if self.networks == Networks::All {
                let own = [Pair::of(spot.config())];
                let pairs = if self.structures.is_empty() { &own[..] } else { &self.structures };
                let teacher = Origin::Teacher(spot.folder("teacher"));
                for pair in pairs {
                    let set = |config: &mut _| pair.set(config);
                    cells.push(spot.cell(pair.to_string(), Goal::Distill, Some(teacher.clone()), set)?);
                }
            }
        }
        Ok(cells)
    }
}
