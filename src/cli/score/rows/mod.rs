//! Results of `score`, a row for each picture, in a format for each kind of reader. It knows scores and decisions, no pictures.
//!
//! The formats have files of their own. Those of data frames gather rows into a [`batch::Batch`].

mod arrow;
mod batch;
mod csv;
mod jsonl;
mod parquet;

use std::io::{self, Write};

use clap::ValueEnum;
use pkdgan::scoring::PictureBox;
use serde::Serialize;

use crate::cli::verdict::Decision;

/// How results are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Comma-separated values below a header
    Csv,
    /// A JSON object a line
    Jsonl,
    /// A Parquet file, packed by Snappy
    Parquet,
    /// Arrow IPC: a file (Feather) with --output FILE, else a stream
    Arrow,
}

impl Format {
    /// Whether it is nothing for a terminal.
    pub(super) fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }
}

/// A picture with its score, or why there is none.
pub(super) struct Row<'a> {
    pub path: &'a str,
    pub result: Result<(f32, Decision), &'a str>,
    /// The parts that stand out, where they are asked for.
    pub boxes: Option<&'a [PictureBox]>,
}

/// A picture with its score, as formats of text write it.
#[derive(Serialize)]
struct Scored<'a, B> {
    path: &'a str,
    score: f32,
    p_value: Option<f64>,
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boxes: Option<B>,
}

impl<'a, B> Scored<'a, B> {
    fn new(path: &'a str, score: f32, decision: Decision, boxes: Option<B>) -> Self {
        Self { path, score, p_value: decision.p_value, verdict: decision.verdict(), boxes }
    }
}

/// Boxes as rows of numbers: left, top, right, bottom, peak.
fn numbers(boxes: &[PictureBox]) -> Vec<(u32, u32, u32, u32, f32)> {
    boxes.iter().map(|one| (one.left, one.top, one.right, one.bottom, one.peak)).collect()
}

/// [`numbers`] as JSON, for formats that have no lists.
fn text(boxes: &[PictureBox]) -> String {
    serde_json::to_string(&numbers(boxes)).unwrap_or_default()
}

/// Writes results.
pub(super) trait Rows {
    /// One more.
    fn add(&mut self, row: &Row) -> io::Result<()>;

    /// Lets whoever reads have what there is, where the format has it before its end.
    fn flush(&mut self) -> io::Result<()>;

    /// There are no more.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// What a file of results says of all rows.
pub(super) type Notes = Vec<(String, String)>;

/// Begins results: with the header, where there is one. `whole` is a file that nobody reads before it is done. `notes` stand in
/// the formats that have a place for them. With `boxes` there is a column for those.
pub(super) fn rows<'a>(
    format: Format,
    out: &'a mut dyn Write,
    whole: bool,
    boxes: bool,
    notes: Notes,
) -> io::Result<Box<dyn Rows + 'a>> {
    Ok(match format {
        Format::Csv => Box::new(csv::Csv::new(out, boxes)?),
        Format::Jsonl => Box::new(jsonl::Jsonl::new(out)),
        Format::Parquet => Box::new(parquet::Parquet::new(out, boxes, notes)?),
        Format::Arrow => Box::new(arrow::Arrow::new(out, whole, boxes, notes)?),
    })
}
