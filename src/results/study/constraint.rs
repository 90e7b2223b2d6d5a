//! AUROC by what holds latent vectors in training.

use std::collections::BTreeSet;

use super::Study;
use crate::data::Dataset;
use crate::results::columns::{Column, Figure, auroc, columns, common_classes, note};
use crate::results::rows::USUAL_LATENTS;
use crate::results::text::{class_list, gain, markdown_table, summary, summary_cells};
use crate::results::{Gain, Panel, Point, Row, Rows, Series, Summary};

/// The study of the constraint: a part for each data set.
#[derive(Debug)]
pub struct ConstraintStudy<'a> {
    parts: Vec<Part<'a>>,
}

#[derive(Debug)]
struct Part<'a> {
    dataset: Dataset,
    /// Teachers; that of the usual constraint first.
    columns: Vec<Column<'a>>,
    /// Those that every teacher ran.
    classes: BTreeSet<u8>,
}

/// AUROC by the mean absolute error of the reconstruction, in percent.
fn reconstruction(row: &Row) -> f64 {
    100.0 * row.reconstruction_auroc_l1
}

impl<'a> ConstraintStudy<'a> {
    /// The study of the teachers among `rows`.
    pub fn new(rows: &'a Rows) -> Self {
        let part = |dataset| {
            let mut columns = columns(rows, dataset);
            columns.retain(|column| column.arm.network == "teacher");
            columns.sort_by_key(|column| (column.arm.latents != USUAL_LATENTS, column.arm.latents));
            let classes = common_classes(&columns);
            Part { dataset, columns, classes }
        };
        Self { parts: rows.datasets().map(part).collect() }
    }
}

impl Study for ConstraintStudy<'_> {
    const NAME: &'static str = "constraint";
    const HEADER: &'static [&'static str] = &[
        "dataset",
        "latents",
        "classes",
        "auroc_mean",
        "auroc_sd",
        "seeds",
        "reconstruction_auroc_l1_mean",
        "reconstruction_auroc_l1_sd",
        "reconstruction_auroc_l1_seeds",
        "gain_mean",
        "gain_half_width",
    ];

    /// A table for each data set.
    fn markdown(&self) -> String {
        let mut text = String::from(
            "# Constraint on latent vectors\n\nTeachers whose latent vectors are scaled to a root mean square of one \
             (`unit-rms`), pass through a hyperbolic tangent (`tanh`) or are left alone (`none`), in training and in \
             scoring; with the latent loss and without. AUROC in percent: mean over the classes that every teacher ran, \
             ± sample standard deviation over the n seeds that ran all of them. Gains are over `unit-rms`, with 95 % \
             intervals over the means of the classes.\n\n![AUROC by constraint](constraint.svg)\n",
        );
        for part in &self.parts {
            text += &format!("\n## {}, mean of {}\n\n", part.dataset, class_list(&part.classes));
            let header = ["latent vectors", "by latent distance", "gain", "by reconstruction error"].map(String::from);
            let rows = part.columns.iter().map(|column| {
                let mark = column.mark(&part.classes);
                vec![
                    format!("{}{mark}", column.arm.latents),
                    summary(part.mean(column, auroc)),
                    gain(part.gain(column)),
                    summary(part.mean(column, reconstruction)),
                ]
            });
            let table = markdown_table(&header, &rows.collect::<Vec<_>>());
            text += &table;
            text += note(&table);
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
    fn mean(&self, column: &Column, figure: Figure) -> Option<Summary> {
        column.mean(&self.classes, figure)
    }

    /// Over the teacher that is held as usual; none of that one itself.
    fn gain(&self, column: &Column) -> Option<Gain> {
        let usual = self.columns.first().filter(|usual| usual.arm.latents == USUAL_LATENTS)?;
        if column.arm == usual.arm { None } else { column.gain(usual) }
    }

    fn records(&self) -> Vec<Vec<String>> {
        let cell = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
        let record = |column: &Column| {
            let classes: Vec<_> = self.classes.iter().map(u8::to_string).collect();
            let mut record = vec![self.dataset.to_string(), column.arm.latents.to_owned(), classes.join(" ")];
            record.extend(summary_cells(self.mean(column, auroc)));
            record.extend(summary_cells(self.mean(column, reconstruction)));
            let gain = self.gain(column);
            record.extend([cell(gain.map(|gain| gain.mean)), cell(gain.and_then(|gain| gain.half_width))]);
            record
        };
        self.columns.iter().map(record).collect()
    }

    fn panel(&self) -> Panel {
        let series = [("by latent distance", auroc as Figure), ("by reconstruction error", reconstruction)];
        let series = series.map(|(name, figure)| {
            let point = |(place, column): (usize, &Column)| {
                let Summary { mean, sd, .. } = self.mean(column, figure)?;
                Some(Point { x: place as f64, y: mean, sd })
            };
            Series { name: name.into(), points: self.columns.iter().enumerate().filter_map(point).collect() }
        });
        let ticks = self.columns.iter().enumerate();
        Panel {
            title: format!("{}, mean of {}", self.dataset, class_list(&self.classes)),
            x_label: "what holds latent vectors".into(),
            y_label: "AUROC, percent, ± sd over seeds".into(),
            ticks: ticks
                .map(|(place, column)| (place as f64, column.arm.latents.replace(", no latent loss", ", no loss")))
                .collect(),
            series: series.into(),
            lines: false,
        }
    }
}
