//! Parquet files with encoded images: a column of bytes, or of structs `{bytes, path}` as Hugging Face's data sets and Ray
//! write them.
//!
//! Only what one such column needs is read: pages of plain values or of values in a dictionary, packed by Snappy, Zstandard,
//! gzip or not. The `parquet` crate, which writes results, takes memory by what a file claims, and panics at some damage; see
//! `thrift.rs`. Here a page is held at a time, and what a header claims is checked before memory is taken.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use flate2::Crc;
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use thiserror::Error;

use super::DataError;
use super::hybrid::Hybrid;
use super::thrift::{Fault, Kind, Thrift};
use crate::files::read_at;
use crate::message::shortened;

/// How a file begins and ends.
pub(super) const MAGIC: &[u8] = b"PAR1";
/// Bytes behind the metadata: their length, and the end of the file.
const TAIL: u64 = 8;
/// Longest metadata that are read, in bytes: those of some hundred thousand row groups.
const MAX_METADATA: u64 = 64 << 20;
/// Longest page that is read, in bytes, packed or not.
const MAX_PAGE: u64 = 512 << 20;
/// Lengths of a page's header that are tried, in bytes. It may quote the least and the greatest value.
const HEADERS: [u64; 3] = [1 << 12, 1 << 16, 16 << 20];
/// Deepest nesting of columns.
const MAX_NESTING: usize = 32;
/// Snappy makes 64 bytes of three at most.
const MAX_BYTES_PER_BYTE_OF_SNAPPY: u64 = 32;
/// A window that every Zstandard decoder must take, and how many bytes more for each packed one.
const WINDOW: u64 = 8 << 20;
const WINDOW_PER_BYTE: u64 = 64;
/// Values that even the shortest page may stand for, in bytes.
const FREE: u64 = 1 << 20;

/// Why a Parquet file is not read as images.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParquetProblem {
    /// It does not end as such a file does.
    #[error("no whole Parquet file: it does not end with PAR1; write it again")]
    End,
    /// It is encrypted.
    #[error("encrypted, which is not read; write it without encryption")]
    Encrypted,
    /// The metadata or the header of a page cannot be read.
    #[error("byte {offset}: {what} of a Parquet file is damaged; write the file again")]
    Damaged {
        /// Where it begins.
        offset: u64,
        /// What it is.
        what: &'static str,
    },
    /// The metadata or a page are longer than is read.
    #[error(
        "byte {offset}: {what} takes {len} bytes, and at most {most} are read; write fewer rows a row group, as with \
         row_group_size=100"
    )]
    TooLarge {
        /// Where it begins.
        offset: u64,
        /// What it is.
        what: &'static str,
        /// The length that it claims.
        len: u64,
        /// Longest length.
        most: u64,
    },
    /// No column holds encoded images.
    #[error(
        "no column of encoded images, which is of bytes or of structs with a field `bytes`; the columns are {}",
        shortened(columns)
    )]
    NoColumn {
        /// All columns.
        columns: String,
    },
    /// Several columns might hold images.
    #[error("the columns {} may all be images; call one of them `image`, or leave the others out", shortened(columns))]
    Columns {
        /// Those columns.
        columns: String,
    },
    /// A page is packed in a way that is not read.
    #[error("column {}: packed by {codec}, which is not read; write it with snappy, zstd or gzip", shortened(column))]
    Codec {
        /// The column.
        column: String,
        /// The codec.
        codec: String,
    },
    /// Values are written in a way that is not read.
    #[error("column {}: written in encoding {encoding}, which is not read; write it as PLAIN", shortened(column))]
    Encoding {
        /// The column.
        column: String,
        /// The encoding.
        encoding: String,
    },
    /// There are more or fewer values than rows.
    #[error("a row group of {rows} rows has {values} values of column {}; write the file again", shortened(column))]
    Rows {
        /// The column.
        column: String,
        /// Rows that the row group claims.
        rows: u64,
        /// Values that its pages claim.
        values: u64,
    },
}

