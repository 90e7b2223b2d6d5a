//! `scores.csv`: the score of every test image.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{RunError, write_whole};
use crate::files::{lines, text_of};

/// Longest file that is read, in bytes: the rows of some million images.
const MAX_BYTES: u64 = 1 << 28;

const HEADER: [&str; 4] = ["index", "label", "score", "p_value"];
const PICTURE_HEADER: [&str; 4] = ["path", "label", "score", "p_value"];
/// Columns of files of earlier versions, which have no p-values.
const BEFORE_P_VALUES: usize = 3;

/// The score of one image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Place of the image in its file, from 0.
    pub index: u32,
    /// Class of the image.
    pub label: u8,
    /// Distance of its two latent vectors; higher means more anomalous.
    pub score: f32,
    /// Share of normal images that score at least as high, by those held out of training; absent without any, and in files
    /// of earlier versions.
    #[serde(default)]
    pub p_value: Option<f64>,
}

/// What is read back of a row of [`write_picture_scores`].
#[derive(Deserialize)]
struct PictureScore {
    label: u8,
    score: f32,
    #[serde(default)]
    p_value: Option<f64>,
}

/// Writes `scores` whole, one row each below a header. Every score reads back as the same number.
///
/// # Errors
/// A file that cannot be written.
pub fn write_scores(path: &Path, scores: &[Score]) -> Result<(), RunError> {
    Ok(write_whole(path, |out| score_rows(out, scores))?)
}

/// The rows of [`write_scores`].
///
/// # Errors
/// Failures of the output.
pub fn score_rows(out: &mut dyn io::Write, scores: &[Score]) -> io::Result<()> {
    let mut rows = csv::WriterBuilder::new().has_headers(false).from_writer(out);
    rows.write_record(HEADER)?;
    scores.iter().try_for_each(|score| rows.serialize(score))?;
    rows.flush()
}

/// Writes the scores of own pictures whole, one row each below the header `path,label,score,p_value`: where the picture
/// lies, 0 for a normal and 1 for an anomalous one, the score, and its p-value if there is one. `paths` go by the index of a score.
///
/// # Errors
/// A file that cannot be written.
pub fn write_picture_scores(path: &Path, scores: &[Score], paths: &[PathBuf]) -> Result<(), RunError> {
    Ok(write_whole(path, |out| picture_score_rows(out, scores, paths))?)
}

/// The rows of [`write_picture_scores`].
///
/// # Errors
/// Failures of the output.
pub fn picture_score_rows(out: &mut dyn io::Write, scores: &[Score], paths: &[PathBuf]) -> io::Result<()> {
    let mut rows = csv::WriterBuilder::new().has_headers(false).from_writer(out);
    rows.write_record(PICTURE_HEADER)?;
    for score in scores {
        let picture = paths.get(score.index as usize).map(|path| text_of(path)).unwrap_or_default();
        rows.serialize((picture, score.label, score.score, score.p_value))?;
    }
    rows.flush()
}

/// Reads what [`write_scores`] or [`write_picture_scores`] wrote; a picture's index is its place in the file.
///
/// # Errors
/// A file that cannot be read, has another header, or a row that is no score; the line is named.
pub fn read_scores(path: &Path) -> Result<Vec<Score>, RunError> {
    let failed = |error: csv::Error| {
        let message = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(source) => RunError::Read { path: path.to_owned(), source },
            _ => RunError::Damaged { path: path.to_owned(), message },
        }
    };
    let file = File::open(path).map_err(|source| RunError::Read { path: path.to_owned(), source })?;
    let mut rows = csv::Reader::from_reader(lines(file, MAX_BYTES));
    let header = rows.headers().map_err(failed)?;
    let is = |known: &[&str]| header == known || header == known[..BEFORE_P_VALUES];
    if is(&PICTURE_HEADER) {
        let rows = rows.deserialize::<PictureScore>().zip(0..);
        let score = |(row, index): (Result<PictureScore, csv::Error>, u32)| {
            row.map(|PictureScore { label, score, p_value }| Score { index, label, score, p_value }).map_err(failed)
        };
        return rows.map(score).collect();
    }
    if !is(&HEADER) {
        let message = format!("line 1: the header is not {}", HEADER.join(","));
        return Err(RunError::Damaged { path: path.to_owned(), message });
    }
    rows.deserialize().map(|row| row.map_err(failed)).collect()
}
