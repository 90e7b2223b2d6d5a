//! JSON, an object a line. A picture without a score has a row of path and error.

use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::{Row, Rows, Scored, numbers};

pub(super) struct Jsonl<'a>(BufWriter<&'a mut dyn Write>);

#[derive(Serialize)]
struct Failed<'a> {
    path: &'a str,
    error: &'a str,
}

impl<'a> Jsonl<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self(BufWriter::new(out))
    }

    fn line(&mut self, row: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, row)?;
        self.0.write_all(b"\n")
    }
}

impl Rows for Jsonl<'_> {
    fn add(&mut self, row: &Row) -> io::Result<()> {
        let path = row.path;
        match row.result {
            Ok((score, decision)) => self.line(&Scored::new(path, score, decision, row.boxes.map(numbers))),
            Err(error) => self.line(&Failed { path, error }),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.flush()
    }
}
