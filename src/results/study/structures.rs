//! AUROC by the structures of distillation: single steps and progressive pairs.

use std::collections::BTreeSet;

use super::Study;
use crate::data::Dataset;
use crate::results::columns::{Column, auroc, columns, common_classes, note};
use crate::results::text::{class_list, gain, markdown_table, or_blank, summary_cells};
use crate::results::{Panel, Point, Rows, Series, Summary};

/// Names of the networks in the plot, each with the one it is compared to.
const NETWORKS: [(&str, &str, &str); 2] =
    [("student", "student-alone", "student"), ("teacher-joint", "teacher", "teacher after the last step")];

/// The study of the structures: a part for each data set.
#[derive(Debug)]
pub struct StructureStudy<'a> {
    parts: Vec<Part<'a>>,
}

#[derive(Debug)]
struct Part<'a> {
    dataset: Dataset,
    columns: Vec<Column<'a>>,
    /// Those that every structure ran.
    classes: BTreeSet<u8>,
    /// Single steps first, then pairs.
    structures: Vec<&'a str>,
}

impl<'a> StructureStudy<'a> {
    /// The study of `rows`.
    pub fn new(rows: &'a Rows) -> Self {
        let part = |dataset| {
            let columns = columns(rows, dataset);
            let mut structures: Vec<_> = columns.iter().filter_map(distilled).collect();
            structures.sort_by_key(|structure| (structure.len(), *structure));
            structures.dedup();
            let classes = common_classes(columns.iter().filter(|column| distilled(column).is_some()));
            Part { dataset, columns, classes, structures }
        };
        Self { parts: rows.datasets().map(part).collect() }
    }
}

impl Study for StructureStudy<'_> {
    const NAME: &'static str = "structures";
    const HEADER: &'static [&'static str] = &[
        "dataset",
        "network",
        "structure",
        "classes",
        "auroc_mean",
        "auroc_sd",
        "seeds",
        "gain_mean",
        "gain_half_width",
    ];

    /// A table for each data set.
    fn markdown(&self) -> String {
        let mut text = String::from(
            "# Structures of distillation\n\nA single number is one step; a pair is two steps, one after the other. \
             AUROC by latent distance, in percent: mean over the classes that every structure ran, ± sample standard \
             deviation over the n seeds that ran all of them. Gains are over the student alone, and over the teacher \
             before distillation, with 95 % intervals over the means of the classes.\n\n\
             ![AUROC by structure](structures.svg)\n",
        );
        for part in &self.parts {
            text += &format!("\n## {}, mean of {}\n\n", part.dataset, class_list(&part.classes));
            if part.structures.is_empty() {
                text += "No student was distilled.\n";
                continue;
            }
            let header = ["structure", "student", "gain over the student alone", "teacher after", "its gain"];
            let rows = part.structures.iter().map(|&structure| {
                let mut cells = vec![structure.to_owned()];
                for (network, base, _) in NETWORKS {
                    let column = part.column(network, structure);
                    cells.push(or_blank(column.map(|column| column.marked_mean(&part.classes))));
                    cells.push(gain(column.and_then(|column| part.gain(column, base))));
                }
                cells
            });
            let mut shown = markdown_table(&header.map(String::from), &rows.collect::<Vec<_>>());
            for (_, base, _) in NETWORKS {
                let column = part.columns.iter().find(|column| column.arm.network == base);
                let mean = or_blank(column.map(|column| column.marked_mean(&part.classes)));
                shown +=
                    &format!("\n{}: {mean}.\n", if base == "teacher" { "The teacher" } else { "The student alone" });
            }
            text += &shown;
            text += note(&shown);
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

/// The structure, where the column is of a student that was distilled to its end.
fn distilled<'a>(column: &Column<'a>) -> Option<&'a str> {
    (column.arm.network == "student").then_some(column.arm.structure)
}

impl<'a> Part<'a> {
    fn column(&self, network: &str, structure: &str) -> Option<&Column<'a>> {
        self.columns.iter().find(|column| (column.arm.network, column.arm.structure) == (network, structure))
    }

    fn mean(&self, column: &Column) -> Option<Summary> {
        column.mean(&self.classes, auroc)
    }

    fn gain(&self, column: &Column, base: &str) -> Option<crate::results::Gain> {
        column.gain(self.columns.iter().find(|column| column.arm.network == base)?)
    }

    fn records(&self) -> Vec<Vec<String>> {
        let mut records = Vec::new();
        for (network, base, _) in NETWORKS {
            for column in self.structures.iter().filter_map(|structure| self.column(network, structure)) {
                let classes: Vec<_> = self.classes.iter().map(u8::to_string).collect();
                let mut record = vec![self.dataset.to_string(), network.into(), column.arm.structure.into()];
                record.push(classes.join(" "));
                record.extend(summary_cells(self.mean(column)));
                let gain = self.gain(column, base);
                let cell = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
                record.extend([cell(gain.map(|gain| gain.mean)), cell(gain.and_then(|gain| gain.half_width))]);
                records.push(record);
            }
        }
        records
    }

    fn panel(&self) -> Panel {
        let places = || self.structures.iter().enumerate().map(|(place, structure)| (place as f64, *structure));
        let series = NETWORKS.map(|(network, _, name)| {
            let point = |(x, structure)| {
                let Summary { mean, sd, .. } = self.mean(self.column(network, structure)?)?;
                Some(Point { x, y: mean, sd })
            };
            Series { name: name.into(), points: places().filter_map(point).collect() }
        });
        Panel {
            title: format!("{}, mean of {}", self.dataset, class_list(&self.classes)),
            x_label: "structures of the steps".into(),
            y_label: "AUROC, percent, ± sd over seeds".into(),
            ticks: places().map(|(place, structure)| (place, structure.to_owned())).collect(),
            series: series.into(),
            lines: false,
        }
    }
}
