//! What pages are made of: charts with legends, and tables. They know neither runs nor templates.

use super::charts::Ink;

/// A chart with its heading and legend.
pub(super) struct Figure {
    pub title: String,
    /// What it shows, for who cannot see it.
    pub alt: String,
    pub svg: String,
    pub legend: Vec<Entry>,
}

/// A line of a legend.
pub(super) struct Entry {
    pub name: String,
    /// Classes of its swatch.
    pub class: String,
}

/// A table whose first column names the rows.
pub(super) struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Entry {
    /// A line.
    pub(super) fn new(ink: Ink, name: &str) -> Self {
        let dashed = if ink.dashed() { " dashed" } else { "" };
        Self { name: name.to_owned(), class: format!("{}{dashed}", ink.class()) }
    }

    /// A field.
    pub(super) fn filled(ink: Ink, name: &str) -> Self {
        Self { name: name.to_owned(), class: format!("{} filled", ink.class()) }
    }
}

impl Table {
    /// Rows as long as the header.
    pub(super) fn new(header: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self { header: header.iter().map(|&name| name.to_owned()).collect(), rows }
    }
}
