//! Figures of many trained networks: the file they are kept in, the tables and plots made of them, and the papers'
//! figures to stand beside. Knows nothing of training.

mod baselines;
mod classes;
mod columns;
mod csv;
mod error;
mod plot;
mod published;
mod rows;
mod stats;
mod study;
mod table;
mod text;

pub use baselines::Baselines;
pub use classes::class_names;
pub use error::ResultsError;
pub use plot::{Panel, Point, Series, svg};
pub use published::{PUBLISHED, Published, published};
pub use rows::{Key, NETWORKS, Row, Rows};
pub use stats::{Gain, Summary};
pub use study::{BatchSizeStudy, Budget, CompressionStudy, ConstraintStudy, ScoreStudy, StructureStudy, Study};
pub use table::Table;
pub(crate) use text::grouped;
