//! Things by their text that several programs share. Those in use stay. Of the others a bounded number is kept, those
//! used last.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A thing, and when it was last used.
pub(super) struct Entry<T> {
    pub value: T,
    used: AtomicU64,
}

/// Things by their text. Whoever holds an [`Arc`] of one uses it.
pub(super) struct Kept<T> {
    held: HashMap<String, Arc<Entry<T>>>,
    /// Most that are kept though nobody uses them.
    unused: usize,
    /// Counts uses.
    clock: u64,
}

impl<T> Kept<T> {
    /// Nothing yet; at most `unused` of what nobody uses will be kept.
    pub(super) fn new(unused: usize) -> Self {
        Self { held: HashMap::new(), unused, clock: 0 }
    }

    pub(super) fn contains(&self, text: &str) -> bool {
        self.held.contains_key(text)
    }

    pub(super) fn insert(&mut self, text: String, value: T) {
        self.held.insert(text, Arc::new(Entry { value, used: AtomicU64::new(self.clock) }));
    }

    /// The thing of this text, which is used from now on.
    pub(super) fn get(&mut self, text: &str) -> Option<Arc<Entry<T>>> {
        let entry = self.held.get(text)?.clone();
        self.clock += 1;
        entry.used.store(self.clock, Ordering::Relaxed);
        Some(entry)
    }

    /// Takes back what somebody used until now.
    pub(super) fn release(&mut self, entries: impl IntoIterator<Item = Arc<Entry<T>>>) {
        self.clock += 1;
        entries.into_iter().for_each(|entry| entry.used.store(self.clock, Ordering::Relaxed));
        self.trim();
    }

    /// Drops what nobody has used for longest, down to the bound.
    pub(super) fn trim(&mut self) {
        let unused = self.held.iter().filter(|(_, entry)| Arc::strong_count(entry) == 1);
        let mut unused: Vec<(u64, String)> =
            unused.map(|(text, entry)| (entry.used.load(Ordering::Relaxed), text.clone())).collect();
        let surplus = unused.len().saturating_sub(self.unused);
        unused.sort_unstable();
        for (_, text) in unused.into_iter().take(surplus) {
            self.held.remove(&text);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(kept: &Kept<u32>) -> Vec<&str> {
        let mut texts: Vec<&str> = kept.held.keys().map(String::as_str).collect();
        texts.sort_unstable();
        texts
    }

    #[test]
    fn what_is_in_use_stays_and_of_the_rest_what_was_used_last() {
        let mut kept = Kept::new(2);
        for (value, text) in ["a", "b", "c", "d"].into_iter().enumerate() {
            kept.insert(text.to_owned(), value as u32);
        }
        let in_use = ["a", "b", "c", "d"].map(|text| kept.get(text).unwrap());
        kept.trim();
        assert_eq!(texts(&kept), ["a", "b", "c", "d"]);
        let [a, b, c, d] = in_use;
        kept.release([b]);
        kept.release([a]);
        kept.release([d]);
        assert_eq!(texts(&kept), ["a", "c", "d"], "b was used longest ago, and c is in use");
        drop(kept.get("a").unwrap());
        kept.release([c]);
        assert_eq!(texts(&kept), ["a", "c"]);
        assert_eq!(kept.get("a").unwrap().value, 0);
        assert!(kept.get("b").is_none() && !kept.contains("d"));
        assert_eq!(kept.len(), 2);
    }
}
