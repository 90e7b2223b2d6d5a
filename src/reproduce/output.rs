//! The folder of results: rows, tables, studies. Their text is `results/`'s.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Cell, ReproduceError, rows};
use crate::results::{Baselines, BatchSizeStudy, Budget, ResultsError, Row, Rows, ScoreStudy, Table};
use crate::run::{Lock, Report, RunError};

/// The folder of results: rows, table and studies of the cells that are done.
#[derive(Debug)]
pub struct Output {
    folder: PathBuf,
    rows: Vec<Row>,
    batch_sizes: Option<(Budget, String)>,
}

impl Output {
    /// Makes the folder if need be. `batch_sizes` are the budget of a study of batch sizes, and a note for its reader.
    ///
    /// # Errors
    /// A folder that cannot be made, and rows in it that cannot be read.
    pub fn open(folder: &Path, batch_sizes: Option<(Budget, String)>) -> Result<Self, ReproduceError> {
        fs::create_dir_all(folder).map_err(|source| RunError::Folder { path: folder.to_owned(), source })?;
        let output = Self { folder: folder.to_owned(), rows: Vec::new(), batch_sizes };
        output.resume()?;
        Ok(output)
    }

    /// Adds the rows of a cell that is done.
    pub fn add(&mut self, cell: &Cell, report: &Report) {
        self.rows.extend(rows(cell, report));
    }

    /// Writes `runs.csv`, with the rows that are in it already and those added in place of equal ones, and what follows
    /// from it: `table.md`, `table.csv`, the study of the score, and that of batch sizes where it is asked for.
    ///
    /// # Errors
    /// Rows that cannot be read or kept, a plot that cannot be drawn, and files that cannot be written.
    pub fn write(&self) -> Result<Rows, ReproduceError> {
        // Processes that share the folder add to it in turn.
        let _turn = Lock::wait(&self.folder)?;
        let mut rows = self.resume()?;
        self.rows.iter().try_for_each(|row| rows.insert(row.clone()))?;
        rows.write(&self.runs())?;
        Table::new(&rows).with_baselines(&self.baselines()?).write(&self.folder)?;
        ScoreStudy::new(&rows).write(&self.folder)?;
        if let Some(study) = self.batch_size_study(&rows) {
            study.write(&self.folder)?;
        }
        Ok(rows)
    }

    /// The study of batch sizes, where it is asked for.
    pub fn batch_size_study<'a>(&self, rows: &'a Rows) -> Option<BatchSizeStudy<'a>> {
        let (budget, note) = self.batch_sizes.as_ref()?;
        Some(BatchSizeStudy::new(rows, *budget).with_note(note))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The simple detectors to stand beside: `baselines.csv` beside the folder, where there is one.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn baselines(&self) -> Result<Baselines, ResultsError> {
        Baselines::read(&self.folder.with_file_name("baselines.csv"))
    }

    fn resume(&self) -> Result<Rows, ResultsError> {
        Rows::resume(&self.runs())
    }

    fn runs(&self) -> PathBuf {
        self.folder.join("runs.csv")
    }
}
