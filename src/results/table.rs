//! `table.md` and `table.csv`: every network on every normal class, beside the papers and simple detectors.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;

use super::baselines::Baseline;
use super::classes::class_title;
use super::columns::{Arm, Column, auroc, columns, note};
use super::csv::write_csv;
use super::text::{
    BLANK, class_list, gain, grouped, markdown_table, mean_key, or_blank, summary, summary_cells, write_text,
};
use super::{Baselines, Gain, Published, ResultsError, Row, Rows, Summary, published};
use crate::data::{CLASSES, Dataset};
use crate::version;

const HEADER: [&str; 9] =
    ["dataset", "network", "structure", "steps", "batch_size", "normal", "auroc_mean", "auroc_sd", "seeds"];

/// The column of measured means.
const AUROC_MEAN: usize = 6;

/// The figures of a grid, by data set.
#[derive(Debug)]
pub struct Table<'a> {
    rows: &'a Rows,
    sections: Vec<Section<'a>>,
}

#[derive(Debug)]
struct Section<'a> {
    dataset: Dataset,
    columns: Vec<Column<'a>>,
    others: Vec<Other>,
}

/// A method that stands beside ours: as its paper has it, or measured.
#[derive(Debug)]
struct Other {
    method: String,
    source: Option<&'static str>,
    counterpart: Option<&'static str>,
    /// AUROC of each normal class, in percent.
    classes: BTreeMap<u8, f64>,
    /// Mean over all ten, where it is given and does not follow from them.
    mean: Option<f64>,
    gain: Option<f64>,
    ratio: Option<f64>,
    decimals: usize,
}

impl<'a> Table<'a> {
    /// The table of `rows`, beside the papers' figures.
    pub fn new(rows: &'a Rows) -> Self {
        let section = |dataset: Dataset| Section {
            dataset,
            columns: columns(rows, dataset),
            others: published(dataset.name()).map(Other::from).collect(),
        };
        Self { rows, sections: rows.datasets().map(section).collect() }
    }

    /// Sets simple detectors beside the papers.
    #[must_use]
    pub fn with_baselines(mut self, baselines: &Baselines) -> Self {
        for section in &mut self.sections {
            section.others.extend(baselines.on(section.dataset).map(Other::from));
        }
        self
    }

    /// For a reader: a table a data set, and how the figures came about.
    pub fn markdown(&self) -> String {
        let mut text = String::from("# Results\n\n");
        text += &format!(
            "Networks are trained on the official training images of the normal class alone. A figure is that of the last \
             step of a fixed budget. It is of the whole official test set: the normal class against the nine others. No \
             step and no run is chosen by test labels.\n\n\
             AUROC by latent distance, in percent: mean ± sample standard deviation over n seeds. Those of a mean row are \
             the seeds that ran all its classes. Intervals are over the means of the classes.\n\n\
             Adapters: {}. Version: {}.\n",
            or_none(self.rows.distinct(|row| row.adapter.clone())),
            or_none(self.rows.distinct(|row| version::named(&row.version, &row.build))),
        );
        for section in &self.sections {
            text += &format!("\n## {}\n\n{}", section.dataset, section.markdown());
        }
        text
    }

    /// Writes `table.md`, and `table.csv`: the same figures one a line, AUROC in percent, `normal` being a class or
    /// `mean`, followed by the classes where they are not all ten.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), ResultsError> {
        write_text(&folder.join("table.md"), &self.markdown())?;
        let records: Vec<_> = self.sections.iter().flat_map(Section::records).collect();
        let header: Vec<_> = HEADER.into_iter().chain(["paper_auroc"]).collect();
        write_csv(&folder.join("table.csv"), &header, &records)
    }
}

