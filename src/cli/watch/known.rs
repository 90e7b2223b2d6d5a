//! Which pictures are done: by path, size and time.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};
use sha2::{Digest, Sha256};

/// What tells a picture from a later one of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Bytes.
    pub size: u64,
    /// When it was last written, in nanoseconds since 1970.
    modified: i64,
}

impl Stamp {
    pub(super) fn new(size: u64, modified: SystemTime) -> Self {
        let nanoseconds = |time: std::time::Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let modified = match modified.duration_since(UNIX_EPOCH) {
            Ok(after) => nanoseconds(after),
            Err(before) => -nanoseconds(before.duration()),
        };
        Self { size, modified }
    }

    /// That of a file; none where there is no file, or no longer.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let there = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        // Where the system tells no time, the size alone has to do.
        Some(Self::new(there.len(), there.modified().unwrap_or(UNIX_EPOCH)))
    }

    /// What rows say: a size, and a time as RFC 3339 writes it.
    pub(super) fn read(size: u64, modified: &str) -> Option<Self> {
        let modified = DateTime::parse_from_rfc3339(modified).ok()?.timestamp_nanos_opt()?;
        Some(Self { size, modified })
    }

    /// The time as RFC 3339 writes it, in UTC.
    pub(super) fn modified(&self) -> String {
        DateTime::from_timestamp_nanos(self.modified).to_rfc3339_opts(SecondsFormat::Nanos, true)
    }

    /// How long ago it was written, by this machine's clock; not at all where the clock of the file's system is ahead.
    pub(super) fn age(&self, now: SystemTime) -> std::time::Duration {
        let now = Self::new(0, now).modified;
        std::time::Duration::from_nanos(now.saturating_sub(self.modified).max(0).unsigned_abs())
    }
}

/// The pictures that have a row, and others that are to have none. Millions may come: of a path 16 bytes are kept.
#[derive(Default)]
pub(super) struct Known(HashMap<[u8; 16], Stamp>);

impl Known {
    /// Whether this is the picture that is done, and no later one.
    pub(super) fn has(&self, path: &str, stamp: Stamp) -> bool {
        self.0.get(&key(path)) == Some(&stamp)
    }

    /// It is done. Another of the same name is forgotten.
    pub(super) fn add(&mut self, path: &str, stamp: Stamp) {
        self.0.insert(key(path), stamp);
    }
}

fn key(path: &str) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(path).into();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn stamps_are_read_as_they_are_written() {
        for nanoseconds in [0, 1, 999_999_999, 1_764_471_901_123_456_789] {
            for time in [UNIX_EPOCH + Duration::from_nanos(nanoseconds), UNIX_EPOCH - Duration::from_nanos(nanoseconds)]
            {
                let stamp = Stamp::new(7, time);
                assert_eq!(Stamp::read(7, &stamp.modified()), Some(stamp), "{}", stamp.modified());
            }
        }
        let time = UNIX_EPOCH + Duration::from_nanos(1_764_471_901_123_456_789);
        assert_eq!(Stamp::new(7, time).modified(), "2025-11-30T03:05:01.123456789Z");
        assert_eq!(Stamp::read(7, "yesterday"), None);
        assert_eq!(Stamp::new(7, time).age(time + Duration::from_secs(2)), Duration::from_secs(2));
        assert_eq!(Stamp::new(7, time).age(time - Duration::from_secs(2)), Duration::ZERO);
    }

    #[test]
    fn a_later_picture_of_the_same_name_is_another() {
        let mut known = Known::default();
        let [early, late] = [1, 2].map(|second| Stamp::new(7, UNIX_EPOCH + Duration::from_secs(second)));
        assert!(!known.has("a", early));
        known.add("a", early);
        assert!(known.has("a", early) && !known.has("a", late) && !known.has("b", early));
        known.add("a", late);
        assert!(!known.has("a", early) && known.has("a", late));
    }
}
