//! Rows of `watch`: those of `score`, with a column for why there is no score, and two that say which picture of that name it
//! was. The file of rows is the memory of what is done: it is read when a watch begins, and a row that was cut short goes.

use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use pkdgan::unstable::run::{Appended, WriteError};
use serde::{Deserialize, Serialize};

use super::known::Stamp;
use crate::cli::verdict::Decision;

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Comma-separated values below a header
    Csv,
    /// A JSON object a line
    Jsonl,
}

/// The columns.
const COLUMNS: [&str; 7] = ["path", "score", "p_value", "verdict", "error", "size", "modified"];
/// Longest row, in bytes: two long paths and some.
const MAX_ROW: usize = 1 << 20;

/// A picture with its score, or why there is none.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub path: String,
    pub score: Option<f32>,
    pub p_value: Option<f64>,
    verdict: Option<String>,
    error: Option<String>,
    size: u64,
    modified: String,
}

impl Row {
    pub(super) fn new(path: String, stamp: Stamp, result: Result<(f32, Decision), String>) -> Self {
        let (size, modified) = (stamp.size, stamp.modified());
        let (score, decision, error) = match result {
            Ok((score, decision)) => (Some(score), Some(decision), None),
            Err(error) => (None, None, Some(error)),
        };
        let verdict = decision.and_then(Decision::verdict).map(str::to_owned);
        Self { path, score, p_value: decision.and_then(|decision| decision.p_value), verdict, error, size, modified }
    }

    /// Which picture of this name it was.
    fn stamp(&self) -> Option<Stamp> {
        Stamp::read(self.size, &self.modified)
    }
}

/// Why no rows can be added to a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowsError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("{}: cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "{}, line {line}: {problem}, so these are no rows of `pkdgan watch` in this --format; name another --output",
        path.display()
    )]
    Foreign { path: PathBuf, line: u64, problem: String },
    #[error(
        "{}: the row of {row} is of another folder; name the folder as before, or another --output", path.display()
    )]
    Folder { path: PathBuf, row: String },
    #[error("{}: the row of {row} is of a model with another calibration; name another --output", path.display())]
    Model { path: PathBuf, row: String },
    #[error("standard output cannot be written: {0}")]
    Standard(io::Error),
}

impl RowsError {
    /// Whether whoever read the rows has enough of them.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Standard(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Where rows go.
enum Out {
    File(Appended),
    Standard,
}

/// Writes rows.
pub(super) struct Rows {
    out: Out,
    format: Format,
    /// Rows that are still to be written.
    waiting: Vec<u8>,
}

impl Rows {
    /// Adds to a file, or writes to standard output.
    pub(super) fn open(path: Option<&Path>, format: Format) -> Result<Self, RowsError> {
        let out = path.map_or(Ok(Out::Standard), |path| Appended::open(path).map(Out::File))?;
        Ok(Self { out, format, waiting: Vec::new() })
    }

