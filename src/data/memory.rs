//! A bound on the memory of pictures that are being decoded, for all threads together. Who would exceed it waits.

use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::files::read_text;

/// Of the machine's memory the part that pictures may take unless told otherwise: one in so many. Photos of a camera fit
/// in by the dozen.
const PART: u64 = 8;
/// What the largest picture takes. This much is allowed, unless it is more than half of the machine's memory.
const LARGEST: u64 = 7 << 28;
/// The machine's memory where it does not tell.
const UNKNOWN: u64 = 4 << 30;

/// Memory that threads share: each takes some before it decodes a picture, and gives it back afterwards.
#[derive(Debug)]
pub struct MemoryBudget {
    most: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: u64,
    /// The next one to come, and the next one whose turn it is: a large picture waits no longer than those before it.
    arriving: u64,
    served: u64,
}

/// More than the whole budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMuch {
    pub needed: u64,
    pub most: u64,
}

/// Memory that was taken. It goes back when this is dropped.
#[derive(Debug)]
pub(super) struct Lease<'a> {
    budget: &'a MemoryBudget,
    bytes: u64,
}

impl MemoryBudget {
    /// So many bytes.
    pub fn new(most: u64) -> Self {
        Self { most, state: Mutex::new(State { free: most, arriving: 0, served: 0 }), changed: Condvar::new() }
    }

    /// An eighth of this machine's memory, or of what the process's group may have, and enough for the largest picture
    /// unless that is more than half of it.
    pub fn of_machine() -> Self {
        Self::new(part_of(machine_memory().unwrap_or(UNKNOWN)))
    }

    /// Takes so many bytes, and waits until there are as many.
    pub(super) fn take(&self, bytes: u64) -> Result<Lease<'_>, TooMuch> {
        if bytes > self.most {
            return Err(TooMuch { needed: bytes, most: self.most });
        }
        let mut state = self.state();
        let turn = state.arriving;
        state.arriving += 1;
        while state.served != turn || state.free < bytes {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.served += 1;
        state.free -= bytes;
        drop(state);
        self.changed.notify_all();
        Ok(Lease { budget: self, bytes })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What it holds is right between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.budget.state().free += self.bytes;
        self.budget.changed.notify_all();
    }
}

/// Longest file of the system that is read, in bytes.
const MAX_BYTES: u64 = 1 << 16;

fn part_of(memory: u64) -> u64 {
    (memory / PART).max(LARGEST).min(memory / 2)
}

/// Bytes of main memory, or the limit of the control group where that is lower; `None` where the system does not tell.
pub fn machine_memory() -> Option<u64> {
    let text = |path: &str| read_text(Path::new(path), MAX_BYTES).ok();
    let meminfo = text("/proc/meminfo")?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    // The first is of version 2 of control groups, the second of version 1.
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = limits.into_iter().filter_map(|path| text(path)?.trim().parse().ok()).min();
    Some(kibibytes.saturating_mul(1024).min(limit.unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_more_is_taken_at_once_than_there_is() {
        let budget = MemoryBudget::new(100);
        let (held, most) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for thread in 0..8 {
                let (budget, held, most) = (&budget, &held, &most);
                scope.spawn(move || {
                    for bytes in (0..200).map(|n| (n * 7 + thread * 13) % 101) {
                        let lease = budget.take(bytes).unwrap();
                        most.fetch_max(held.fetch_add(bytes, Ordering::SeqCst) + bytes, Ordering::SeqCst);
                        thread::yield_now();
                        held.fetch_sub(bytes, Ordering::SeqCst);
                        drop(lease);
                    }
                });
            }
        });
        let most = most.into_inner();
        assert!((90..=100).contains(&most), "{most}");
        assert_eq!(budget.state().free, 100);
        assert_eq!(budget.take(101).unwrap_err(), TooMuch { needed: 101, most: 100 });
    }

    #[test]
    fn a_large_one_is_not_overtaken_for_ever() {
        let budget = MemoryBudget::new(10);
        let first = budget.take(6).unwrap();
        let (sender, taken) = mpsc::channel();
        let large = sender.clone();
        thread::scope(|scope| {
            let budget = &budget;
            scope.spawn(move || {
                let _lease = budget.take(10).unwrap();
                large.send("large").unwrap();
            });
            while budget.state().arriving < 2 {
                thread::yield_now();
            }
            scope.spawn(move || {
                // There would be room for it.
                let _lease = budget.take(1).unwrap();
                sender.send("small").unwrap();
            });
            assert!(taken.recv_timeout(Duration::from_millis(50)).is_err());
            drop(first);
            assert_eq!([taken.recv().unwrap(), taken.recv().unwrap()], ["large", "small"]);
        });
    }

    #[test]
    fn a_machine_tells_its_memory() {
        if cfg!(target_os = "linux") {
            assert!(machine_memory().unwrap() > 1 << 20);
        }
        assert!(MemoryBudget::of_machine().most > 1 << 20);
        assert_eq!([1, 2, 8, 24, 64].map(|gib| part_of(gib << 30) >> 20), [512, 1024, 1792, 3072, 8192]);
    }
}
