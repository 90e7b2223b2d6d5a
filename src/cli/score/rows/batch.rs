//! Rows in columns, for the formats of data frames: `path`, `score`, `p_value`, `verdict`, `error` and perhaps `boxes`, of which
//! all but the first may be null. So many rows are gathered as fit in little memory.

use super::{Row, text};

/// Most rows of a batch.
const MAX_ROWS: usize = 1 << 16;
/// Bytes of its texts, at most and one row.
const MAX_TEXT: usize = 16 << 20;

/// Some rows, column by column.
#[derive(Default)]
pub(super) struct Batch {
    pub paths: Vec<String>,
    pub scores: Vec<Option<f32>>,
    pub p_values: Vec<Option<f64>>,
    pub verdicts: Vec<Option<&'static str>>,
    pub errors: Vec<Option<String>>,
    pub boxes: Vec<Option<String>>,
    text: usize,
}

impl Batch {
    pub(super) fn add(&mut self, row: &Row) {
        let (score, decision, error) = match row.result {
            Ok((score, decision)) => (Some(score), Some(decision), None),
            Err(error) => (None, None, Some(error.to_owned())),
        };
        let boxes = row.boxes.filter(|_| error.is_none()).map(text);
        self.text += row.path.len() + [&error, &boxes].into_iter().flatten().map(String::len).sum::<usize>();
        self.paths.push(row.path.to_owned());
        self.scores.push(score);
        self.p_values.push(decision.and_then(|decision| decision.p_value));
        self.verdicts.push(decision.and_then(|decision| decision.verdict()));
        self.errors.push(error);
        self.boxes.push(boxes);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether it should be written before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.paths.len() >= MAX_ROWS || self.text >= MAX_TEXT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_full_of_rows_or_of_text() {
        let [short, long] = ["a".to_owned(), "a".repeat(1 << 16)];
        for (path, rows) in [(short, MAX_ROWS), (long, MAX_TEXT >> 16)] {
            let mut batch = Batch::default();
            while !batch.is_full() {
                batch.add(&Row { path: &path, result: Err(""), boxes: None });
            }
            assert_eq!(batch.paths.len(), rows);
        }
    }
}
