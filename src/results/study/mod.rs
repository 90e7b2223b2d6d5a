//! Studies: what the batch size does, the score, the structures of distillation, the student's size, and the constraint on
//! latent vectors.

use std::path::Path;

use super::csv::write_csv;
use super::text::write_text;
use super::{Panel, ResultsError, svg};

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

/// What some rows say of a question: a page with a plot, and the figures.
pub trait Study {
    /// What its files are called.
    const NAME: &'static str;
    /// Names of the columns of its figures.
    const HEADER: &'static [&'static str];

    /// The page, for a reader.
    fn markdown(&self) -> String;

    /// The plot.
    fn panels(&self) -> Vec<Panel>;

    /// The figures, AUROC in percent.
    fn records(&self) -> Vec<Vec<String>>;

    /// The plot, as an SVG document.
    ///
    /// # Errors
    /// A plot that cannot be drawn.
    fn svg(&self) -> Result<String, ResultsError> {
        svg(&self.panels())
    }

    /// Writes page, plot and figures: `NAME.md`, `NAME.svg` and `NAME.csv`.
    ///
    /// # Errors
    /// A plot that cannot be drawn, and a file that cannot be written.
    fn write(&self, folder: &Path) -> Result<(), ResultsError> {
        let path = |ending: &str| folder.join(format!("{}.{ending}", Self::NAME));
        write_text(&path("md"), &self.markdown())?;
        write_text(&path("svg"), &self.svg()?)?;
        write_csv(&path("csv"), Self::HEADER, &self.records())
    }
}
