//! What a grid is run for, beside its table and the study of the score.

use std::path::Path;

use crate::results::{
    BatchSizeStudy, Budget, CompressionStudy, ConstraintStudy, ResultsError, Rows, StructureStudy, Study as _,
};

/// A study that has a page of its own.
#[derive(Debug, Clone, PartialEq)]
pub enum Study {
    /// Of the batch size.
    BatchSize {
        /// What is held equal.
        budget: Budget,
    },
    /// Of the structures of distillation.
    Structures,
    /// Of the student's size.
    Compression,
    /// Of what holds latent vectors.
    Constraint,
}

impl Study {
    /// The page, for a reader.
    pub fn markdown(&self, rows: &Rows) -> String {
        match self {
            Self::BatchSize { budget } => BatchSizeStudy::new(rows, *budget).markdown(),
            Self::Structures => StructureStudy::new(rows).markdown(),
            Self::Compression => CompressionStudy::new(rows).markdown(),
            Self::Constraint => ConstraintStudy::new(rows).markdown(),
        }
    }

    /// Writes page, figures and plot.
    ///
    /// # Errors
    /// A plot that cannot be drawn, and a file that cannot be written.
    pub fn write(&self, rows: &Rows, folder: &Path) -> Result<(), ResultsError> {
        match self {
            Self::BatchSize { budget } => BatchSizeStudy::new(rows, *budget).write(folder),
            Self::Structures => StructureStudy::new(rows).write(folder),
            Self::Compression => CompressionStudy::new(rows).write(folder),
            Self::Constraint => ConstraintStudy::new(rows).write(folder),
        }
    }
}
