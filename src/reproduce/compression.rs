//! The cells of the study of the student's size.

use super::{Cell, Origin, Pair, Scope};
use crate::config::{Config, ConfigError, Goal};

/// Students of several widths, alone and by distillation from the same teachers.
#[derive(Debug, Clone, PartialEq)]
pub struct Compression {
    /// Channels of the student's encoder, in shares of those of the settings.
    pub widths: Vec<f64>,
}

impl Compression {
    /// The cells, each after the one whose teacher it starts from. Those of width 1 are those of a grid.
    ///
    /// # Errors
    /// Settings that are out of range.
    pub fn cells(&self, scope: &Scope) -> Result<Vec<Cell>, ConfigError> {
        let mut cells = Vec::new();
        for spot in scope.spots() {
            cells.push(spot.cell("teacher", Goal::Teacher, None, |_| Ok(()))?);
            let teacher = Origin::Teacher(spot.folder("teacher"));
            let distilled = Pair::of(spot.config()).to_string();
            for &width in &self.widths {
                let name = |name: &str| if width == 1.0 { name.into() } else { format!("{name}-width-{width}") };
                let set = |config: &mut Config| {
                    set_width(config, width);
                    Ok(())
                };
                cells.push(spot.cell(name("alone"), Goal::Student, None, set)?);
                cells.push(spot.cell(name(&distilled), Goal::Distill, Some(teacher.clone()), set)?);
            }
        }
        Ok(cells)
    }
}

fn set_width(config: &mut Config, width: f64) {
    for [channels, ..] in &mut config.student.encoder {
        *channels = ((*channels as f64 * width).round() as usize).max(1);
    }
}
