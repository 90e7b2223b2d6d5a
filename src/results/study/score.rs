//! AUROC by what is taken as the score: latent distance or reconstruction error.

use std::collections::BTreeSet;

use super::Study;
use crate::data::Dataset;
use crate::results::classes::{class_name, class_title};
use crate::results::columns::{Column, Figure, auroc, columns, note};
use crate::results::text::{class_list, grouped, markdown_table, mean_key, summary, summary_cells};
use crate::results::{Panel, Point, Rows, Series, Summary};

const SCORES: [(&str, Figure); 3] = [
    ("latent distance", auroc),
    ("reconstruction error L1", |row| 100.0 * row.reconstruction_auroc_l1),
    ("reconstruction error L2", |row| 100.0 * row.reconstruction_auroc_l2),
];

/// The study of the score: a part for each network on each data set.
#[derive(Debug)]
pub struct ScoreStudy<'a> {
    parts: Vec<Part<'a>>,
}

#[derive(Debug)]
struct Part<'a> {
    dataset: Dataset,
    column: Column<'a>,
}

impl<'a> ScoreStudy<'a> {
    /// The study of `rows`.
    pub fn new(rows: &'a Rows) -> Self {
        let parts = |dataset| columns(rows, dataset).into_iter().map(move |column| Part { dataset, column });
        Self { parts: rows.datasets().flat_map(parts).collect() }
    }
}

impl Study for ScoreStudy<'_> {
    const NAME: &'static str = "score";
    const HEADER: &'static [&'static str] = &[
        "dataset",
        "network",
        "structure",
        "steps",
        "batch_size",
        "score",
        "normal",
        "auroc_mean",
        "auroc_sd",
        "seeds",
    ];

    /// A table for each network on each data set.
    fn markdown(&self) -> String {
        let mut text = String::from(
            "# Score\n\nThe same networks, judged by the distance of their two latent vectors, by the mean absolute (L1) \
             and by the mean squared (L2) error of their reconstructions. AUROC in percent: mean ± sample standard \
             deviation over n seeds.\n\n![AUROC by score](score.svg)\n",
        );
        for part in &self.parts {
            let mut header = vec!["normal class".to_string()];
            header.extend(SCORES.map(|(name, _)| name.into()));
            let rows: Vec<_> = part
                .lines()
                .into_iter()
                .map(|classes| {
                    let mut cells = vec![part.line_title(&classes) + part.column.mark(&classes)];
                    cells.extend(SCORES.map(|(_, figure)| summary(part.column.mean(&classes, figure))));
                    cells
                })
                .collect();
            let table = markdown_table(&header, &rows);
            text += &format!("\n## {}\n\n{table}{}", part.title(), note(&table));
        }
        text
    }

    fn panels(&self) -> Vec<Panel> {
        self.parts.iter().map(Part::panel).collect()
    }

    fn records(&self) -> Vec<Vec<String>> {
        self.parts.iter().flat_map(Part::records).collect()
    }
}

impl Part<'_> {
    fn title(&self) -> String {
        let arm = self.column.arm;
        format!("{}, {}, {} steps of batch size {}", self.dataset, arm.title(), grouped(arm.steps), arm.batch_size)
    }

    /// Places to the right of what lines are of: the mean stands apart.
    fn places(&self) -> Vec<(f64, BTreeSet<u8>)> {
        let place = |(place, classes): (usize, BTreeSet<u8>)| {
            let apart = if classes.len() > 1 { 0.5 } else { 0.0 };
            (place as f64 + apart, classes)
        };
        self.lines().into_iter().enumerate().map(place).collect()
    }

    /// What the lines of a table are of: each class by itself, then all of them.
    fn lines(&self) -> Vec<BTreeSet<u8>> {
        let classes = self.column.classes();
        let mut lines: Vec<_> = classes.iter().map(|&class| BTreeSet::from([class])).collect();
        if classes.len() > 1 {
            lines.push(classes);
        }
        lines
    }

    fn line_title(&self, classes: &BTreeSet<u8>) -> String {
        match classes.first() {
            Some(&class) if classes.len() == 1 => class_title(self.dataset.name(), class),
            _ => format!("mean of {}", class_list(classes)),
        }
    }

    fn records(&self) -> Vec<Vec<String>> {
        let arm = self.column.arm;
        let mut records = Vec::new();
        for (score, figure) in SCORES {
            for classes in self.lines() {
                let normal = match classes.first() {
                    Some(class) if classes.len() == 1 => class.to_string(),
                    _ => mean_key(&classes),
                };
                let mut record: Vec<_> = [self.dataset.name(), arm.network, arm.structure].map(String::from).into();
                record.extend([arm.steps.to_string(), arm.batch_size.to_string(), score.into(), normal]);
                record.extend(summary_cells(self.column.mean(&classes, figure)));
                records.push(record);
            }
        }
        records
    }

    fn panel(&self) -> Panel {
        let places = self.places();
        let series = SCORES.map(|(name, figure)| {
            let points = places.iter().filter_map(|(place, classes)| {
                let Summary { mean, sd, .. } = self.column.mean(classes, figure)?;
                Some(Point { x: *place, y: mean, sd })
            });
            Series { name: name.into(), points: points.collect() }
        });
        let tick = |classes: &BTreeSet<u8>| match classes.first() {
            Some(&class) if classes.len() == 1 => class_name(self.dataset.name(), class),
            _ => "mean".into(),
        };
        Panel {
            title: self.title(),
            x_label: "normal class".into(),
            y_label: "AUROC, percent, ± sd over seeds".into(),
            ticks: places.iter().map(|(place, classes)| (*place, tick(classes))).collect(),
            series: series.into(),
            lines: false,
        }
    }
}
