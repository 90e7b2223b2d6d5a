//! What can go wrong while a grid is run.

use std::path::PathBuf;

use thiserror::Error;

use crate::config::ConfigError;
use crate::engine::EngineError;
use crate::report::ReportError;
use crate::results::ResultsError;
use crate::run::RunError;

/// Why a grid could not be run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReproduceError {
    /// The folder of a cell holds a run with other settings.
    #[error(
        "{}: holds another run: {difference}; keep this grid's runs elsewhere with --runs DIR, or remove that folder",
        folder.display()
    )]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// The first setting that differs.
        difference: String,
    },
    /// A loss or a weight of a cell left the numbers.
    #[error("{cell}: {what} became {value} at step {step}; lower the stage's learning_rate with --set, and remove {}",
        folder.display()
    )]
    Diverged {
        /// What the cell is called.
        cell: String,
        /// The loss, or the tensor.
        what: String,
        /// Its value, infinite or not a number.
        value: f32,
        /// Step, counted from 1.
        step: usize,
        /// The cell's folder.
        folder: PathBuf,
    },
    /// The same, as another process found.
    #[error("{cell}: {why}")]
    Failed {
        /// What the cell is called.
        cell: String,
        /// What became infinite or not a number, and when.
        why: String,
    },
    /// The cell that trains what this one starts from failed.
    #[error("{cell}: the network that it starts from failed")]
    NoOrigin {
        /// What the cell is called.
        cell: String,
    },
    /// A cell could not be trained or evaluated.
    #[error("{cell}: {source}")]
    Cell {
        /// What it is called.
        cell: String,
        /// The failure itself.
        source: ReportError,
    },
    /// Data sets whose recipes have budgets of their own in a study that holds one budget equal.
    #[error("the data sets have different budgets; name one for all with --images-seen N and --equal-steps N")]
    Budgets,
    /// The device cannot be opened.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Settings that cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file of a run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The results failed.
    #[error(transparent)]
    Results(#[from] ResultsError),
}
