//! The folder of results: rows, tables, studies. Their text is `results/`'s.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Cell, ReproduceError, Study, rows};
use crate::results::{Baselines, ResultsError, Row, Rows, ScoreStudy, Study as _, Table};
use crate::run::{Lock, Report, RunError};

/// The folder of results: rows, table and studies of the cells that are done.
#[derive(Debug)]
pub struct Output {
    folder: PathBuf,
    rows: Vec<Row>,
    study: Option<Study>,
}

impl Output {
    /// Makes the folder if need be. A `study` gets its page there.
    ///
    /// # Errors
    /// A folder that cannot be made, and rows in it that cannot be read.
    pub fn open(folder: &Path, study: Option<Study>) -> Result<Self, ReproduceError> {
        fs::create_dir_all(folder).map_err(|source| RunError::Folder { path: folder.to_owned(), source })?;
        let output = Self { folder: folder.to_owned(), rows: Vec::new(), study };
        output.resume()?;
        Ok(output)
    }

    /// Adds the rows of a cell that is done.
    pub fn add(&mut self, cell: &Cell, report: &Report) {
        self.rows.extend(rows(cell, report));
    }

    /// Writes `runs.csv`, with the rows that are in it already and those added in place of equal ones, and what follows
    /// from it: `table.md`, `table.csv`, the study of the score, and the one that is asked for.
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
        if let Some(study) = &self.study {
            study.write(&rows, &self.folder)?;
        }
        Ok(rows)
    }

    /// The study that is asked for.
    pub fn study(&self) -> Option<&Study> {
        self.study.as_ref()
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
