//! `table.md` and `table.csv`: every network on every normal class, beside the papers.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;

use super::classes::class_title;
use super::columns::{Arm, Column, auroc, columns, note};
use super::text::{
    BLANK, class_list, grouped, markdown_table, mean_key, summary, summary_cells, write_csv, write_text,
};
use super::{Gain, Published, ResultsError, Row, Rows, published};
use crate::data::{CLASSES, Dataset};
use crate::version;

const HEADER: [&str; 9] =
    ["dataset", "network", "structure", "steps", "batch_size", "normal", "auroc_mean", "auroc_sd", "seeds"];

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
    papers: Vec<&'static Published>,
}

impl<'a> Table<'a> {
    /// The table of `rows`.
    pub fn new(rows: &'a Rows) -> Self {
        let section = |dataset: Dataset| Section {
            dataset,
            columns: columns(rows, dataset),
            papers: published(dataset.name()).collect(),
        };
        Self { rows, sections: rows.datasets().map(section).collect() }
    }

    /// For a reader: a table a data set, and how the figures came about.
    pub fn markdown(&self) -> String {
        let mut text = String::from("# Results\n\n");
        text += &format!(
            "Protocol: training on the official training images of the normal class alone; every figure is that of the \
             last step of a fixed budget, on the whole official test set, the normal class against the nine others. No \
             step and no run is chosen by test labels. AUROC by latent distance, in percent: mean ± sample standard \
             deviation over n seeds, those of a mean row being the seeds that ran all its classes.\n\n\
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
        header.extend(self.papers.iter().map(|paper| paper.method.to_string()));

        let mut rows = Vec::new();
        for class in self.columns.iter().flat_map(Column::classes).collect::<BTreeSet<_>>() {
            rows.push(self.row(
                class_title(self.dataset.name(), class),
                |column| summary(column.class(class, auroc)) + column.mark(&[class].into()),
                |paper| figure(paper, of_class(paper, class)),
            ));
        }
        for classes in self.class_sets() {
            rows.push(self.row(
                format!("mean of {}", class_list(&classes)),
                |column| summary(column.mean(&classes, auroc)) + column.mark(&classes),
                |paper| figure(paper, of_classes(paper, &classes)),
            ));
        }
        for base in ["student-alone", "teacher"] {
            let gains: Vec<_> = self.columns.iter().map(|column| self.gain(column, base)).collect();
            if gains.iter().any(Option::is_some) {
                let paper = |paper: &Published| {
                    let gain = paper.gain.filter(|_| base == "student-alone");
                    gain.map_or_else(|| BLANK.into(), |gain| format!("{gain:+.2}"))
                };
                let mut cells = vec![format!("gain over {base}, points ± standard error")];
                cells.extend(gains.into_iter().map(gain));
                cells.extend(self.papers.iter().map(|figures| paper(figures)));
                rows.push(cells);
            }
        }
        let ratio = |paper: &Published| paper.ratio.map_or_else(|| BLANK.into(), |ratio| format!("{ratio}:1"));
        rows.push(self.row("MACs (teacher's to these)", |column| self.count(column, |row| row.macs), ratio));
        let blank = |_: &Published| BLANK.into();
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
        text += note(&self.columns);
        if !self.columns.iter().any(|column| column.classes().len() == usize::from(CLASSES)) {
            text += "\nNot all ten classes were run";
            text += if self.papers.is_empty() { ".\n" } else { "; the papers' means are over all ten.\n" };
        }
        if !self.papers.is_empty() {
            let sources: Vec<_> =
                self.papers.iter().map(|paper| format!("{} ({})", paper.method, paper.source)).collect();
            text += &format!("\nAs published: {}.\n", sources.join("; "));
        }
        text
    }

    fn row(
        &self,
        title: impl Into<String>,
        ours: impl Fn(&Column) -> String,
        theirs: impl Fn(&Published) -> String,
    ) -> Vec<String> {
        let ours = self.columns.iter().map(ours);
        std::iter::once(title.into()).chain(ours).chain(self.papers.iter().map(|paper| theirs(paper))).collect()
    }

    fn records(&self) -> Vec<Vec<String>> {
        let mut records = Vec::new();
        let sets = self.class_sets();
        for column in &self.columns {
            let arm = column.arm;
            let paper = self.papers.iter().find(|paper| paper.counterpart == Some(arm.network));
            let mut push = |normal: String, summary, paper: Option<f64>| {
                let mut record = vec![self.dataset.to_string(), arm.network.into(), arm.structure.into()];
                record.extend([arm.steps.to_string(), arm.batch_size.to_string(), normal]);
                record.extend(summary_cells(summary));
                record.push(paper.map_or_else(String::new, |value| value.to_string()));
                records.push(record);
            };
            for class in column.classes() {
                push(class.to_string(), column.class(class, auroc), paper.and_then(|paper| of_class(paper, class)));
            }
            for classes in &sets {
                if let Some(mean) = column.mean(classes, auroc) {
                    push(mean_key(classes), Some(mean), paper.and_then(|paper| of_classes(paper, classes)));
                }
            }
        }
        for paper in self.papers.iter().filter(|paper| paper.counterpart.is_none()) {
            let mut push = |normal: String, value: f64| {
                let mut record = vec![self.dataset.to_string(), paper.method.into()];
                record.resize(HEADER.len(), String::new());
                record[5] = normal;
                record.push(format!("{value:.*}", paper.decimals));
                records.push(record);
            };
            (0..CLASSES).filter_map(|class| Some((class, of_class(paper, class)?))).for_each(|(class, value)| {
                push(class.to_string(), value);
            });
            push("mean".into(), paper.mean);
        }
        records
    }

    /// The classes that means are taken over: those of each column, and all ten where a paper has them; most first.
    fn class_sets(&self) -> Vec<BTreeSet<u8>> {
        let mut sets: BTreeSet<_> = self.columns.iter().map(Column::classes).collect();
        if !self.papers.is_empty() {
            sets.insert((0..CLASSES).collect());
        }
        let mut sets: Vec<_> = sets.into_iter().collect();
        sets.sort_by_key(|set| std::cmp::Reverse(set.len()));
        sets
    }

    /// Heading of a column, with its budget where the network has several.
    fn title(&self, column: &Column) -> String {
        let title = column.arm.title();
        let alike = self.columns.iter().filter(|other| other.arm.title() == title).count();
        if alike > 1 { format!("{title}, {}", self.budget(column, |count| count.to_string())) } else { title }
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
                let mut named = arms.filter(|arm| (arm.network, arm.structure) == (network, structure));
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

    /// The network called `name` with the budget of `column`, or the only one there is.
    fn counterpart(&self, column: &Column, name: &str) -> Option<&Column<'_>> {
        let named: Vec<_> = self.columns.iter().filter(|other| other.arm.network == name).collect();
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

fn of_class(paper: &Published, class: u8) -> Option<f64> {
    paper.classes.and_then(|classes| classes.get(usize::from(class)).copied())
}

/// The mean as printed for all ten classes, worked out for fewer.
fn of_classes(paper: &Published, classes: &BTreeSet<u8>) -> Option<f64> {
    if classes.len() == usize::from(CLASSES) {
        return Some(paper.mean);
    }
    let values: Option<Vec<_>> = classes.iter().map(|&class| of_class(paper, class)).collect();
    super::Summary::of(values?).map(|summary| summary.mean)
}

fn figure(paper: &Published, value: Option<f64>) -> String {
    value.map_or_else(|| BLANK.into(), |value| format!("{value:.*}", paper.decimals))
}

fn gain(gain: Option<Gain>) -> String {
    let Some(Gain { mean, standard_error, pairs }) = gain else { return BLANK.into() };
    let error = standard_error.map_or_else(String::new, |error| format!(" ± {error:.2}"));
    format!("{mean:+.2}{error}, {pairs} {}", if pairs == 1 { "pair" } else { "pairs" })
}

fn or_none(text: String) -> impl Display {
    if text.is_empty() { BLANK.into() } else { text }
}
