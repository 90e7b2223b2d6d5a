//! What can go wrong in fetching a data set, said in one line.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::TooSlow;
use crate::data::DataError;

/// Why a data set could not be fetched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// An address of another kind than HTTP.
    #[error("{address}: not an address of the web; give one that begins with https:// or http://")]
    Address {
        /// The address given.
        address: String,
    },
    /// The request cannot be made.
    #[error("{url}: {reason}; check the address and the network, or name another with --mirror URL")]
    Request {
        /// What was asked for.
        url: String,
        /// The failure itself.
        reason: io::Error,
    },
    /// The connection failed or was cut, time and again.
    #[error("{url}: connection failed after {received} bytes: {reason}; fetch again to go on from there")]
    Connection {
        /// What was asked for.
        url: String,
        /// Bytes of the file on disk.
        received: u64,
        /// The failure itself.
        reason: io::Error,
    },
    /// The file arrives, but too slowly.
    #[error("{url}: too slow after {received} bytes: {reason}; fetch again later, or name another with --mirror URL")]
    Slow {
        /// What was asked for.
        url: String,
        /// Bytes of the file on disk.
        received: u64,
        /// How slow.
        reason: TooSlow,
    },
    /// The server leads to where nothing is fetched from.
    #[error(
        "{url}: the server leads to {to}, which is not followed: only https, or from http also http; name another \
         address with --mirror URL"
    )]
    Redirect {
        /// What was asked for.
        url: String,
        /// Where it leads.
        to: String,
    },
    /// The server leads on and on.
    #[error("{url}: more than {limit} redirects, one after the other; name another address with --mirror URL")]
    Redirects {
        /// What was asked for.
        url: String,
        /// Most that are followed.
        limit: usize,
    },
    /// The server answers something else than the file.
    #[error("{url}: the server answers with status {status}; try later, or name another address with --mirror URL")]
    Status {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// More bytes than the file can have.
    #[error("{url}: longer than {limit} bytes, so not the published file; name another address with --mirror URL")]
    TooLong {
        /// What was asked for.
        url: String,
        /// The most bytes that are taken.
        limit: u64,
    },
    /// Neither the packed file nor what is in it is what was published.
    #[error(
        "{url}: not the published file: its md5 sum is {found}, not {expected}; fetch again, or name another address \
         with --mirror URL"
    )]
    Unpublished {
        /// What was asked for.
        url: String,
        /// The sum computed, in hexadecimal.
        found: String,
        /// The sum published.
        expected: String,
    },
    /// The archive cannot be unpacked.
    #[error("{}: the archive is damaged: {}; fetch it again", archive.display(), printable(reason))]
    Archive {
        /// The archive.
        archive: PathBuf,
        /// The failure itself.
        reason: io::Error,
    },
    /// The archive has more entries than the published one can have.
    #[error("{}: more than {limit} entries, so not the published archive; name another with --mirror URL", archive.display())]
    TooManyEntries {
        /// The archive.
        archive: PathBuf,
        /// The most entries that are looked at.
        limit: usize,
    },
    /// The archive has an entry that the published one cannot have, or lacks one.
    #[error(
        "{}: entry {entry:?} {fault}, so not the published archive; name another with --mirror URL",
        archive.display()
    )]
    Entry {
        /// The archive.
        archive: PathBuf,
        /// Name of the entry.
        entry: String,
        /// What is wrong with it.
        fault: EntryFault,
    },
    /// Another process fetches into the folder.
    #[error("{}: another process is fetching into it; wait until it is done", folder.display())]
    InUse {
        /// The data set's folder.
        folder: PathBuf,
    },
    /// What was unpacked is not right.
    #[error(transparent)]
    Contents(#[from] DataError),
    /// A file or folder cannot be written.
    #[error("{}: cannot be written: {reason}; check its folder's permissions and room", path.display())]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// The failure itself.
        reason: io::Error,
    },
}

/// A message that may quote an archive's bytes, which are nothing to send to a terminal.
fn printable(reason: &io::Error) -> String {
    reason.to_string().replace(char::is_control, "\u{fffd}")
}

/// What is wrong with an entry of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryFault {
    /// It does not lie in the folder of the archive.
    Outside,
    /// It is neither a file nor the folder of the archive.
    Kind,
    /// Its length is another than that published, or more than an unknown file may have.
    Size(u64),
    /// It is there a second time.
    Twice,
    /// It is not there.
    Missing,
}

impl fmt::Display for EntryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside => f.write_str("lies outside the archive's folder"),
            Self::Kind => f.write_str("is no file"),
            Self::Size(size) => write!(f, "has {size} bytes"),
            Self::Twice => f.write_str("comes twice"),
            Self::Missing => f.write_str("is missing"),
        }
    }
}
