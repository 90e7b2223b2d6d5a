//! AUROC by batch size, at equal images seen and at equal steps.

use std::collections::BTreeSet;

use super::Study;
use crate::data::Dataset;
use crate::results::columns::{Column, auroc, columns, common_classes, note};
use crate::results::text::{BLANK, class_list, grouped, markdown_table, summary_cells};
use crate::results::{Panel, Point, Rows, Series, Summary};

/// What is held equal while the batch size changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Images that each network sees at equal images seen.
    pub images_seen: u64,
    /// Steps of each network at equal steps.
    pub steps: u64,
}

/// The study of the batch size: a part for each network on each data set.
#[derive(Debug)]
pub struct BatchSizeStudy<'a> {
    budget: Budget,
    note: String,
    parts: Vec<Part<'a>>,
}

#[derive(Debug)]
struct Part<'a> {
    dataset: Dataset,
    columns: Vec<Column<'a>>,
    /// Those that every batch size ran.
    classes: BTreeSet<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Equal {
    Images,
    Steps,
}

impl Budget {
    /// Steps of `batch_size` images that show at least the images of the budget; a batch size of 0 counts as 1.
    pub fn steps_at(&self, batch_size: u64) -> u64 {
        self.images_seen.div_ceil(batch_size.max(1))
    }

    /// Whether a network belongs to a series; at equal images seen, what the last batch has too many or too few is let
    /// pass.
    fn holds(&self, equal: Equal, column: &Column) -> bool {
        match equal {
            Equal::Images => seen(column).abs_diff(self.images_seen) < column.arm.batch_size,
            Equal::Steps => column.arm.steps == self.steps,
        }
    }
}

impl Equal {
    const ALL: [Self; 2] = [Self::Images, Self::Steps];

    fn name(self) -> &'static str {
        match self {
            Self::Images => "equal images seen",
            Self::Steps => "equal steps",
        }
    }
}

impl<'a> BatchSizeStudy<'a> {
    /// The study of those of `rows` that hold to `budget`, of networks that were run at two batch sizes or more; a row
    /// may belong to both series.
    pub fn new(rows: &'a Rows, budget: Budget) -> Self {
        let mut parts = Vec::new();
        for dataset in rows.datasets() {
            let mut columns = columns(rows, dataset);
            columns.retain(|column| Equal::ALL.iter().any(|&equal| budget.holds(equal, column)));
            let alike = |a: &Column, b: &Column| a.arm.title() == b.arm.title();
            let several = columns.chunk_by(alike).filter(|columns| batch_sizes(columns).len() > 1);
            parts.extend(several.map(|columns| {
                let classes = common_classes(columns);
                Part { dataset, columns: columns.to_vec(), classes }
            }));
        }
        Self { budget, note: String::new(), parts }
    }

    /// Adds a line for the reader, such as what batch norm does.
    pub fn with_note(mut self, note: &str) -> Self {
        note.clone_into(&mut self.note);
        self
    }
}