/// A column of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    /// Which of those that hold values.
    place: u64,
    /// Level of a value that is there: so many of what holds it may be null.
    levels: u64,
}

/// The values of the column in a row group.
#[derive(Debug, Clone, Copy, Default)]
struct Chunk {
    rows: u64,
    codec: i64,
    start: u64,
    len: u64,
}

/// Takes the bytes of a row, none of a null, or why there are no more rows; breaks where nothing more is wanted.
pub(super) type Take<'a> = dyn FnMut(Result<Option<&[u8]>, DataError>) -> ControlFlow<()> + 'a;

/// The encoded images of a Parquet file.
pub(super) struct ParquetImages {
    path: PathBuf,
    file: File,
    column: Column,
    chunks: Vec<Chunk>,
}

impl ParquetImages {
    /// Reads the metadata.
    ///
    /// # Errors
    /// Damaged metadata, and a file without a column of images.
    pub(super) fn open(path: &Path, file: File) -> Result<Self, DataError> {
        let (column, chunks) = metadata(&file).map_err(|fault| fault.at(path))?;
        Ok(Self { path: path.to_owned(), file, column, chunks })
    }

    /// The bytes of each row, in order. An error ends them.
    pub(super) fn each(self, take: &mut Take) -> ControlFlow<()> {
        for chunk in &self.chunks {
            match self.rows(chunk, take) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(stopped) => return stopped,
                Err(problem) => return take(Err(problem.at(&self.path))),
            }
        }
        ControlFlow::Continue(())
    }

    fn rows(&self, chunk: &Chunk, take: &mut Take) -> Result<ControlFlow<()>, Failed> {
        let (mut offset, end) = (chunk.start, chunk.start.saturating_add(chunk.len));
        let mut dictionary: Option<(Vec<u8>, Vec<Range<usize>>)> = None;
        let mut values = 0;
        while offset < end && values < chunk.rows {
            let header = self.header(offset, end)?;
            let start = offset + header.len;
            let packed = self.page(&header, start, end)?;
            offset = start + header.packed;
            let damaged = |what| ParquetProblem::Damaged { offset: start, what };
            match header.kind {
                PageKind::Other => {}
                PageKind::Dictionary { .. } if dictionary.is_some() => {
                    return Err(damaged("a second dictionary").into());
                }
                PageKind::Dictionary { count, encoding } => {
                    self.encoding(encoding, &[PLAIN, PLAIN_DICTIONARY])?;
                    let bytes = self.unpacked(chunk.codec, &packed, header.unpacked, start)?.into_owned();
                    let places: Option<Vec<_>> = Plain { bytes: &bytes, place: 0 }.take(count).collect();
                    dictionary = Some((bytes, places.ok_or_else(|| damaged("the dictionary"))?));
                }
                PageKind::Data { count, encoding, levels, packed: is_packed } => {
                    self.encoding(encoding, &[PLAIN, PLAIN_DICTIONARY, RLE_DICTIONARY])?;
                    let codec = if is_packed { chunk.codec } else { UNPACKED };
                    let apart = levels.unwrap_or_default();
                    let (before, rest) = packed.split_at_checked(apart).ok_or_else(|| damaged("a page"))?;
                    let len = header.unpacked.checked_sub(apart as u64).ok_or_else(|| damaged("a page"))?;
                    let bytes = self.unpacked(codec, rest, len, start)?;
                    values += count;
                    if values > chunk.rows {
                        return Err(self.rows_differ(chunk, values));
                    }
                    let before = levels.map(|_| before);
                    let page = Page::new(&self.column, count, encoding, before, &bytes, dictionary.as_ref());
                    let page = page.ok_or_else(|| damaged("a page"))?;
                    for row in page {
                        if take(Ok(row.ok_or_else(|| damaged("a page"))?)).is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                }
            }
        }
        if values < chunk.rows { Err(self.rows_differ(chunk, values)) } else { Ok(ControlFlow::Continue(())) }
    }

    fn rows_differ(&self, chunk: &Chunk, values: u64) -> Failed {
        ParquetProblem::Rows { column: self.column.name.clone(), rows: chunk.rows, values }.into()
    }

    fn encoding(&self, encoding: i64, read: &[i64]) -> Result<(), ParquetProblem> {
        if read.contains(&encoding) {
            return Ok(());
        }
        let name = match encoding {
            5 => "DELTA_BINARY_PACKED".into(),
            6 => "DELTA_LENGTH_BYTE_ARRAY".into(),
            7 => "DELTA_BYTE_ARRAY".into(),
            9 => "BYTE_STREAM_SPLIT".into(),
            other => format!("number {other}"),
        };
        Err(ParquetProblem::Encoding { column: self.column.name.clone(), encoding: name })
    }

    /// The header of the page at `offset`.
    fn header(&self, offset: u64, end: u64) -> Result<PageHeader, Failed> {
        let damaged = ParquetProblem::Damaged { offset, what: "the header of a page" };
        for most in HEADERS {
            let bytes = bytes(&self.file, offset, most.min(end - offset))?;
            match PageHeader::read(&bytes) {
                Ok(header) => return Ok(header),
                Err(Fault::Ends) if bytes.len() as u64 == most => {}
                Err(_) => break,
            }
        }
        Err(damaged.into())
    }

    /// The bytes of a page as they are in the file.
    fn page(&self, header: &PageHeader, start: u64, end: u64) -> Result<Vec<u8>, Failed> {
        for len in [header.packed, header.unpacked] {
            if len > MAX_PAGE {
                return Err(ParquetProblem::TooLarge { offset: start, what: "a page", len, most: MAX_PAGE }.into());
            }
        }
        if header.packed > end.saturating_sub(start) {
            return Err(ParquetProblem::Damaged { offset: start, what: "the length of a page" }.into());
        }
        let packed = bytes(&self.file, start, header.packed)?;
        if let Some(wanted) = header.crc {
            let mut crc = Crc::new();
            crc.update(&packed);
            if crc.sum() != wanted {
                return Err(ParquetProblem::Damaged { offset: start, what: "a page, by its checksum," }.into());
            }
        }
        Ok(packed)
    }

    /// What packed bytes stand for, which are `len`.
    fn unpacked<'a>(
        &self,
        codec: i64,
        packed: &'a [u8],
        len: u64,
        offset: u64,
    ) -> Result<Cow<'a, [u8]>, ParquetProblem> {
        let damaged = ParquetProblem::Damaged { offset, what: "a page" };
        let packed_len = packed.len() as u64;
        // Memory grows with what is read.
        let read = |input: &mut dyn Read| {
            let mut bytes = Vec::new();
            input.take(len + 1).read_to_end(&mut bytes).ok().map(|_| bytes)
        };
        let bytes = match codec {
            // A page of nulls has nothing to pack.
            _ if len == 0 => Some(Cow::Borrowed(&[][..])),
            UNPACKED => Some(Cow::Borrowed(packed)),
            SNAPPY => {
                let possible = len <= FREE + packed_len * MAX_BYTES_PER_BYTE_OF_SNAPPY;
                let honest = snap::raw::decompress_len(packed).is_ok_and(|claimed| claimed as u64 == len);
                let unpack = || snap::raw::Decoder::new().decompress_vec(packed).ok();
                (possible && honest).then(unpack).flatten().map(Cow::Owned)
            }
            GZIP => read(&mut MultiGzDecoder::new(packed)).map(Cow::Owned),
            ZSTANDARD => {
                let window = WINDOW.max(packed_len * WINDOW_PER_BYTE).min(MAX_PAGE);
                let decoder = StreamingDecoder::new_with_max_window_size(packed, window).ok();
                decoder.and_then(|mut decoder| read(&mut decoder)).map(Cow::Owned)
            }
            other => {
                let codec = match other {
                    3 => "LZO".into(),
                    4 => "Brotli".into(),
                    5 | 7 => "LZ4".into(),
                    other => format!("codec {other}"),
                };
                return Err(ParquetProblem::Codec { column: self.column.name.clone(), codec });
            }
        };
        bytes.filter(|bytes| bytes.len() as u64 == len).ok_or(damaged)
    }
}

