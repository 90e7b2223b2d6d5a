//! Studies: what the batch size does, the score, the structures of distillation, the student's size, and the constraint on
//! latent vectors.

use std::path::Path;

use super::ResultsError;
use super::csv::write_csv;
use super::text::write_text;

mod batch_size;
mod compression;
mod constraint;
mod score;
mod structures;

pub use batch_size::{BatchSizeStudy, Budget};
pub use compression::CompressionStudy;
pub use constraint::ConstraintStudy;
pub use score::ScoreStudy;
pub use structures::StructureStudy;

/// Writes the three files of a study: page, plot and figures.
fn write(
    folder: &Path,
    name: &str,
    page: &str,
    plot: &str,
    header: &[&str],
    records: &[Vec<String>],
) -> Result<(), ResultsError> {
    let path = |ending: &str| folder.join(format!("{name}.{ending}"));
    write_text(&path("md"), page)?;
    write_text(&path("svg"), plot)?;
    write_csv(&path("csv"), header, records)
}
