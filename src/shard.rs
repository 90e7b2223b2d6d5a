//! One part of some work, for the array jobs of a cluster.

use std::str::FromStr;

/// One part of so many, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    part: usize,
    parts: usize,
}

impl Shard {
    /// Whether the piece of this number, from 0, belongs to it: pieces are dealt out in turn.
    pub fn has(self, piece: usize) -> bool {
        piece % self.parts == self.part - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("`{text}` is no part; write 1/4 for the first of four");
        let (part, parts) = text.split_once('/').ok_or_else(malformed)?;
        let [part, parts] = [part, parts].map(|number| number.trim().parse::<usize>().ok().filter(|&n| n > 0));
        match (part, parts) {
            (Some(part), Some(parts)) if part <= parts => Ok(Self { part, parts }),
            _ => Err(malformed()),
        }
    }
}
