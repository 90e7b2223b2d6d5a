//! `report.html`: one page that shows a run, or compares several, to a person. It holds all it shows, needs no network,
//! and follows the reader's light or dark theme.

mod charts;
mod error;
mod figures;
mod gallery;
mod page;
mod painted;
mod parts;
mod pictures;
mod tables;
mod training_curves;
mod view;

pub use error::ReportError;
pub use gallery::Gallery;
pub use page::{comparison, page};
pub use view::{RunView, open_done};

use crate::engine::{EngineError, Executor};

/// Opens a device anew.
type Open<'a> = dyn Fn() -> Result<Box<dyn Executor>, EngineError> + 'a;