/// Codecs and encodings, as the format numbers them.
const UNPACKED: i64 = 0;
const SNAPPY: i64 = 1;
const GZIP: i64 = 2;
const ZSTANDARD: i64 = 6;
const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
const RLE_DICTIONARY: i64 = 8;
/// The type of a column of bytes.
const BYTE_ARRAY: i64 = 6;

/// What ends the reading.
enum Failed {
    Problem(ParquetProblem),
    Read { offset: u64, source: io::Error },
}

impl From<ParquetProblem> for Failed {
    fn from(problem: ParquetProblem) -> Self {
        Self::Problem(problem)
    }
}

impl Failed {
    fn at(self, path: &Path) -> DataError {
        let path = path.to_owned();
        match self {
            Self::Problem(problem) => DataError::Parquet { path, problem },
            Self::Read { offset, source } => DataError::Read { path, offset, source },
        }
    }
}

/// So many bytes at a place of the file, which are there.
fn bytes(file: &File, offset: u64, len: u64) -> Result<Vec<u8>, Failed> {
    let mut bytes = vec![0; len as usize];
    read_at(file, &mut bytes, offset).map_err(|source| Failed::Read { offset, source })?;
    Ok(bytes)
}

/// Reads what the end of a file says: the column of images, and where its values are.
fn metadata(file: &File) -> Result<(Column, Vec<Chunk>), Failed> {
    let length = file.metadata().map_err(|source| Failed::Read { offset: 0, source })?.len();
    let end = length.checked_sub(TAIL).filter(|&end| end >= MAGIC.len() as u64).ok_or(ParquetProblem::End)?;
    let tail = bytes(file, end, TAIL)?;
    match &tail[4..] {
        b"PAR1" => {}
        b"PARE" => return Err(ParquetProblem::Encrypted.into()),
        _ => return Err(ParquetProblem::End.into()),
    }
    let len = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    let what = "the metadata";
    let Some(offset) = end.checked_sub(len) else {
        return Err(ParquetProblem::Damaged { offset: end, what: "the length of the metadata" }.into());
    };
    if len > MAX_METADATA {
        return Err(ParquetProblem::TooLarge { offset, what, len, most: MAX_METADATA }.into());
    }
    let bytes = bytes(file, offset, len)?;
    let damaged = ParquetProblem::Damaged { offset, what };
    let (mut schema, mut encrypted) = (None, false);
    let mut chunks = Vec::new();
    let read = Thrift::new(&bytes).fields(|thrift, field| {
        match (field.id, field.kind) {
            (2, Kind::List) => schema = Some(Schema::read(thrift)?),
            (4, Kind::List) => {
                let column = schema.as_ref().and_then(|schema| schema.column().ok()).map(|column| column.place);
                thrift.structs(|thrift, _| row_group(thrift, column, offset).map(|chunk| chunks.extend(chunk)))?;
            }
            (8, _) => {
                encrypted = true;
                return Ok(false);
            }
            _ => return Ok(false),
        }
        Ok(true)
    });
    if encrypted {
        return Err(ParquetProblem::Encrypted.into());
    }
    let schema = read.ok().and(schema).ok_or(damaged)?;
    Ok((schema.column()?, chunks))
}

