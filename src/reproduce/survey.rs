//! Runs the cells of a grid that are not done, and says how far each is.

use super::{Cell, Device, Observe, Output, ReproduceError, State};
use crate::engine::EngineError;
use crate::results::Rows;

/// Cells, and how far each is.
#[derive(Debug)]
pub struct Survey {
    cells: Vec<Cell>,
    done: Vec<bool>,
}

/// How running a grid ended.
#[derive(Debug)]
pub enum Outcome {
    /// Every cell is done; the rows of the folder of results.
    Finished(Rows),
    /// Asked to stop, with so many cells done.
    Stopped(usize),
}

impl Survey {
    /// Looks at the folder of every cell.
    ///
    /// # Errors
    /// Those of [`Cell::state`].
    pub fn new(cells: Vec<Cell>) -> Result<Self, ReproduceError> {
        let done = cells.iter().map(|cell| Ok(cell.state()? == State::Done)).collect::<Result<_, ReproduceError>>()?;
        Ok(Self { cells, done })
    }

    /// All cells.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Those that are not done.
    pub fn left(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().zip(&self.done).filter(|(_, done)| !**done).map(|(cell, _)| cell)
    }

    /// Runs the cells that are not done, one after the other, and writes the results after each. `device` is asked for
    /// only if there are such cells.
    ///
    /// # Errors
    /// Those of [`Cell::run`] and [`Output::write`]; cells that were done stay.
    pub fn run<'a>(
        &self,
        output: &mut Output,
        device: impl FnOnce() -> Result<Device<'a>, EngineError>,
        watch: &mut dyn Observe,
    ) -> Result<Outcome, ReproduceError> {
        for (cell, _) in self.cells.iter().zip(&self.done).filter(|(_, done)| **done) {
            output.add(cell, &cell.report()?);
        }
        if self.left().next().is_none() {
            return Ok(Outcome::Finished(output.write()?));
        }
        let device = device()?;
        let taken = self.cells.len() - self.left().count();
        let left = self.cells.iter().enumerate().filter(|(place, _)| !self.done[*place]);
        for (count, (place, cell)) in (taken..).zip(left) {
            if watch.stopped() {
                return Ok(Outcome::Stopped(count));
            }
            watch.cell(place, &self.cells);
            let Some(report) = cell.run(&device, watch)? else { return Ok(Outcome::Stopped(count)) };
            output.add(cell, &report);
            output.write()?;
        }
        Ok(Outcome::Finished(output.write()?))
    }
}
