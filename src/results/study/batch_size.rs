//! AUROC by batch size, at equal images seen and at equal steps.

use std::collections::BTreeSet;

use super::Study;
use crate::config::Statistics;
use crate::data::Dataset;
use crate::results::columns::{Column, auroc, columns, common_classes, note};
use crate::results::text::{class_list, grouped, markdown_table, or_blank, summary_cells};
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
    parts: Vec<Part<'a>>,
}

#[derive(Debug)]
struct Part<'a> {
    dataset: Dataset,
    columns: Vec<Column<'a>>,
    /// Where batch norm took its statistics from in scoring.
    statistics: BTreeSet<Statistics>,
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

    /// What differs between batch sizes.
    fn free(self) -> &'static str {
        match self {
            Self::Images => "steps",
            Self::Steps => "images seen",
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
            let alike = |a: &Column, b: &Column| a.arm.network_title() == b.arm.network_title();
            let several = columns.chunk_by(alike).filter(|columns| batch_sizes(columns).len() > 1);
            parts.extend(several.map(|columns| {
                let classes = common_classes(columns);
                let statistics = columns.iter().map(|column| column.arm.statistics).collect();
                Part { dataset, columns: columns.to_vec(), statistics, classes }
            }));
        }
        Self { budget, parts }
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
        "statistics",
    ];

    /// A table for each network on each data set.
    fn markdown(&self) -> String {
        let Budget { images_seen, steps } = self.budget;
        let mut text = format!(
            "# Batch size\n\nOne series sees {} images at every batch size, the other trains for {} steps. AUROC by \
             latent distance, in percent: mean over the classes that every batch size ran, ± sample standard deviation \
             over the n seeds that ran all of them.\n\nEvery other setting, the learning rate included, is the same \
             throughout. `running` scores by running averages of training's batches, `per-image` the same network by the \
             statistics of each image.\n\n![AUROC by batch size](batch-size.svg)\n",
            grouped(images_seen),
            grouped(steps),
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
            let table = part.table(self.budget);
            text += &table;
            text += note(&table);
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
        let network = self.columns.first().map_or_else(String::new, |column| column.arm.network_title());
        format!("{}, {network}, mean of {}", self.dataset, class_list(&self.classes))
    }

    fn mean(&self, column: &Column) -> Option<Summary> {
        column.mean(&self.classes, auroc)
    }

    /// A row for each batch size: the AUROC of each series by each kind of statistics, then what that series leaves free.
    fn table(&self, budget: Budget) -> String {
        let mut header = vec!["batch size".to_owned()];
        for equal in Equal::ALL {
            header.extend(self.statistics.iter().map(|&statistics| self.series(equal, statistics)));
            header.push(equal.free().into());
        }
        let rows = batch_sizes(&self.columns).into_iter().map(|size| {
            let mut row = vec![size.to_string()];
            for equal in Equal::ALL {
                let members = |column: &&Column| column.arm.batch_size == size && budget.holds(equal, column);
                let members: Vec<_> = self.columns.iter().filter(members).collect();
                row.extend(self.statistics.iter().map(|&statistics| {
                    let column = members.iter().find(|column| column.arm.statistics == statistics);
                    or_blank(column.map(|column| column.marked_mean(&self.classes)))
                }));
                let free = members.first().map(|column| match equal {
                    Equal::Images => column.arm.steps,
                    Equal::Steps => seen(column),
                });
                row.push(or_blank(free.map(grouped)));
            }
            row
        });
        markdown_table(&header, &rows.collect::<Vec<_>>())
    }

    /// The name of a series; it says the statistics where there are several kinds.
    fn series(&self, equal: Equal, statistics: Statistics) -> String {
        let name = equal.name();
        if self.statistics.len() > 1 { format!("{name}, {}", statistics.name()) } else { name.into() }
    }

    fn record(&self, equal: Equal, column: &Column) -> Vec<String> {
        let arm = column.arm;
        let mut record: Vec<_> =
            [self.dataset.name(), arm.network, arm.structure, equal.name()].map(String::from).into();
        record.extend([arm.batch_size, arm.steps, seen(column)].map(|n| n.to_string()));
        let classes: Vec<_> = self.classes.iter().map(u8::to_string).collect();
        record.push(classes.join(" "));
        record.extend(summary_cells(self.mean(column)));
        record.push(arm.statistics.name().into());
        record
    }

    fn panel(&self, budget: Budget) -> Panel {
        let log2 = |column: &Column| (column.arm.batch_size as f64).log2();
        let kinds = Equal::ALL.into_iter().flat_map(|equal| self.statistics.iter().map(move |&kind| (equal, kind)));
        let series = kinds.map(|(equal, statistics)| {
            let of_kind = |column: &&Column| column.arm.statistics == statistics && budget.holds(equal, column);
            let members = self.columns.iter().filter(of_kind);
            let point = |column: &Column| {
                let Summary { mean, sd, .. } = self.mean(column)?;
                Some(Point { x: log2(column), y: mean, sd })
            };
            let held = match equal {
                Equal::Images => budget.images_seen,
                Equal::Steps => budget.steps,
            };
            let name = format!("{} ({})", self.series(equal, statistics), grouped(held));
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
            series: series.collect(),
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
