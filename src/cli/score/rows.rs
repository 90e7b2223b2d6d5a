//! Results of `score` as CSV or JSON lines. It knows scores and decisions, no pictures.

use std::io::{self, BufWriter, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::verdict::Decision;

/// How results are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Comma-separated values below a header
    Csv,
    /// A JSON object a line
    Jsonl,
}

/// Writes results, a row each.
pub(super) enum Rows<'a> {
    Csv(Box<csv::Writer<&'a mut dyn Write>>),
    Jsonl(BufWriter<&'a mut dyn Write>),
}

#[derive(Serialize)]
struct Scored<'a> {
    path: &'a str,
    score: f32,
    p_value: Option<f64>,
    verdict: Option<&'static str>,
}

#[derive(Serialize)]
struct Failed<'a> {
    path: &'a str,
    error: &'a str,
}

impl<'a> Rows<'a> {
    /// Begins with the header, where there is one.
    pub(super) fn new(format: Format, out: &'a mut dyn Write) -> io::Result<Self> {
        match format {
            Format::Csv => {
                let mut rows = csv::WriterBuilder::new().has_headers(false).from_writer(out);
                rows.write_record(["path", "score", "p_value", "verdict"]).map_err(plain)?;
                Ok(Self::Csv(Box::new(rows)))
            }
            Format::Jsonl => Ok(Self::Jsonl(BufWriter::new(out))),
        }
    }

    /// A picture with its score.
    pub(super) fn scored(&mut self, path: &str, score: f32, decision: Decision) -> io::Result<()> {
        let row = Scored { path, score, p_value: decision.p_value, verdict: decision.verdict() };
        match self {
            Self::Csv(rows) => rows.serialize(row).map_err(plain),
            Self::Jsonl(out) => line(out, &row),
        }
    }

    /// A picture without one: a row in JSON only, where it cannot be taken for a score.
    pub(super) fn failed(&mut self, path: &str, error: &str) -> io::Result<()> {
        match self {
            Self::Csv(_) => Ok(()),
            Self::Jsonl(out) => line(out, &Failed { path, error }),
        }
    }

    /// Lets whoever reads have what there is.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Csv(rows) => rows.flush(),
            Self::Jsonl(out) => out.flush(),
        }
    }
}

fn line(out: &mut impl Write, row: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, row)?;
    out.write_all(b"\n")
}

/// The failure of the output itself, by which a closed one can be told.
fn plain(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}
