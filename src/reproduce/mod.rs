//! Grids of runs: which cells there are, running those that are not done, and the tables and studies made of them.

mod batch_sizes;
mod cell;
mod compression;
mod constraints;
mod error;
mod grid;
mod output;
mod pair;
mod rows;
mod scope;
mod study;
mod survey;

pub use batch_sizes::{BatchSizes, Studied};
pub use cell::{Attempt, Cell, Device, Origin, State};
pub use compression::Compression;
pub use constraints::Constraints;
pub use error::ReproduceError;
pub use grid::{Grid, Networks};
pub use output::Output;
pub use pair::Pair;
pub use rows::rows;
pub use scope::Scope;
pub use study::Study;
pub use survey::{Outcome, Survey};

use crate::pipeline::Watch;

/// Who watches a grid.
pub trait Observe: Watch {
    /// A cell begins, the `place`-th of all `cells` from 0.
    fn cell(&mut self, place: usize, cells: &[Cell]);

    /// Other processes have all the cells that are left, `left` of them; said each time that they are looked at.
    fn waits(&mut self, left: usize);

    /// Whether to stop before the next cell.
    fn stopped(&self) -> bool;
}