    /// Passes on the rows that are there, in order. Then cuts off a row that was not written to its end, and begins a file that
    /// is new. Whether there was such a row.
    pub(super) fn recall(
        &mut self,
        mut each: impl FnMut(Row, Stamp) -> Result<(), RowsError>,
    ) -> Result<bool, RowsError> {
        let mut torn = false;
        let mut whole = 0;
        if let Out::File(file) = &self.out {
            let path = file.path();
            let read = |source| RowsError::Read { path: path.to_owned(), source };
            let foreign = |line, problem| RowsError::Foreign { path: path.to_owned(), line, problem };
            let mut rest = Vec::new();
            whole =
                whole_rows(&mut file.contents().map_err(read)?, self.format == Format::Csv, &mut rest).map_err(read)?;
            // What is cut off must be ours.
            let begins = match (self.format, whole) {
                (Format::Csv, 0) => header().map_err(read)?,
                (Format::Csv, _) => Vec::new(),
                (Format::Jsonl, _) => b"{\"path\":".to_vec(),
            };
            let common = begins.len().min(rest.len());
            if rest[..common] != begins[..common] {
                return Err(foreign(1, "it ends in what is no row".into()));
            }
            let mut each = |row: Row, line| match row.stamp() {
                Some(stamp) => each(row, stamp),
                None => Err(foreign(line, format!("`{}` is no time", row.modified))),
            };
            let rows = file.contents().map_err(read)?.take(whole);
            match self.format {
                Format::Csv => {
                    let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(rows);
                    let mut record = csv::StringRecord::new();
                    let mut is_header = true;
                    while rows.read_record(&mut record).map_err(|error| foreign(line_of(&error), error.to_string()))? {
                        let line = record.position().map_or(0, csv::Position::line);
                        match is_header {
                            true if record != COLUMNS[..] => return Err(foreign(1, "the columns are others".into())),
                            true => is_header = false,
                            false => {
                                let row = record.deserialize(None).map_err(|error| foreign(line, error.to_string()))?;
                                each(row, line)?;
                            }
                        }
                    }
                }
                Format::Jsonl => {
                    for (line, row) in (1..).zip(rows.lines()) {
                        let row = serde_json::from_str(&row.map_err(read)?);
                        each(row.map_err(|error| foreign(line, error.to_string()))?, line)?;
                    }
                }
            }
            torn = !rest.is_empty();
            if torn {
                file.cut(whole)?;
            }
        }
        if whole == 0 && self.format == Format::Csv {
            self.waiting = header().map_err(RowsError::Standard)?;
            self.flush()?;
        }
        Ok(torn)
    }

    /// One more row; it is written with the next [`Rows::flush`].
    pub(super) fn add(&mut self, row: &Row) -> Result<(), RowsError> {
        let added = match self.format {
            Format::Csv => {
                let mut rows = csv::WriterBuilder::new().has_headers(false).from_writer(&mut self.waiting);
                rows.serialize(row).map_err(io::Error::other).and_then(|()| rows.flush())
            }
            Format::Jsonl => serde_json::to_writer(&mut self.waiting, row)
                .map_err(io::Error::from)
                .map(|()| self.waiting.push(b'\n')),
        };
        added.map_err(RowsError::Standard)
    }

