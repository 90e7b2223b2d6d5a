//! When each picture that arrives is to be scored: at once where it is complete, else once it has been quiet for a while. It
//! opens no file.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::known::Stamp;

/// The files that are still to be scored.
pub(super) struct Arrivals {
    /// How long a file must be quiet before it is taken for what it is.
    settle: Duration,
    files: HashMap<PathBuf, Waiting>,
    /// The same by when they are due.
    order: BTreeSet<(Instant, PathBuf)>,
}

/// A file that is to be scored.
struct Waiting {
    due: Instant,
    /// What it was when it was last looked at, and since when.
    seen: Option<(Stamp, Instant)>,
}

impl Arrivals {
    pub(super) fn new(settle: Duration) -> Self {
        Self { settle, files: HashMap::new(), order: BTreeSet::new() }
    }

    /// Files that wait.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// A file was made or written to, and may be written to again.
    pub(super) fn touched(&mut self, path: PathBuf, now: Instant) {
        self.expect(path, now + self.settle);
    }

    /// A file was closed after writing, or moved here.
    pub(super) fn complete(&mut self, path: PathBuf, now: Instant) {
        self.expect(path, now);
    }

    /// A file is there, written so long ago. What waits already goes on to.
    pub(super) fn found(&mut self, path: PathBuf, age: Duration, now: Instant) {
        if !self.files.contains_key(&path) {
            self.expect(path, if age < self.settle { now + self.settle } else { now });
        }
    }

    /// Files that are due, in the order of that; at most so many. Each stays until it is [`Arrivals::done`].
    pub(super) fn due(&mut self, now: Instant, most: usize) -> Vec<PathBuf> {
        let mut due = Vec::new();
        while due.len() < most && self.order.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.order.pop_first().map(|(_, path)| path));
        }
        due
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// A file that is due is looked at. Whether it has been the same for so long that it is taken for what it is.
    pub(super) fn is_settled(&mut self, path: &Path, stamp: Stamp, now: Instant) -> bool {
        let Some(waiting) = self.files.get_mut(path) else { return false };
        let since = match waiting.seen {
            Some((seen, since)) if seen == stamp => since,
            _ => now,
        };
        waiting.seen = Some((stamp, since));
        now.duration_since(since) >= self.settle
    }

    /// A file cannot be scored yet: again when it has been quiet for long enough.
    pub(super) fn again(&mut self, path: PathBuf, now: Instant) {
        let since = self.files.get(&path).and_then(|waiting| waiting.seen).map_or(now, |(_, since)| since);
        self.expect(path, since + self.settle);
    }

    /// A file waits no more.
    pub(super) fn done(&mut self, path: &Path) {
        if let Some(waiting) = self.files.remove(path) {
            self.order.remove(&(waiting.due, path.to_owned()));
        }
    }

    fn expect(&mut self, path: PathBuf, due: Instant) {
        match self.files.get_mut(&path) {
            Some(waiting) => {
                self.order.remove(&(waiting.due, path.clone()));
                waiting.due = due;
            }
            None => {
                self.files.insert(path.clone(), Waiting { due, seen: None });
            }
        }
        self.order.insert((due, path));
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const SETTLE: Duration = Duration::from_secs(10);

    fn stamp(size: u64) -> Stamp {
        Stamp::new(size, UNIX_EPOCH)
    }

    #[test]
    fn what_is_complete_is_due_at_once_and_what_is_written_when_it_is_quiet() {
        let (start, mut arrivals) = (Instant::now(), Arrivals::new(SETTLE));
        let at = |seconds| start + Duration::from_secs(seconds);
        arrivals.touched("a".into(), at(0));
        arrivals.touched("b".into(), at(0));
        arrivals.touched("a".into(), at(5));
        arrivals.complete("c".into(), at(5));
        assert_eq!(arrivals.due(at(5), 9), [Path::new("c")]);
        assert_eq!(arrivals.next(), Some(at(10)));
        assert_eq!(arrivals.due(at(14), 9), [Path::new("b")]);
        assert_eq!(arrivals.due(at(15), 9), [Path::new("a")]);
        assert_eq!((arrivals.next(), arrivals.len()), (None, 3));
        for path in ["a", "b", "c"] {
            arrivals.done(Path::new(path));
        }
        assert_eq!(arrivals.len(), 0);
        // What is there for long is not waited for, and what waits is not hurried.
        arrivals.found("old".into(), SETTLE, at(20));
        arrivals.found("new".into(), Duration::ZERO, at(20));
        arrivals.found("new".into(), SETTLE, at(21));
        assert_eq!(arrivals.due(at(29), 9), [Path::new("old")]);
        assert_eq!(arrivals.due(at(30), 9), [Path::new("new")]);
        // In order, and no more than wanted.
        for path in ["b", "a", "c"] {
            arrivals.complete(path.into(), at(40));
        }
        assert_eq!(arrivals.due(at(40), 2), [Path::new("a"), Path::new("b")]);
        arrivals.done(Path::new("c"));
        assert!(arrivals.due(at(50), 9).is_empty());
    }

    #[test]
    fn a_file_is_settled_once_it_has_been_the_same_for_long_enough() {
        let (start, mut arrivals) = (Instant::now(), Arrivals::new(SETTLE));
        let at = |seconds| start + Duration::from_secs(seconds);
        let path = Path::new("a");
        arrivals.complete(path.into(), at(0));
        assert_eq!(arrivals.due(at(0), 9), [path]);
        assert!(!arrivals.is_settled(path, stamp(1), at(0)));
        arrivals.again(path.into(), at(1));
        assert!(arrivals.due(at(9), 9).is_empty());
        assert_eq!(arrivals.due(at(10), 9), [path]);
        // It has grown.
        assert!(!arrivals.is_settled(path, stamp(2), at(10)));
        arrivals.again(path.into(), at(12));
        assert_eq!(arrivals.due(at(20), 9), [path]);
        assert!(arrivals.is_settled(path, stamp(2), at(20)));
        assert!(!arrivals.is_settled(Path::new("unknown"), stamp(2), at(20)));
    }
}
