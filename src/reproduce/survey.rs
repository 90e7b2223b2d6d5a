//! Runs the cells of a grid that are not done, and says how far each is. Several processes may do so at once.

use std::collections::VecDeque;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use super::cell::Attempt;
use super::{Cell, Device, Observe, Origin, Output, ReproduceError, State};
use crate::engine::EngineError;
use crate::results::Rows;
use crate::run::Report;

/// How long to wait where other processes have all cells that are left, before looking again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Cells, and how far each is.
#[derive(Debug)]
pub struct Survey {
    cells: Vec<Cell>,
    done: Vec<bool>,
    since: SystemTime,
}

/// How running a grid ended.
#[derive(Debug)]
pub enum Outcome {
    /// Every cell is done; the rows of the folder of results.
    Finished(Rows),
    /// Asked to stop, with so many cells done.
    Stopped(usize),
    /// Every other cell is done. The numbers of these became infinite or not a number.
    Failed(Vec<ReproduceError>),
}

/// What there is to do about a cell.
enum Next {
    /// Its figures go to the results.
    Take(Box<Report>),
    /// It is trained.
    Run,
    /// It is looked at again: another process has it, or the cell that it goes on from.
    Wait,
    /// It cannot be had.
    GiveUp(ReproduceError),
}

impl Survey {
    /// Looks at the folder of every cell. One that failed before `since` is to be tried again.
    ///
    /// # Errors
    /// Those of [`Cell::state`].
    pub fn new(cells: Vec<Cell>, since: SystemTime) -> Result<Self, ReproduceError> {
        let done = cells.iter().map(|cell| Ok(cell.state()? == State::Done)).collect::<Result<_, ReproduceError>>()?;
        Ok(Self { cells, done, since })
    }

    /// All cells.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Those that are not done.
    pub fn left(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().zip(&self.done).filter(|(_, done)| !**done).map(|(cell, _)| cell)
    }

    /// Runs the cells that are not done, one after the other, and writes the results after each. Cells that another
    /// process has are passed over and looked at again; so are those whose origin is not there yet. `device` is asked
    /// for only if there are cells to run.
    ///
    /// # Errors
    /// Those of [`Cell::run`] and [`Output::write`], but for cells whose numbers are at fault; cells that were done stay.
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
        let mut left: VecDeque<usize> = (0..self.cells.len()).filter(|place| !self.done[*place]).collect();
        let mut done = self.cells.len() - left.len();
        let mut failed: Vec<(&Path, ReproduceError)> = Vec::new();
        // Cells in a row that there was nothing to do about.
        let mut passed = 0;
        while let Some(place) = left.pop_front() {
            if watch.stopped() {
                return Ok(Outcome::Stopped(done));
            }
            if passed > left.len() {
                watch.waits(left.len() + 1);
                sleep(LOOK_AGAIN);
                passed = 0;
            }
            let cell = &self.cells[place];
            let next = match self.next(cell, &failed)? {
                Next::Run => {
                    watch.cell(place, &self.cells);
                    match cell.run(&device, watch) {
                        Ok(Attempt::Done(report)) => Next::Take(report),
                        Ok(Attempt::Held) => Next::Wait,
                        Ok(Attempt::Stopped) => return Ok(Outcome::Stopped(done)),
                        Err(why @ ReproduceError::Diverged { .. }) => Next::GiveUp(why),
                        Err(error) => return Err(error),
                    }
                }
                next => next,
            };
            match next {
                Next::Take(report) => {
                    output.add(cell, &report);
                    output.write()?;
                    done += 1;
                    passed = 0;
                }
                Next::GiveUp(why) => failed.push((&cell.folder, why)),
                Next::Run | Next::Wait => {
                    left.push_back(place);
                    passed += 1;
                }
            }
        }
        let rows = output.write()?;
        Ok(if failed.is_empty() {
            Outcome::Finished(rows)
        } else {
            Outcome::Failed(failed.into_iter().map(|(_, why)| why).collect())
        })
    }

    /// What there is to do about a cell.
    fn next(&self, cell: &Cell, failed: &[(&Path, ReproduceError)]) -> Result<Next, ReproduceError> {
        let title = || cell.title();
        match cell.state()? {
            State::Done => return Ok(Next::Take(Box::new(cell.report()?))),
            State::Running => return Ok(Next::Wait),
            State::Failed { why, at } if at >= self.since => {
                return Ok(Next::GiveUp(ReproduceError::Failed { cell: title(), why }));
            }
            State::New | State::Begun | State::Failed { .. } => {}
        }
        let Some(folder) = cell.origin.as_ref().map(Origin::folder) else { return Ok(Next::Run) };
        let Some(origin) = self.cells.iter().find(|cell| cell.folder == folder) else { return Ok(Next::Run) };
        // What failed here is known without a look at clocks, which those of file systems lag behind.
        let failed = failed.iter().any(|(found, _)| *found == folder);
        Ok(match origin.state()? {
            State::Done => Next::Run,
            State::Failed { at, .. } if failed || at >= self.since => {
                Next::GiveUp(ReproduceError::NoOrigin { cell: title() })
            }
            _ => Next::Wait,
        })
    }
}
