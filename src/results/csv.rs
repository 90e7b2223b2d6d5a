//! CSV files of results: read with the line of every fault, written whole.

use std::fs::File;
use std::io;
use std::path::Path;

use csv::ErrorKind;
use serde::de::DeserializeOwned;

use super::ResultsError;
use crate::files::lines;
use crate::run::write_whole;

/// The records of a file of at most `max_bytes`, each with its line. The header is `header`, or its first columns, at
/// least `least` of them: later versions add columns at the end.
pub(super) fn read_csv<T: DeserializeOwned>(
    path: &Path,
    header: &[&str],
    least: usize,
    max_bytes: u64,
) -> Result<Vec<(u64, T)>, ResultsError> {
    let file = File::open(path).map_err(|source| ResultsError::Read { path: path.to_owned(), source })?;
    let damaged = |line, message| ResultsError::Damaged { path: path.to_owned(), line, message };
    let failed = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        match error.into_kind() {
            ErrorKind::Io(source) => ResultsError::Read { path: path.to_owned(), source },
            ErrorKind::Utf8 { err, .. } => damaged(line, err.to_string()),
            ErrorKind::UnequalLengths { len, expected_len, .. } => {
                damaged(line, format!("{len} columns instead of {expected_len}"))
            }
            ErrorKind::Deserialize { err, .. } => {
                let column = err.field().and_then(|field| header.get(field as usize)).unwrap_or(&"row");
                damaged(line, format!("`{column}`: {}", err.kind()))
            }
            other => damaged(line, format!("{other:?}")),
        }
    };
    let mut reader = csv::Reader::from_reader(lines(file, max_bytes));
    let found = reader.headers().map_err(failed)?.clone();
    if header.get(..found.len().max(least)).is_none_or(|known| found != *known) {
        return Err(damaged(1, format!("the header is not {}", header.join(","))));
    }
    let record = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.map_err(failed)?;
        let line = record.position().map_or(1, csv::Position::line);
        Ok((line, record.deserialize(Some(&found)).map_err(failed)?))
    };
    reader.records().map(record).collect()
}

/// Writes a CSV file whole.
pub(super) fn write_csv(path: &Path, header: &[&str], records: &[Vec<String>]) -> Result<(), ResultsError> {
    let fill = |out: &mut dyn io::Write| {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(header)?;
        records.iter().try_for_each(|record| writer.write_record(record))?;
        writer.flush()
    };
    Ok(write_whole(path, fill)?)
}
