//! Fetching data sets over the network: nothing gets its place before its checksums are found right.

mod address;
mod download;
mod error;
mod unpack;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

use md5::{Digest, Md5};

use super::verify::{check_file, hex};
use super::{Check, DataError, Manifest, Packed, Packing};
use crate::files::{open_lock, remove_partial};

pub use address::masked;
pub use download::{Pace, TooSlow};
pub use error::{EntryFault, FetchError};
/// For the fuzz target, which needs no server so.
#[cfg(fuzzing)]
pub use unpack::unpack;

/// The file in a data set's folder that whoever fetches into it has locked. It stays, as a run folder's does.
const LOCK: &str = ".lock";

/// How a file came to be in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It was there and is right.
    Present,
    /// Fetched; the packed file is the one published.
    Published,
    /// Fetched; packed otherwise than published, with the published contents.
    Repacked,
}

/// A download under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Name of the file.
    pub file: &'a str,
    /// Bytes on disk.
    pub done: u64,
    /// Bytes in all, where the server says.
    pub total: Option<u64>,
}

/// Fetches the files of `manifest` into `folder`, the data set's own, and says how each came there.
///
/// A file is received as NAME.part beside its place, which a later call goes on with, and gets its place once its
/// checksums are right. Files that are there and right stay. An https address never leads to plain http.
///
/// # Errors
/// Whatever keeps a file from being received whole, or being what was published. The files before it stay.
pub fn fetch(
    manifest: &Manifest,
    folder: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<(String, Arrival)>, FetchError> {
    fetch_at(Pace::default(), manifest, folder, progress)
}

/// The same, with another bound on how slow the downloads may be.
///
/// # Errors
/// As of [`fetch`].
pub fn fetch_at(
    pace: Pace,
    manifest: &Manifest,
    folder: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<(String, Arrival)>, FetchError> {
    let source = download::Source::new(&manifest.address, pace)?;
    fs::create_dir_all(folder).map_err(unwritable(folder))?;
    let _held = take(folder)?;
    remove_partial(folder).map_err(unwritable(folder))?;
    let arrivals = manifest.files.iter().map(|packed| {
        let arrival =
            if present(packed, folder) { Arrival::Present } else { fetch_file(&source, packed, folder, progress)? };
        Ok((packed.name.clone(), arrival))
    });
    arrivals.collect()
}

/// Keeps other processes from fetching into `folder` for as long as the file is open, where its file system has locks.
fn take(folder: &Path) -> Result<File, FetchError> {
    let path = folder.join(LOCK);
    let file = open_lock(&path).map_err(unwritable(&path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(FetchError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => Err(unwritable(&path)(error)),
        _ => Ok(file),
    }
}

fn present(packed: &Packed, folder: &Path) -> bool {
    let right = |content| packed.find(folder, content).and_then(|path| check_file(&path, content)).is_ok();
    packed.contents.iter().all(right)
}

fn fetch_file(
    source: &download::Source,
    packed: &Packed,
    folder: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Arrival, FetchError> {
    let part = folder.join(format!("{}.part", packed.name));
    loop {
        let resumed = download::received(&part) > 0;
        source.download(packed, &part, progress)?;
        match accept(packed, &source.url(packed), &part, folder) {
            Err(error) if !matches!(error, FetchError::Write { .. }) => {
                fs::remove_file(&part).map_err(unwritable(&part))?;
                // What an earlier call left may be of another file.
                if !resumed {
                    return Err(error);
                }
            }
            outcome => return outcome,
        }
    }
}

/// Checks a packed file and gives its contents their place.
fn accept(packed: &Packed, url: &str, part: &Path, folder: &Path) -> Result<Arrival, FetchError> {
    let found = md5_sum(part).map_err(|source| DataError::Read { path: part.to_owned(), offset: 0, source })?;
    let published = found == packed.md5;
    let unpublished = || FetchError::Unpublished { url: url.to_owned(), found, expected: packed.md5.clone() };
    if !published && packed.contents.iter().any(|content| !matches!(content.check, Check::Sha256(_))) {
        return Err(unpublished());
    }
    let placed = match &packed.packing {
        Packing::Gzip => place(packed, part, folder),
        Packing::TarGzip(top) => unpack::unpack(part, top, packed, folder),
    };
    match placed {
        Ok(()) if published => Ok(Arrival::Published),
        Ok(()) => Ok(Arrival::Repacked),
        Err(error) if published || matches!(error, FetchError::Write { .. }) => Err(error),
        Err(_) => Err(unpublished()),
    }
}

fn place(packed: &Packed, part: &Path, folder: &Path) -> Result<(), FetchError> {
    for content in &packed.contents {
        check_file(part, content)?;
    }
    let path = folder.join(&packed.name);
    fs::rename(part, &path).map_err(unwritable(&path))
}

fn md5_sum(path: &Path) -> io::Result<String> {
    let (mut input, mut sum) = (File::open(path)?, Md5::new());
    let mut buffer = vec![0; 1 << 16];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(hex(&sum.finalize())),
            Ok(read) => sum.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Why copying stopped.
enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

/// Copies all of `input`, saying after each piece how many bytes it had.
fn copy(input: &mut dyn Read, output: &mut dyn Write, copied: &mut dyn FnMut(u64)) -> Result<(), CopyError> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                output.write_all(&buffer[..read]).map_err(CopyError::Write)?;
                copied(read as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(CopyError::Read(error)),
        }
    }
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> FetchError {
    let path = path.to_owned();
    move |reason| FetchError::Write { path, reason }
}
