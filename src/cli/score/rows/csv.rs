//! Comma-separated values. A picture without a score has no row: it could be taken for one.

use std::io::{self, Write};

use super::{Row, Rows, Scored, text};

pub(super) struct Csv<'a>(csv::Writer<&'a mut dyn Write>);

impl<'a> Csv<'a> {
    /// Begins with the header.
    pub(super) fn new(out: &'a mut dyn Write, boxes: bool) -> io::Result<Self> {
        let mut rows = csv::WriterBuilder::new().has_headers(false).from_writer(out);
        let header = ["path", "score", "p_value", "verdict"].into_iter().chain(boxes.then_some("boxes"));
        rows.write_record(header).map_err(plain)?;
        Ok(Self(rows))
    }
}

impl Rows for Csv<'_> {
    fn add(&mut self, row: &Row) -> io::Result<()> {
        let Ok((score, decision)) = row.result else { return Ok(()) };
        self.0.serialize(Scored::new(row.path, score, decision, row.boxes.map(text))).map_err(plain)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.flush()
    }
}

/// The failure of the output itself, by which a closed one can be told.
fn plain(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}