impl Section<'_> {
    fn markdown(&self) -> String {
        let mut header = vec!["normal class".to_string()];
        header.extend(self.columns.iter().map(|column| self.title(column)));
        header.extend(self.others.iter().map(|other| other.method.clone()));

        let mut rows = Vec::new();
        for class in self.columns.iter().flat_map(Column::classes).collect::<BTreeSet<_>>() {
            rows.push(self.row(
                class_title(self.dataset.name(), class),
                |column| summary(column.class(class, auroc)) + column.mark(&[class].into()),
                |other| other.figure(other.class(class)),
            ));
        }
        for classes in self.class_sets() {
            rows.push(self.row(
                format!("mean of {}", class_list(&classes)),
                |column| column.marked_mean(&classes),
                |other| other.figure(other.mean(&classes)),
            ));
        }
        for base in ["student-alone", "teacher"] {
            let gains: Vec<_> = self.columns.iter().map(|column| self.gain(column, base)).collect();
            if gains.iter().any(Option::is_some) {
                let other = |other: &Other| {
                    let gain = other.gain.filter(|_| base == "student-alone");
                    or_blank(gain.map(|gain| format!("{gain:+.2}")))
                };
                let mut cells = vec![format!("gain over {base}, points (95 % interval)")];
                cells.extend(gains.into_iter().map(gain));
                cells.extend(self.others.iter().map(other));
                rows.push(cells);
            }
        }
        let ratio = |other: &Other| or_blank(other.ratio.map(|ratio| format!("{ratio}:1")));
        rows.push(self.row("MACs (teacher's to these)", |column| self.count(column, |row| row.macs), ratio));
        let blank = |_: &Other| BLANK.into();
        rows.push(self.row("parameters (likewise)", |column| self.count(column, |row| row.params), blank));
        let share = |column: &Column| {
            let [yes, no] = column.reconstructing(&column.classes());
            if yes + no == 0 { BLANK.into() } else { format!("{yes} of {}", yes + no) }
        };
        if self.columns.iter().any(|column| share(column) != BLANK) {
            rows.push(self.row("runs that reconstruct", share, blank));
        }
        rows.push(self.row("steps x batch size", |column| self.budget(column, grouped), blank));

        let mut text = markdown_table(&header, &rows);
        text += note(&text);
        if !self.columns.iter().any(|column| column.classes().len() == usize::from(CLASSES)) {
            text += "\nNot all ten classes were run";
            text += if self.papers().next().is_none() { ".\n" } else { "; the papers' means are over all ten.\n" };
        }
        let sources: Vec<_> = self.papers().map(|(other, source)| format!("{} ({source})", other.method)).collect();
        if !sources.is_empty() {
            text += &format!("\nAs published: {}.\n", sources.join("; "));
        }
        let measured = self.others.iter().filter(|other| other.source.is_none());
        let measured: Vec<_> = measured.map(|other| other.method.as_str()).collect();
        if !measured.is_empty() {
            text += &format!("\nMeasured by benches/baselines/baselines.py: {}.\n", measured.join(", "));
        }
        text
    }

    fn row(
        &self,
        title: impl Into<String>,
        ours: impl Fn(&Column) -> String,
        theirs: impl Fn(&Other) -> String,
    ) -> Vec<String> {
        let ours = self.columns.iter().map(ours);
        std::iter::once(title.into()).chain(ours).chain(self.others.iter().map(theirs)).collect()
    }

    fn records(&self) -> Vec<Vec<String>> {
        let mut records = Vec::new();
        let sets = self.class_sets();
        for column in &self.columns {
            let arm = column.arm;
            let paper = self.others.iter().find(|other| other.counterpart == Some(arm.network));
            let mut push = |normal: String, summary, paper: Option<f64>| {
                let mut record = vec![self.dataset.to_string(), arm.network.into(), arm.structure.into()];
                record.extend([arm.steps.to_string(), arm.batch_size.to_string(), normal]);
                record.extend(summary_cells(summary));
                record.push(paper.map_or_else(String::new, |value| value.to_string()));
                records.push(record);
            };
            for class in column.classes() {
                push(class.to_string(), column.class(class, auroc), paper.and_then(|paper| paper.class(class)));
            }
            for classes in &sets {
                if let Some(mean) = column.mean(classes, auroc) {
                    push(mean_key(classes), Some(mean), paper.and_then(|paper| paper.mean(classes)));
                }
            }
        }
        for other in self.others.iter().filter(|other| other.counterpart.is_none()) {
            let mut push = |normal: String, value: f64| {
                let mut record = vec![self.dataset.to_string(), other.method.clone()];
                record.resize(HEADER.len() + 1, String::new());
                record[5] = normal;
                let column = if other.source.is_some() { HEADER.len() } else { AUROC_MEAN };
                record[column] = format!("{value:.*}", other.decimals);
                records.push(record);
            };
            other.classes.iter().for_each(|(class, &value)| push(class.to_string(), value));
            if let Some(mean) = other.mean(&(0..CLASSES).collect()) {
                push("mean".into(), mean);
            }
        }
        records
    }

    /// Those that papers report, and which.
    fn papers(&self) -> impl Iterator<Item = (&Other, &'static str)> {
        self.others.iter().filter_map(|other| Some((other, other.source?)))
    }

    /// The classes that means are taken over: those of each column, and all ten where a paper has them; most first.
    fn class_sets(&self) -> Vec<BTreeSet<u8>> {
        let mut sets: BTreeSet<_> = self.columns.iter().map(Column::classes).collect();
        if self.papers().next().is_some() {
            sets.insert((0..CLASSES).collect());
        }
        let mut sets: Vec<_> = sets.into_iter().collect();
        sets.sort_by_key(|set| std::cmp::Reverse(set.len()));
        sets
    }

    /// Heading of a column, with its budget and its size where the network has several.
    fn title(&self, column: &Column) -> String {
        let mut title = column.arm.title();
        let alike: Vec<_> = self.columns.iter().map(|other| other.arm).filter(|arm| arm.title() == title).collect();
        let Arm { steps, batch_size, macs, .. } = column.arm;
        if alike.iter().any(|arm| (arm.steps, arm.batch_size) != (steps, batch_size)) {
            title += &format!(", {}", self.budget(column, |count| count.to_string()));
        }
        if alike.iter().any(|arm| arm.macs != macs) {
            title += &format!(", {macs} MACs");
        }
        title
    }

    /// Steps and batch size of each stage that trained a network, in the order they ran. A row has the steps of all of
    /// them and the batch size of the last. The others are those of the networks that the earlier stages left.
    fn budget(&self, column: &Column, number: fn(u64) -> String) -> String {
        let arm = column.arm;
        let (first, second) = arm.structure.split_once('+').map_or((arm.structure, None), |(a, b)| (a, Some(b)));
        let step1 = second.map(|_| ("student-step1", first));
        let earlier: Vec<_> = match arm.network {
            "student" => step1.into_iter().collect(),
            // Structures 3 and 4 train the teacher too.
            "teacher-joint" => {
                [("teacher", "")].into_iter().chain(step1.filter(|_| ["3", "4"].contains(&first))).collect()
            }
            _ => Vec::new(),
        };
        let found: Option<Vec<Arm>> = earlier
            .iter()
            .map(|&(network, structure)| {
                let arms = self.columns.iter().map(|other| other.arm);
                let size =
                    |other: &Arm| network == "teacher" || other.macs == arm.macs || arm.network == "teacher-joint";
                let mut named = arms.filter(|arm| (arm.network, arm.structure) == (network, structure) && size(arm));
                // Of several budgets nobody could say which it was.
                named.next().filter(|_| named.next().is_none())
            })
            .collect();
        let budget = |steps, batch_size| format!("{} x {batch_size}", number(steps));
        let known = found.and_then(|found| {
            let steps = found.iter().map(|arm| arm.steps).sum();
            Some((arm.steps.checked_sub(steps).filter(|&last| last > 0)?, found))
        });
        match known {
            Some((last, found)) => {
                let parts = found.iter().map(|arm| budget(arm.steps, arm.batch_size));
                parts.chain([budget(last, arm.batch_size)]).collect::<Vec<_>>().join(" + ")
            }
            None => format!("{} in all, the last x {}", number(arm.steps), arm.batch_size),
        }
    }

    /// What a network gained over the one called `base`, if that is what it should surpass.
    fn gain(&self, column: &Column, base: &str) -> Option<Gain> {
        let expected = match column.arm.network {
            "student" | "student-step1" => "student-alone",
            "teacher-joint" => "teacher",
            _ => return None,
        };
        if expected != base {
            return None;
        }
        column.gain(self.counterpart(column, base)?)
    }

    /// The network called `name` with the size and the budget of `column`, or the only one of its size.
    fn counterpart(&self, column: &Column, name: &str) -> Option<&Column<'_>> {
        let alike = |other: &&Column| other.arm.network == name && other.arm.macs == column.arm.macs;
        let named: Vec<_> = self.columns.iter().filter(alike).collect();
        let budget = |column: &Column| (column.arm.steps, column.arm.batch_size);
        match named.as_slice() {
            [only] => Some(only),
            several => several.iter().find(|other| budget(other) == budget(column)).copied(),
        }
    }

    /// A count that follows from the architecture, and the teacher's in proportion.
    fn count(&self, column: &Column, count: fn(&Row) -> u64) -> String {
        let counts = |column: &Column| column.rows.iter().map(|row| count(row)).collect::<BTreeSet<_>>();
        let of_teacher: BTreeSet<_> =
            self.columns.iter().filter(|column| column.arm.network == "teacher").flat_map(counts).collect();
        let own: Vec<_> = counts(column).into_iter().collect();
        match (own.as_slice(), of_teacher.first()) {
            ([own], Some(teacher)) if own != teacher && of_teacher.len() == 1 => {
                format!("{} ({:.1}:1)", grouped(*own), *teacher as f64 / *own as f64)
            }
            _ => own.into_iter().map(grouped).collect::<Vec<_>>().join(" or "),
        }
    }
}