    /// Writes the rows that wait.
    pub(super) fn flush(&mut self) -> Result<(), RowsError> {
        if !self.waiting.is_empty() {
            match &mut self.out {
                Out::File(file) => file.add(&self.waiting)?,
                Out::Standard => {
                    let mut out = io::stdout().lock();
                    out.write_all(&self.waiting).and_then(|()| out.flush()).map_err(RowsError::Standard)?;
                }
            }
            self.waiting.clear();
        }
        Ok(())
    }
}

fn header() -> io::Result<Vec<u8>> {
    let mut header = csv::Writer::from_writer(Vec::new());
    header.write_record(COLUMNS)?;
    header.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

fn line_of(error: &csv::Error) -> u64 {
    error.position().map_or(0, csv::Position::line)
}

/// The bytes of the rows that end. What comes behind them is put into `rest`. A line break in quotes ends no row.
fn whole_rows(rows: &mut impl BufRead, quoted: bool, rest: &mut Vec<u8>) -> io::Result<u64> {
    let (mut whole, mut inside) = (0, false);
    loop {
        let read = rows.fill_buf()?;
        if read.is_empty() {
            return Ok(whole);
        }
        for line in read.split_inclusive(|&byte| byte == b'\n') {
            rest.extend_from_slice(line);
            if rest.len() > MAX_ROW {
                let problem = format!("byte {whole}: a row of more than {MAX_ROW} bytes, so these are no rows");
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
            }
            // Quotes within quotes are doubled, so that they change nothing.
            inside ^= quoted && line.iter().filter(|&&byte| byte == b'"').count() % 2 == 1;
            if !inside && line.ends_with(b"\n") {
                whole += rest.len() as u64;
                rest.clear();
            }
        }
        let len = read.len();
        rows.consume(len);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn row(path: &str, score: Option<f32>) -> Row {
        let stamp = Stamp::new(9, UNIX_EPOCH + Duration::from_millis(1500));
        let decision = Decision { p_value: Some(0.25), anomalous: Some(false) };
        Row::new(path.into(), stamp, score.map(|score| (score, decision)).ok_or_else(|| "an \"error\"".into()))
    }

    /// Paths and scores of the rows that are there.
    type Found = Vec<(String, Option<f32>)>;

    fn recall(path: &Path, format: Format) -> Result<(Found, bool), RowsError> {
        let mut found = Vec::new();
        let torn = Rows::open(Some(path), format)?.recall(|row, stamp| {
            assert_eq!(stamp, Stamp::new(9, UNIX_EPOCH + Duration::from_millis(1500)));
            found.push((row.path, row.score));
            Ok(())
        })?;
        Ok((found, torn))
    }

    #[test]
    fn rows_are_recalled_wherever_the_last_was_cut() {
        let folder = tempfile::TempDir::new().unwrap();
        let paths = ["a,b", "line\nbreak \"quoted\"\n", "c"];
        for format in [Format::Csv, Format::Jsonl] {
            let path = folder.path().join("rows");
            let mut rows = Rows::open(Some(&path), format).unwrap();
            rows.recall(|_, _| unreachable!()).unwrap();
            let mut ends = vec![std::fs::metadata(&path).unwrap().len() as usize];
            for (path_of, score) in paths.into_iter().zip([Some(0.1), None, Some(1e-7)]) {
                rows.add(&row(path_of, score)).unwrap();
                rows.flush().unwrap();
                ends.push(std::fs::metadata(&path).unwrap().len() as usize);
            }
            drop(rows);
            let bytes = std::fs::read(&path).unwrap();
            for len in 0..=bytes.len() {
                std::fs::write(&path, &bytes[..len]).unwrap();
                let (found, torn) = recall(&path, format).unwrap();
                let whole = ends.iter().filter(|&&end| end <= len).count().saturating_sub(1);
                assert_eq!(found.len(), whole, "{len}");
                assert!(found.iter().zip(paths).all(|((found, _), path)| found == path), "{found:?}");
                assert!(found.get(2).is_none_or(|(_, score)| *score == Some(1e-7)));
                assert_eq!(torn, !ends.contains(&len) && len > 0, "{len}");
                // What is left are whole rows, below a header.
                let left = std::fs::read(&path).unwrap();
                assert_eq!(left.len(), ends[whole], "{len}");
                assert!(bytes.starts_with(&left));
            }
            std::fs::remove_file(&path).unwrap();
        }
    }

    /// A row whose time is none, in each format.
    const NO_TIME: [&str; 2] = [
        "path,score,p_value,verdict,error,size,modified\na,1,,,,9,noon\n",
        "{\"path\":\"a\",\"score\":1,\"size\":9,\"modified\":\"noon\"}\n",
    ];

    #[test]
    fn files_of_others_stay_as_they_are() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("rows");
        let texts = [
            "precious",
            "precious\n",
            "path,score\na,1\n",
            "{\"path\":1}\n{",
            "{}\n",
            "\u{0}\u{0}",
            NO_TIME[0],
            NO_TIME[1],
        ];
        for (text, format) in texts.iter().flat_map(|text| [(text, Format::Csv), (text, Format::Jsonl)]) {
            std::fs::write(&path, text).unwrap();
            let error = recall(&path, format).unwrap_err().to_string();
            assert!(error.contains("--output") && error.contains("rows"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), *text);
        }
        std::fs::write(&path, vec![b'a'; MAX_ROW + 1]).unwrap();
        assert!(recall(&path, Format::Csv).unwrap_err().to_string().contains("more than"));
    }
}
