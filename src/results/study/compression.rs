//! AUROC by the student's size, with and without distillation.

use std::collections::BTreeSet;

use super::Study;
use crate::data::Dataset;
use crate::results::columns::{Column, auroc, columns, common_classes, note};
use crate::results::text::{class_list, gain, grouped, markdown_table, or_blank, summary_cells};
use crate::results::{Gain, Panel, Point, Rows, Series, Summary};

/// The networks that are compared.
const NETWORKS: [&str; 2] = ["student-alone", "student"];

/// The study of the size: a part for each data set.
#[derive(Debug)]
pub struct CompressionStudy<'a> {
    parts: Vec<Part<'a>>,
}

#[derive(Debug)]
struct Part<'a> {
    dataset: Dataset,
    columns: Vec<Column<'a>>,
    /// Those that every size ran.
    classes: BTreeSet<u8>,
    teacher: Option<Column<'a>>,
}

impl<'a> CompressionStudy<'a> {
    /// The study of `rows`.
    pub fn new(rows: &'a Rows) -> Self {
        let part = |dataset| {
            let (students, others): (Vec<_>, Vec<_>) =
                columns(rows, dataset).into_iter().partition(|column| NETWORKS.contains(&column.arm.network));
            let classes = common_classes(&students);
            let teacher = others.into_iter().find(|column| column.arm.network == "teacher");
            Part { dataset, columns: students, classes, teacher }
        };
        Self { parts: rows.datasets().map(part).collect() }
    }
}

impl Study for CompressionStudy<'_> {
    const NAME: &'static str = "compression";
    const HEADER: &'static [&'static str] =
        &["dataset", "network", "structure", "macs", "params", "classes", "auroc_mean", "auroc_sd", "seeds"];

    /// A table for each data set.
    fn markdown(&self) -> String {
        let mut text = String::from(
            "# Compression\n\nStudents of several sizes, trained alone and by distillation. AUROC by latent distance, in \
             percent: mean over the classes that every size ran, ± sample standard deviation over the n seeds that ran \
             all of them. Gains have 95 % intervals over the means of the classes.\n\n\
             ![AUROC by size](compression.svg)\n",
        );
        for part in &self.parts {
            text += &format!("\n## {}, mean of {}\n\n", part.dataset, class_list(&part.classes));
            let header = ["MACs", "teacher's to these", "parameters", "alone", "distilled", "gain"].map(String::from);
            let rows: Vec<_> = part.sizes().into_iter().map(|macs| part.row(macs)).collect();
            let mut shown = markdown_table(&header, &rows);
            if let Some(teacher) = &part.teacher {
                let mean = teacher.marked_mean(&part.classes);
                shown += &format!("\nThe teacher: {mean}, {} MACs.\n", grouped(teacher.arm.macs));
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

impl<'a> Part<'a> {
    fn sizes(&self) -> BTreeSet<u64> {
        self.columns.iter().map(|column| column.arm.macs).collect()
    }

    fn column(&self, network: &str, macs: u64) -> Option<&Column<'a>> {
        self.columns.iter().find(|column| (column.arm.network, column.arm.macs) == (network, macs))
    }

    fn mean(&self, column: &Column) -> Option<Summary> {
        column.mean(&self.classes, auroc)
    }

    fn gain(&self, macs: u64) -> Option<Gain> {
        let [alone, distilled] = NETWORKS.map(|network| self.column(network, macs));
        distilled?.gain(alone?)
    }

    fn row(&self, macs: u64) -> Vec<String> {
        let columns = NETWORKS.map(|network| self.column(network, macs));
        let params = columns.iter().flatten().find_map(|column| column.rows.first()).map(|row| grouped(row.params));
        let ratio = self.teacher.as_ref().map(|teacher| format!("{:.1}:1", teacher.arm.macs as f64 / macs as f64));
        let mut cells = vec![grouped(macs), or_blank(ratio), or_blank(params)];
        cells.extend(columns.map(|column| or_blank(column.map(|column| column.marked_mean(&self.classes)))));
        cells.push(gain(self.gain(macs)));
        cells
    }

    fn records(&self) -> Vec<Vec<String>> {
        let record = |column: &Column| {
            let arm = column.arm;
            let classes: Vec<_> = self.classes.iter().map(u8::to_string).collect();
            let params = column.rows.first().map_or_else(String::new, |row| row.params.to_string());
            let mut record: Vec<_> = [self.dataset.name(), arm.network, arm.structure].map(String::from).into();
            record.extend([arm.macs.to_string(), params, classes.join(" ")]);
            record.extend(summary_cells(self.mean(column)));
            record
        };
        self.columns.iter().chain(&self.teacher).map(record).collect()
    }

    fn panel(&self) -> Panel {
        let place = |macs: u64| (macs as f64).log2();
        let series = NETWORKS.map(|network| {
            let point = |macs| {
                let Summary { mean, sd, .. } = self.mean(self.column(network, macs)?)?;
                Some(Point { x: place(macs), y: mean, sd })
            };
            Series { name: network.into(), points: self.sizes().into_iter().filter_map(point).collect() }
        });
        Panel {
            title: format!("{}, mean of {}", self.dataset, class_list(&self.classes)),
            x_label: "MACs of an image (log scale)".into(),
            y_label: "AUROC, percent, ± sd over seeds".into(),
            ticks: self.sizes().into_iter().map(|macs| (place(macs), grouped(macs))).collect(),
            series: series.into(),
            lines: true,
        }
    }
}
