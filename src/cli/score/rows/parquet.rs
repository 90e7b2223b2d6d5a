//! Parquet files. Rows are gathered into row groups of bounded size, so that any number of them takes the same memory.

use std::io::{self, Write};
use std::mem::take;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, FloatType};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type};

use super::batch::Batch;
use super::{Notes, Row, Rows};

pub(super) struct Parquet<'a> {
    out: &'a mut dyn Write,
    batch: Batch,
    boxes: bool,
    /// What it has written waits for `out` until a row group is whole.
    writer: SerializedFileWriter<Vec<u8>>,
}

impl<'a> Parquet<'a> {
    pub(super) fn new(out: &'a mut dyn Write, boxes: bool, notes: Notes) -> io::Result<Self> {
        let text = Some(LogicalType::String);
        let mut columns = vec![
            ("path", Physical::BYTE_ARRAY, text.clone()),
            ("score", Physical::FLOAT, None),
            ("p_value", Physical::DOUBLE, None),
            ("verdict", Physical::BYTE_ARRAY, text.clone()),
            ("error", Physical::BYTE_ARRAY, text.clone()),
        ];
        columns.extend(boxes.then_some(("boxes", Physical::BYTE_ARRAY, text)));
        let column = |(name, physical, logical)| {
            let repetition = if name == "path" { Repetition::REQUIRED } else { Repetition::OPTIONAL };
            let column = Type::primitive_type_builder(name, physical).with_logical_type(logical);
            column.with_repetition(repetition).build().map(Arc::new)
        };
        let columns = columns.into_iter().map(column).collect::<Result<Vec<_>>>().map_err(plain)?;
        let schema = Type::group_type_builder("schema").with_fields(columns).build().map_err(plain)?;
        let notes = notes.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_key_value_metadata(Some(notes));
        // Their values hardly ever come twice.
        for unlike in ["path", "score", "error", "boxes"] {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(unlike), false);
        }
        let writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties.build()));
        Ok(Self { out, batch: Batch::default(), boxes, writer: writer.map_err(plain)? })
    }

    fn write(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = take(&mut self.batch);
        self.row_group(batch).map_err(plain)?;
        self.writer.flush()?;
        self.out.write_all(&take(self.writer.inner_mut()))
    }

    fn row_group(&mut self, batch: Batch) -> Result<()> {
        let Batch { paths, scores, p_values, verdicts, errors, boxes, .. } = batch;
        let mut group = self.writer.next_row_group()?;
        let texts =
            |texts: Vec<Option<String>>| texts.into_iter().map(|text| text.map(|text| text.into_bytes().into()));
        let paths: Vec<ByteArray> = paths.into_iter().map(|path| path.into_bytes().into()).collect();
        column::<ByteArrayType>(&mut group, &paths, None)?;
        nullable::<FloatType>(&mut group, scores.into_iter())?;
        nullable::<DoubleType>(&mut group, p_values.into_iter())?;
        nullable::<ByteArrayType>(&mut group, verdicts.into_iter().map(|verdict| verdict.map(ByteArray::from)))?;
        nullable::<ByteArrayType>(&mut group, texts(errors))?;
        if self.boxes {
            nullable::<ByteArrayType>(&mut group, texts(boxes))?;
        }
        group.close().map(drop)
    }
}

/// Writes the next column of a row group, with nulls.
fn nullable<T: DataType>(
    group: &mut SerializedRowGroupWriter<Vec<u8>>,
    values: impl Iterator<Item = Option<T::T>>,
) -> Result<()> {
    let (mut there, mut levels) = (Vec::new(), Vec::new());
    for value in values {
        levels.push(i16::from(value.is_some()));
        there.extend(value);
    }
    column::<T>(group, &there, Some(&levels))
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<Vec<u8>>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<()> {
    let missing = || ParquetError::General("a column too many".into());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

impl Rows for Parquet<'_> {
    fn add(&mut self, row: &Row) -> io::Result<()> {
        self.batch.add(row);
        if self.batch.is_full() { self.write() } else { Ok(()) }
    }

    /// A file cannot be read before its end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.write()?;
        let Self { out, writer, .. } = *self;
        out.write_all(&writer.into_inner().map_err(plain)?)?;
        out.flush()
    }
}

/// The failure of the output itself is none of these: nothing but memory is written into.
fn plain(error: ParquetError) -> io::Error {
    io::Error::other(error)
}
