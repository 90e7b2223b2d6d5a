//! Arrow's IPC format: a file, which is Feather's second version, or a stream, which can be read while it is written.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::mem::take;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Float64Array, RecordBatch, StringArray};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use super::batch::Batch;
use super::{Notes, Row, Rows};

type Out<'a> = BufWriter<&'a mut dyn Write>;

pub(super) struct Arrow<'a> {
    schema: SchemaRef,
    batch: Batch,
    writer: Writer<'a>,
}

enum Writer<'a> {
    File(Box<FileWriter<Out<'a>>>),
    Stream(Box<StreamWriter<Out<'a>>>),
}

impl<'a> Arrow<'a> {
    /// Begins with the schema. A file, if `whole`, has few large batches; a stream has one at each flush.
    pub(super) fn new(out: &'a mut dyn Write, whole: bool, boxes: bool, notes: Notes) -> io::Result<Self> {
        let mut fields = vec![
            ("path", DataType::Utf8),
            ("score", DataType::Float32),
            ("p_value", DataType::Float64),
            ("verdict", DataType::Utf8),
            ("error", DataType::Utf8),
        ];
        fields.extend(boxes.then_some(("boxes", DataType::Utf8)));
        let fields = fields.into_iter().map(|(name, kind)| Field::new(name, kind, name != "path"));
        let schema =
            Schema::new_with_metadata(fields.collect::<Vec<_>>(), notes.into_iter().collect::<HashMap<_, _>>());
        let out = BufWriter::new(out);
        let writer = match whole {
            true => Writer::File(Box::new(FileWriter::try_new(out, &schema).map_err(plain)?)),
            false => Writer::Stream(Box::new(StreamWriter::try_new(out, &schema).map_err(plain)?)),
        };
        Ok(Self { schema: Arc::new(schema), batch: Batch::default(), writer })
    }

    fn write(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let Batch { paths, scores, p_values, verdicts, errors, boxes, .. } = take(&mut self.batch);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(paths)),
            Arc::new(Float32Array::from(scores)),
            Arc::new(Float64Array::from(p_values)),
            Arc::new(StringArray::from(verdicts)),
            Arc::new(StringArray::from(errors)),
        ];
        if self.schema.fields().len() > columns.len() {
            columns.push(Arc::new(StringArray::from(boxes)));
        }
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(plain)?;
        let written = match &mut self.writer {
            Writer::File(writer) => writer.write(&batch),
            Writer::Stream(writer) => writer.write(&batch),
        };
        written.map_err(plain)
    }
}

impl Rows for Arrow<'_> {
    fn add(&mut self, row: &Row) -> io::Result<()> {
        self.batch.add(row);
        if self.batch.is_full() { self.write() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Writer::File(_) = self.writer {
            return Ok(());
        }
        self.write()?;
        match &mut self.writer {
            Writer::File(_) => Ok(()),
            Writer::Stream(writer) => writer.flush().map_err(plain),
        }
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.write()?;
        let flushed = match &mut self.writer {
            Writer::File(writer) => writer.finish().and_then(|()| writer.flush()),
            Writer::Stream(writer) => writer.finish().and_then(|()| writer.flush()),
        };
        flushed.map_err(plain)
    }
}

/// The failure of the output itself, by which a closed one can be told.
fn plain(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        other => io::Error::other(other),
    }
}
