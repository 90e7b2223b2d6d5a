//! Event files that TensorBoard reads: protobuf messages in records with checksums.
//!
//! A record is the length of its message as a `u64`, a checksum of that, the message, and a checksum of it, all
//! little-endian; a checksum is CRC-32C, rotated and offset (TensorFlow, `tensorflow/core/lib/io/record_writer.h` and
//! `lib/hash/crc32c.h`). The messages are those of `event.proto` and `summary.proto`, as far as they are written here.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use super::{RunError, WriteError};
use crate::files::create;

/// What every event file says first.
const VERSION: &str = "brain.Event:2";
/// How the names of event files begin, by which TensorBoard knows them, and how those end that are written here.
const NAME: (&str, &str) = ("events.out.tfevents.", ".pkdgan");
/// `SessionLog.SessionStatus.START`.
const START: i32 = 1;

/// An event file, open for more events.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<SummaryValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryValue {
    #[prost(string, tag = "1")]
    tag: String,
    // Optional, so that a zero is written too.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

impl EventFile {
    /// Begins an event file in `folder`, which is made, for what comes after step `done`. Where that is none, event files
    /// of a former run there are removed; else TensorBoard forgets what they say of later steps.
    ///
    /// # Errors
    /// A folder or file that cannot be made or written to.
    pub fn create(folder: &Path, done: usize) -> Result<Self, RunError> {
        let failed = |source| RunError::Folder { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        if done == 0 {
            remove_former(folder).map_err(failed)?;
        }
        // Files are read in the order of their names; a run can be resumed more than once a second, but not at a step
        // before the last one.
        let (start, end) = NAME;
        let path = folder.join(format!("{start}{:010}.{done:08}{end}", seconds() as u64));
        let file = create(&path).map_err(|source| WriteError { path: path.clone(), source })?;
        let mut events = Self { path, file };
        events.write(0, What::FileVersion(VERSION.into()))?;
        events.write(done as i64 + 1, What::SessionLog(SessionLog { status: START }))?;
        Ok(events)
    }

    /// Adds figures by name after so many steps.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn scalars<'a>(
        &mut self,
        step: usize,
        figures: impl IntoIterator<Item = (&'a str, f32)>,
    ) -> Result<(), RunError> {
        let value = |(tag, value): (&str, f32)| SummaryValue { tag: tag.to_owned(), simple_value: Some(value) };
        self.write(step as i64, What::Summary(Summary { value: figures.into_iter().map(value).collect() }))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&mut self, step: i64, what: What) -> Result<(), RunError> {
        let event = Event { wall_time: seconds(), step, what: Some(what) };
        // At once and whole, for a TensorBoard that looks on.
        let written = self.file.write_all(&record(&event.encode_to_vec()));
        written.map_err(|source| WriteError { path: self.path.clone(), source }.into())
    }
}

/// A message as a record.
fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length), message, &checksum(message)].concat()
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn remove_former(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(NAME.0) && name.ends_with(NAME.1) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Seconds since 1970.
fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
