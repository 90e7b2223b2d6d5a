//! `report.html`: one page that shows a run, compares several, or shows what was found among new pictures, to a person. It holds all it shows, needs no network,
//! and follows the reader's light or dark theme.

mod charts;
mod error;
mod figures;
mod gallery;
mod page;
mod painted;
mod parts;
mod pictures;
mod scored;
mod tables;
mod training_curves;
mod view;

pub use error::ReportError;
pub use gallery::Gallery;
pub use page::{comparison, page};
pub use scored::{RankedPicture, ScoredPictures};
pub use view::{RunView, open_done};

use crate::engine::{EngineError, Executor};

/// Opens a device anew.
type Open<'a> = dyn Fn() -> Result<Box<dyn Executor>, EngineError> + 'a;