/// Columns of a schema.
#[derive(Default)]
struct Schema {
    /// Those that may hold encoded images.
    images: Vec<Column>,
    /// All that hold values: so many, and the names of the first.
    count: u64,
    names: String,
}

/// A group of columns of which some are still to come.
struct Group {
    name: String,
    left: u64,
    levels: u64,
    repeats: bool,
}

impl Schema {
    fn read(thrift: &mut Thrift) -> Result<Self, Fault> {
        let mut schema = Self::default();
        let mut groups: Vec<Group> = Vec::new();
        thrift.structs(|thrift, index| {
            let (mut kind, mut repetition, mut name, mut children, mut named) = (None, 0, &b""[..], 0, false);
            thrift.fields(|thrift, field| {
                match (field.id, field.kind) {
                    (1, Kind::Integer) => kind = Some(thrift.integer()?),
                    (3, Kind::Integer) => repetition = thrift.integer()?,
                    (4, Kind::Binary) => name = thrift.binary()?,
                    (5, Kind::Integer) => children = u64::try_from(thrift.integer()?).map_err(|_| Fault::Damaged)?,
                    // Text, numbers, dates: no plain bytes.
                    (6 | 10, _) => {
                        named = true;
                        return Ok(false);
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
            if index == 0 {
                groups.push(Group { name: String::new(), left: children, levels: 0, repeats: false });
                return Ok(());
            }
            while groups.pop_if(|group| group.left == 0).is_some() {}
            let above = groups.last_mut().ok_or(Fault::Damaged)?;
            above.left -= 1;
            // Messages quote it.
            let name = String::from_utf8_lossy(name).replace(char::is_control, "\u{fffd}");
            let name = if above.name.is_empty() { name } else { format!("{}.{name}", above.name) };
            let name = if name.len() <= MAX_NAME { name } else { shortened(&name).into_owned() };
            let levels = above.levels + u64::from(repetition != 0);
            let repeats = above.repeats || repetition == 2;
            if children > 0 {
                if groups.len() > MAX_NESTING {
                    return Err(Fault::Damaged);
                }
                groups.push(Group { name, left: children, levels, repeats });
                return Ok(());
            }
            // A group of nothing.
            let Some(kind) = kind else { return Ok(()) };
            if schema.names.len() <= MAX_NAME {
                schema.names += if schema.count == 0 { "" } else { ", " };
                schema.names += &name;
            }
            let encoded = groups.len() == 1 || (groups.len() == 2 && name.ends_with(".bytes"));
            if encoded && kind == BYTE_ARRAY && !named && !repeats && schema.images.len() < MAX_IMAGES {
                schema.images.push(Column { name, place: schema.count, levels });
            }
            schema.count += 1;
            Ok(())
        })?;
        Ok(schema)
    }

    /// The column of images: the only one, or the one that is called so.
    fn column(&self) -> Result<Column, ParquetProblem> {
        let named = |name: &&str| self.images.iter().find(|column| column.name == *name);
        match &self.images[..] {
            [] => Err(ParquetProblem::NoColumn { columns: self.names.clone() }),
            [only] => Ok(only.clone()),
            several => USUAL.iter().find_map(named).cloned().ok_or_else(|| {
                let names: Vec<&str> = several.iter().map(|column| &*column.name).collect();
                ParquetProblem::Columns { columns: names.join(", ") }
            }),
        }
    }
}

/// Longest names that are kept, in bytes, and most columns that may be images.
const MAX_NAME: usize = 1 << 10;
const MAX_IMAGES: usize = 16;
/// What the column of images is called where there are others of bytes, the likeliest first.
const USUAL: [&str; 5] = ["image", "image.bytes", "img", "img.bytes", "bytes"];

/// The values of a column in a row group, if that has any. They lie before the metadata.
fn row_group(thrift: &mut Thrift, column: Option<u64>, end: u64) -> Result<Option<Chunk>, Fault> {
    let (mut chunk, mut rows) = (None, 0);
    thrift.fields(|thrift, field| {
        match (field.id, field.kind) {
            (1, Kind::List) => thrift.structs(|thrift, index| {
                let found = column_chunk(thrift, end, column == Some(index))?;
                chunk = found.or(chunk);
                Ok(())
            })?,
            (3, Kind::Integer) => rows = number(thrift)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if column.is_some() && chunk.is_none() {
        return Err(Fault::Damaged);
    }
    Ok(chunk.map(|chunk| Chunk { rows, ..chunk }).filter(|_| rows > 0))
}

fn column_chunk(thrift: &mut Thrift, end: u64, wanted: bool) -> Result<Option<Chunk>, Fault> {
    let mut found = None;
    thrift.fields(|thrift, field| {
        if !wanted || (field.id, field.kind) != (3, Kind::Struct) {
            // The values may be in another file or encrypted.
            return if wanted && matches!(field.id, 1 | 8) { Err(Fault::Damaged) } else { Ok(false) };
        }
        let mut chunk = Chunk::default();
        let mut dictionary = None;
        thrift.fields(|thrift, field| {
            match (field.id, field.kind) {
                (4, Kind::Integer) => chunk.codec = thrift.integer()?,
                (7, Kind::Integer) => chunk.len = number(thrift)?,
                (9, Kind::Integer) => chunk.start = number(thrift)?,
                (11, Kind::Integer) => dictionary = Some(number(thrift)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        // Some writers say 0 where there is none.
        chunk.start = dictionary.filter(|&place| place > 0 && place < chunk.start).unwrap_or(chunk.start);
        if chunk.start.checked_add(chunk.len).is_none_or(|last| last > end) {
            return Err(Fault::Damaged);
        }
        found = Some(chunk);
        Ok(true)
    })?;
    Ok(found)
}

/// A number that is not negative.
fn number(thrift: &mut Thrift) -> Result<u64, Fault> {
    u64::try_from(thrift.integer()?).map_err(|_| Fault::Damaged)
}

/// What stands before a page.
#[derive(Debug, Clone, Copy)]
struct PageHeader {
    /// Bytes of the header, of the page as it is in the file, and unpacked.
    len: u64,
    packed: u64,
    unpacked: u64,
    crc: Option<u32>,
    kind: PageKind,
}

#[derive(Debug, Clone, Copy)]
enum PageKind {
    Data {
        count: u64,
        encoding: i64,
        /// Bytes of the levels, where these stand apart and are not packed.
        levels: Option<usize>,
        packed: bool,
    },
    Dictionary {
        count: usize,
        encoding: i64,
    },
    Other,
}

impl PageHeader {
    fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let mut thrift = Thrift::new(bytes);
        let (mut kind, mut unpacked, mut packed, mut crc) = (None, None, None, None);
        let (mut count, mut encoding, mut levels, mut is_packed) = (None, None, 0, true);
        thrift.fields(|thrift, field| {
            match (field.id, field.kind) {
                (1, Kind::Integer) => kind = Some(thrift.integer()?),
                (2, Kind::Integer) => unpacked = Some(number(thrift)?),
                (3, Kind::Integer) => packed = Some(number(thrift)?),
                (4, Kind::Integer) => crc = Some(thrift.integer()? as u32),
                (5 | 7 | 8, Kind::Struct) => {
                    let apart = field.id == 8;
                    thrift.fields(|thrift, field| {
                        match (field.id, field.kind) {
                            (1, Kind::Integer) => count = Some(number(thrift)?),
                            (2, Kind::Integer) if !apart => encoding = Some(thrift.integer()?),
                            (4, Kind::Integer) if apart => encoding = Some(thrift.integer()?),
                            // Those of repetition, of which there are none, and of definition.
                            (5 | 6, Kind::Integer) if apart => {
                                levels = number(thrift)?.checked_add(levels).ok_or(Fault::Damaged)?;
                            }
                            (7, Kind::False) if apart => is_packed = false,
                            _ => return Ok(false),
                        }
                        Ok(true)
                    })?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let len = thrift.place() as u64;
        let wanted = |number: Option<u64>| number.ok_or(Fault::Damaged);
        let encoding = encoding.unwrap_or(PLAIN);
        let kind = match kind.ok_or(Fault::Damaged)? {
            0 => PageKind::Data { count: wanted(count)?, encoding, levels: None, packed: true },
            2 => PageKind::Dictionary { count: usize::try_from(wanted(count)?).map_err(|_| Fault::Damaged)?, encoding },
            3 => {
                let levels = usize::try_from(levels).map_err(|_| Fault::Damaged)?;
                PageKind::Data { count: wanted(count)?, encoding, levels: Some(levels), packed: is_packed }
            }
            _ => PageKind::Other,
        };
        Ok(Self { len, packed: wanted(packed)?, unpacked: wanted(unpacked)?, crc, kind })
    }
}

/// Plain values one after the other: places of their bytes, and nothing where they are damaged.
struct Plain<'a> {
    bytes: &'a [u8],
    place: usize,
}

impl Iterator for Plain<'_> {
    type Item = Option<Range<usize>>;

    fn next(&mut self) -> Option<Self::Item> {
        let range = || {
            let (length, rest) = self.bytes.get(self.place..)?.split_first_chunk()?;
            let len = u32::from_le_bytes(*length) as usize;
            let start = self.place + length.len();
            (len <= rest.len()).then(|| start..start + len)
        };
        let range = range();
        self.place = range.as_ref().map_or(self.bytes.len(), |range| range.end);
        Some(range)
    }
}

/// The rows of a page: their bytes, none of nulls; nothing where it is damaged.
struct Page<'a> {
    left: u64,
    /// Levels of definition, and that of a value that is there.
    levels: Option<(Hybrid<'a>, u64)>,
    values: Values<'a>,
}

enum Values<'a> {
    Plain(Plain<'a>),
    Dictionary { bytes: &'a [u8], places: &'a [Range<usize>], indices: Hybrid<'a> },
}

impl<'a> Page<'a> {
    /// `levels` where they stand apart, else they come first.
    fn new(
        column: &Column,
        count: u64,
        encoding: i64,
        levels: Option<&'a [u8]>,
        bytes: &'a [u8],
        dictionary: Option<&'a (Vec<u8>, Vec<Range<usize>>)>,
    ) -> Option<Self> {
        let (levels, bytes) = match levels {
            _ if column.levels == 0 => (None, bytes),
            Some(levels) => (Some(levels), bytes),
            None => {
                let (length, rest) = bytes.split_first_chunk()?;
                let (levels, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
                (Some(levels), rest)
            }
        };
        let width = u64::BITS - column.levels.leading_zeros();
        let levels = levels.map(|levels| (Hybrid::new(levels, width), column.levels));
        let values = if encoding == PLAIN {
            Values::Plain(Plain { bytes, place: 0 })
        } else {
            // A page of nulls has no values.
            let (&width, indices) = bytes.split_first().unwrap_or((&0, &[]));
            let (bytes, places) = dictionary?;
            Values::Dictionary { bytes, places, indices: Hybrid::new(indices, width.into()) }
        };
        Some(Self { left: count, levels, values })
    }

    fn row(&mut self) -> Option<Option<&'a [u8]>> {
        if let Some((levels, wanted)) = &mut self.levels
            && levels.next()? != *wanted
        {
            return Some(None);
        }
        Some(Some(match &mut self.values {
            Values::Plain(plain) => &plain.bytes[plain.next()??],
            Values::Dictionary { bytes, places, indices } => {
                &bytes[places.get(usize::try_from(indices.next()?).ok()?)?.clone()]
            }
        }))
    }
}

impl<'a> Iterator for Page<'a> {
    type Item = Option<Option<&'a [u8]>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let row = self.row();
        if row.is_none() {
            self.left = 0;
        }
        Some(row)
    }
}
