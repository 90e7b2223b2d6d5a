//! A part of a grid, for array jobs of a cluster.

use std::path::Path;
use std::str::FromStr;

use pkdgan::unstable::reproduce::Cell;

/// One part of so many, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    part: usize,
    parts: usize,
}

impl Shard {
    /// Its cells: those of every so many-th class and seed, so that students stay with their teachers.
    pub(super) fn cells(self, cells: Vec<Cell>) -> Vec<Cell> {
        let spot = |cell: &Cell| cell.folder.parent().map(Path::to_owned);
        let mut spots = Vec::new();
        let mut mine = |cell: &Cell| {
            if spots.last() != Some(&spot(cell)) {
                spots.push(spot(cell));
            }
            (spots.len() - 1) % self.parts == self.part - 1
        };
        cells.into_iter().filter(|cell| mine(cell)).collect()
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("`{text}` is no part of a grid; write 1/4 for the first of four");
        let (part, parts) = text.split_once('/').ok_or_else(malformed)?;
        let [part, parts] = [part, parts].map(|number| number.trim().parse::<usize>().ok().filter(|&n| n > 0));
        match (part, parts) {
            (Some(part), Some(parts)) if part <= parts => Ok(Self { part, parts }),
            _ => Err(malformed()),
        }
    }
}