impl Study for BatchSizeStudy<'_> {
    const NAME: &'static str = "batch-size";
    const HEADER: &'static [&'static str] = &[
        "dataset",
        "network",
        "structure",
        "series",
        "batch_size",
        "steps",
        "images_seen",
        "classes",
        "auroc_mean",
        "auroc_sd",
        "seeds",
    ];

    /// A table for each network on each data set.
    fn markdown(&self) -> String {
        let Budget { images_seen, steps } = self.budget;
        let mut text = format!(
            "# Batch size\n\nOne series sees {} images at every batch size, the other trains for {} steps. AUROC by \
             latent distance, in percent: mean over the classes that every batch size ran, ± sample standard deviation \
             over the n seeds that ran all of them.\n\n{}![AUROC by batch size](batch-size.svg)\n",
            grouped(images_seen),
            grouped(steps),
            if self.note.is_empty() { String::new() } else { format!("{}\n\n", self.note) }
        );
        if self.parts.is_empty() {
            text += "\nNo network was run at two batch sizes.\n";
        }
        for part in &self.parts {
            text += &format!("\n## {}\n\n", part.title());
            if part.classes.is_empty() {
                text += "No class was run at every batch size.\n";
                continue;
            }
            let header = ["batch size", "equal images seen", "steps", "equal steps", "images seen"].map(String::from);
            let rows = batch_sizes(&part.columns).into_iter().map(|size| {
                let find = |equal| {
                    let mut of_size = part.columns.iter().filter(|column| column.arm.batch_size == size);
                    of_size.find(|column| self.budget.holds(equal, column))
                };
                let auroc = |column: Option<&Column>| {
                    column.map_or_else(|| BLANK.into(), |column| column.marked_mean(&part.classes))
                };
                let (images, steps) = (find(Equal::Images), find(Equal::Steps));
                vec![
                    size.to_string(),
                    auroc(images),
                    images.map_or_else(|| BLANK.into(), |column| grouped(column.arm.steps)),
                    auroc(steps),
                    steps.map_or_else(|| BLANK.into(), |column| grouped(seen(column))),
                ]
            });
            text += &markdown_table(&header, &rows.collect::<Vec<_>>());
            text += note(&part.columns);
        }
        text
    }

    fn panels(&self) -> Vec<Panel> {
        self.parts.iter().map(|part| part.panel(self.budget)).collect()
    }

    fn records(&self) -> Vec<Vec<String>> {
        let mut records = Vec::new();
        for part in &self.parts {
            for equal in Equal::ALL {
                let members = part.columns.iter().filter(|column| self.budget.holds(equal, column));
                records.extend(members.map(|column| part.record(equal, column)));
            }
        }
        records
    }
}

impl Part<'_> {
    fn title(&self) -> String {
        let network = self.columns.first().map_or_else(String::new, |column| column.arm.title());
        format!("{}, {network}, mean of {}", self.dataset, class_list(&self.classes))
    }

    fn mean(&self, column: &Column) -> Option<Summary> {
        column.mean(&self.classes, auroc)
    }

    fn record(&self, equal: Equal, column: &Column) -> Vec<String> {
        let arm = column.arm;
        let mut record: Vec<_> =
            [self.dataset.name(), arm.network, arm.structure, equal.name()].map(String::from).into();
        record.extend([arm.batch_size, arm.steps, seen(column)].map(|n| n.to_string()));
        let classes: Vec<_> = self.classes.iter().map(u8::to_string).collect();
        record.push(classes.join(" "));
        record.extend(summary_cells(self.mean(column)));
        record
    }

    fn panel(&self, budget: Budget) -> Panel {
        let log2 = |column: &Column| (column.arm.batch_size as f64).log2();
        let series = Equal::ALL.map(|equal| {
            let members = self.columns.iter().filter(|column| budget.holds(equal, column));
            let point = |column: &Column| {
                let Summary { mean, sd, .. } = self.mean(column)?;
                Some(Point { x: log2(column), y: mean, sd })
            };
            let name = match equal {
                Equal::Images => format!("equal images seen ({})", grouped(budget.images_seen)),
                Equal::Steps => format!("equal steps ({})", grouped(budget.steps)),
            };
            Series { name, points: members.filter_map(point).collect() }
        });
        Panel {
            title: self.title(),
            x_label: "batch size, images a step (log scale)".into(),
            y_label: "AUROC, percent, ± sd over seeds".into(),
            ticks: batch_sizes(&self.columns)
                .into_iter()
                .map(|size| ((size as f64).log2(), size.to_string()))
                .collect(),
            series: series.into(),
            lines: true,
        }
    }
}

/// Images that a network saw.
fn seen(column: &Column) -> u64 {
    column.arm.steps.saturating_mul(column.arm.batch_size)
}

fn batch_sizes(columns: &[Column]) -> BTreeSet<u64> {
    columns.iter().map(|column| column.arm.batch_size).collect()
}
