//! Tables as Markdown, and figures as text.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Gain, ResultsError, Summary};
use crate::data::CLASSES;
use crate::run::write_whole;

/// What stands where nothing is known.
pub(super) const BLANK: &str = "–";

/// A text, or a blank.
pub(super) fn or_blank(text: Option<String>) -> String {
    text.unwrap_or_else(|| BLANK.into())
}

/// A Markdown table: the first column to the left, the others to the right. Short rows are filled up.
pub(super) fn markdown_table(header: &[String], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column)).chain(header.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
        })
        .collect();
    let line = |cells: &[String]| {
        let mut text = String::from("|");
        for (column, &width) in widths.iter().enumerate() {
            let cell = cells.get(column).map_or(BLANK, String::as_str);
            text += &if column == 0 { format!(" {cell:<width$} |") } else { format!(" {cell:>width$} |") };
        }
        text + "\n"
    };
    let rule = widths.iter().enumerate().map(|(column, &width)| {
        if column == 0 { format!("{}|", "-".repeat(width + 2)) } else { format!("{}:|", "-".repeat(width + 1)) }
    });
    let rule: String = rule.collect();
    line(header) + "|" + &rule + "\n" + &rows.iter().map(|row| line(row)).collect::<String>()
}

/// Writes a text file whole.
pub(super) fn write_text(path: &Path, text: &str) -> Result<(), ResultsError> {
    Ok(write_whole(path, |out| out.write_all(text.as_bytes()))?)
}

/// `97.31 ± 0.12, n 3`, or a blank.
pub(super) fn summary(summary: Option<Summary>) -> String {
    or_blank(summary.map(|Summary { mean, sd, n }| {
        let sd = sd.map_or_else(String::new, |sd| format!(" ± {sd:.2}"));
        format!("{mean:.2}{sd}, n {n}")
    }))
}

/// `+1.04 (+0.39 to +1.69), 30 pairs`, or a blank.
pub(super) fn gain(gain: Option<Gain>) -> String {
    let Some(Gain { mean, half_width, pairs, .. }) = gain else { return BLANK.into() };
    let interval = half_width.map(|half| format!(" ({:+.2} to {:+.2})", mean - half, mean + half)).unwrap_or_default();
    format!("{mean:+.2}{interval}, {pairs} {}", if pairs == 1 { "pair" } else { "pairs" })
}

/// Mean, standard deviation and number, a cell each; empty where there is none.
pub(super) fn summary_cells(summary: Option<Summary>) -> [String; 3] {
    let cell = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
    [
        cell(summary.map(|summary| summary.mean)),
        cell(summary.and_then(|summary| summary.sd)),
        summary.map_or_else(String::new, |summary| summary.n.to_string()),
    ]
}

/// `ten classes`, or those there are by number; `no class`.
pub(super) fn class_list(classes: &BTreeSet<u8>) -> String {
    let numbers: Vec<_> = classes.iter().map(u8::to_string).collect();
    match classes.len() {
        count if count == usize::from(CLASSES) => "ten classes".into(),
        0 => "no class".into(),
        1 => format!("class {}", numbers.join(", ")),
        _ => format!("classes {}", numbers.join(", ")),
    }
}

/// `mean`, followed by the classes where they are not all ten.
pub(super) fn mean_key(classes: &BTreeSet<u8>) -> String {
    if classes.len() == usize::from(CLASSES) {
        return "mean".into();
    }
    classes.iter().fold("mean of".into(), |key, class| format!("{key} {class}"))
}

/// A count with commas between thousands.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
