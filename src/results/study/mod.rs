//! Studies: what the batch size does, and what the score does.

mod batch_size;
mod score;

pub use batch_size::{BatchSizeStudy, Budget};
pub use score::ScoreStudy;

use std::collections::BTreeSet;

use super::columns::Column;

/// The classes that every one of the columns ran, so that their means are of the same classes.
fn common_classes<'a>(columns: impl IntoIterator<Item = &'a Column<'a>>) -> BTreeSet<u8> {
    let sets = columns.into_iter().map(Column::classes);
    sets.reduce(|common, classes| &common & &classes).unwrap_or_default()
}