impl Other {
    fn class(&self, class: u8) -> Option<f64> {
        self.classes.get(&class).copied()
    }

    /// The mean as printed for all ten classes, worked out for fewer.
    fn mean(&self, classes: &BTreeSet<u8>) -> Option<f64> {
        if classes.len() == usize::from(CLASSES) && self.mean.is_some() {
            return self.mean;
        }
        let values: Option<Vec<_>> = classes.iter().map(|&class| self.class(class)).collect();
        Summary::of(values?).map(|summary| summary.mean)
    }

    fn figure(&self, value: Option<f64>) -> String {
        or_blank(value.map(|value| format!("{value:.*}", self.decimals)))
    }
}

impl From<&Published> for Other {
    fn from(paper: &Published) -> Self {
        let Published { method, source, counterpart, gain, ratio, decimals, .. } = *paper;
        let classes = paper.classes.map(|values| (0..CLASSES).zip(values).collect()).unwrap_or_default();
        let (method, source, mean) = (method.to_string(), Some(source), Some(paper.mean));
        Self { method, source, counterpart, classes, mean, gain, ratio, decimals }
    }
}

impl From<&Baseline> for Other {
    fn from(baseline: &Baseline) -> Self {
        let Baseline { method, classes, .. } = baseline.clone();
        let (source, counterpart, mean, gain, ratio) = (None, None, None, None, None);
        Self { method, source, counterpart, classes, mean, gain, ratio, decimals: 2 }
    }
}

fn or_none(text: String) -> impl Display {
    if text.is_empty() { BLANK.into() } else { text }
}
