//! `runs.csv`: one row a trained network.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ResultsError;
use super::csv::read_csv;
use crate::config::{Recipe, Statistics};
use crate::data::{CLASSES, Dataset};
use crate::run::write_whole;

/// The networks that a row may stand for, in the order of tables: a teacher; a student trained without one; the student
/// after the first and after the second step of distillation; the teacher after the second step, where it is trained
/// too.
pub const NETWORKS: [&str; 5] = ["teacher", "student-alone", "student-step1", "student", "teacher-joint"];

/// Longest file that is read, in bytes: the rows of some hundred thousand networks.
const MAX_BYTES: u64 = 1 << 26;

const HEADER: [&str; 21] = [
    "dataset",
    "normal",
    "network",
    "structure",
    "seed",
    "steps",
    "batch_size",
    "auroc",
    "average_precision",
    "reconstruction_auroc_l1",
    "reconstruction_auroc_l2",
    "macs",
    "params",
    "seconds",
    "adapter",
    "version",
    "build",
    "reconstruction_ratio",
    "reconstructs",
    "latents",
    "statistics",
];
/// Columns of files of version 0.1, which still load.
const FIRST_COLUMNS: usize = 16;

/// What holds latent vectors unless a study looks at that.
pub(super) const USUAL_LATENTS: &str = "unit-rms";

/// The figures of one trained network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The data set.
    pub dataset: Dataset,
    /// The normal class.
    pub normal: u8,
    /// One of [`NETWORKS`].
    pub network: String,
    /// Structures of distillation: `1` after step 1, `1+4` after both, empty without distillation.
    pub structure: String,
    /// Seed of the run.
    pub seed: u64,
    /// Steps trained, those of all parts together.
    pub steps: u64,
    /// Images per step.
    pub batch_size: u64,
    /// Area under the ROC curve by latent distance, in [0, 1].
    pub auroc: f64,
    /// Average precision by latent distance, anomalous images as positives, in [0, 1].
    pub average_precision: f64,
    /// Area under the ROC curve when the mean absolute error of the reconstruction is the score, in [0, 1].
    pub reconstruction_auroc_l1: f64,
    /// The same by the mean squared error, in [0, 1].
    pub reconstruction_auroc_l2: f64,
    /// Multiply-accumulates of the generator for one image.
    pub macs: u64,
    /// Trainable parameters of the generator.
    pub params: u64,
    /// Duration of training, in seconds.
    pub seconds: f64,
    /// Name of the adapter that computed.
    pub adapter: String,
    /// Version of the program.
    pub version: String,
    /// The commit that it was built from; empty where nobody knows any more.
    #[serde(default)]
    pub build: String,
    /// Mean absolute error of the reconstructions of normal images, in shares of a constant image's; absent in files of
    /// version 0.1.
    #[serde(default)]
    pub reconstruction_ratio: Option<f64>,
    /// Whether that is low enough to call the network one that reconstructs; absent likewise.
    #[serde(default)]
    pub reconstructs: Option<bool>,
    /// What held latent vectors in training: `unit-rms`, `tanh` or `none`, and `, no latent loss` behind it where that loss
    /// had no weight. Rows that do not say so are of `unit-rms`.
    #[serde(default = "usual_latents")]
    pub latents: String,
    /// Where batch norm took its statistics from in scoring; rows that do not say so are of those that are usual for the
    /// network on the data set.
    #[serde(default)]
    pub statistics: Option<Statistics>,
}

fn usual_latents() -> String {
    USUAL_LATENTS.to_owned()
}

/// Where a network's batch norm takes its statistics from in scoring unless a study looks at that.
pub(super) fn usual_statistics(dataset: Dataset, network: &str) -> Statistics {
    Recipe::Default.config(dataset).statistics(network)
}

/// What tells one row from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// The data set.
    pub dataset: Dataset,
    /// The normal class.
    pub normal: u8,
    /// One of [`NETWORKS`].
    pub network: &'a str,
    /// Structures of distillation, as in [`Row::structure`].
    pub structure: &'a str,
    /// Seed of the run.
    pub seed: u64,
    /// Steps trained.
    pub steps: u64,
    /// Images per step.
    pub batch_size: u64,
    /// Multiply-accumulates of the generator for one image.
    pub macs: u64,
    /// What held latent vectors, as in [`Row::latents`].
    pub latents: &'a str,
    /// Where batch norm took its statistics from in scoring.
    pub statistics: Statistics,
}

/// Rows with different keys, in the order of their keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows(Vec<Row>);

impl Row {
    /// What tells this row from all others.
    pub fn key(&self) -> Key<'_> {
        Key {
            dataset: self.dataset,
            normal: self.normal,
            network: &self.network,
            structure: &self.structure,
            seed: self.seed,
            steps: self.steps,
            batch_size: self.batch_size,
            macs: self.macs,
            latents: &self.latents,
            statistics: self.statistics(),
        }
    }

    /// Where batch norm took its statistics from in scoring.
    pub(super) fn statistics(&self) -> Statistics {
        self.statistics.unwrap_or_else(|| usual_statistics(self.dataset, &self.network))
    }

    fn fault(&self) -> Option<String> {
        let Self { normal, network, steps, batch_size, seconds, .. } = self;
        let shares = [
            ("auroc", self.auroc),
            ("average_precision", self.average_precision),
            ("reconstruction_auroc_l1", self.reconstruction_auroc_l1),
            ("reconstruction_auroc_l2", self.reconstruction_auroc_l2),
        ];
        if *normal >= CLASSES {
            Some(format!("`normal` is {normal}, and classes are 0 to {}", CLASSES - 1))
        } else if !NETWORKS.contains(&network.as_str()) {
            Some(format!("`network` is `{network}`, not one of {}", NETWORKS.join(", ")))
        } else if *steps == 0 || *batch_size == 0 {
            Some(format!("{steps} steps of batch size {batch_size} are no training"))
        } else if let Some((name, value)) = shares.into_iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            Some(format!("`{name}` is {value}, not in 0 to 1"))
        } else if self.reconstruction_ratio.is_some_and(|ratio| !(ratio.is_finite() && ratio >= 0.0)) {
            Some(format!("`reconstruction_ratio` is {}", self.reconstruction_ratio.unwrap_or_default()))
        } else if !seconds.is_finite() || *seconds < 0.0 {
            Some(format!("`seconds` is {seconds}"))
        } else {
            None
        }
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = |key: &Self| {
            let dataset = Dataset::ALL.iter().position(|&dataset| dataset == key.dataset);
            (dataset, key.normal, network_place(key.network))
        };
        let rest = |key: &Self| (key.seed, key.steps, key.batch_size, key.macs);
        order(self)
            .cmp(&order(other))
            .then_with(|| self.network.cmp(other.network))
            .then_with(|| self.structure.cmp(other.structure))
            .then_with(|| rest(self).cmp(&rest(other)))
            .then_with(|| self.latents.cmp(other.latents))
            .then_with(|| self.statistics.cmp(&other.statistics))
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Place in the order of tables.
pub(super) fn network_place(network: &str) -> Option<usize> {
    NETWORKS.iter().position(|&name| name == network)
}

impl Rows {
    /// Reads what [`Rows::write`] wrote; the order of the lines does not matter.
    ///
    /// # Errors
    /// A file that cannot be read, has another header, a line that is no row, or the same key twice; the line is named.
    pub fn read(path: &Path) -> Result<Self, ResultsError> {
        let mut rows = Self::default();
        for (line, row) in read_csv::<Row>(path, &HEADER, FIRST_COLUMNS, MAX_BYTES)? {
            let damaged = |message| ResultsError::Damaged { path: path.to_owned(), line, message };
            if let Some(fault) = row.fault() {
                return Err(damaged(fault));
            }
            if rows.get(&row.key()).is_some() {
                return Err(damaged("the same run as a line above".into()));
            }
            rows.put(row);
        }
        Ok(rows)
    }

    /// Reads the rows to go on with; none where there is no file yet.
    ///
    /// # Errors
    /// Those of [`Rows::read`], but for a file that does not exist.
    pub fn resume(path: &Path) -> Result<Self, ResultsError> {
        match Self::read(path) {
            Err(ResultsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            read => read,
        }
    }

    /// Writes the rows whole, in the order of their keys: the same rows are the same bytes. Every figure reads back as
    /// the same number.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ResultsError> {
        let fill = |out: &mut dyn io::Write| {
            let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(out);
            writer.write_record(HEADER)?;
            self.0.iter().try_for_each(|row| writer.serialize(row))?;
            writer.flush()
        };
        Ok(write_whole(path, fill)?)
    }

    /// Adds `row`, in place of one with the same key.
    ///
    /// # Errors
    /// Figures that are not finite or out of range, and networks not in [`NETWORKS`].
    pub fn insert(&mut self, row: Row) -> Result<(), ResultsError> {
        if let Some(message) = row.fault() {
            let run = format!("{} class {}, {}, seed {}", row.dataset, row.normal, row.network, row.seed);
            return Err(ResultsError::Refused { run, message });
        }
        self.put(row);
        Ok(())
    }

    /// The row with this key.
    pub fn get(&self, key: &Key<'_>) -> Option<&Row> {
        self.find(key).ok().and_then(|place| self.0.get(place))
    }

    /// All rows, in the order of their keys.
    pub fn iter(&self) -> std::slice::Iter<'_, Row> {
        self.0.iter()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The data sets that rows are of, in the order of [`Dataset::ALL`].
    pub(super) fn datasets(&self) -> impl Iterator<Item = Dataset> {
        Dataset::ALL.into_iter().filter(|&dataset| self.iter().any(|row| row.dataset == dataset))
    }

    /// The different values of a text column, sorted and joined by commas.
    pub(super) fn distinct(&self, column: fn(&Row) -> String) -> String {
        self.iter().map(column).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
    }

    fn find(&self, key: &Key<'_>) -> Result<usize, usize> {
        self.0.binary_search_by(|row| row.key().cmp(key))
    }

    fn put(&mut self, row: Row) {
        match self.find(&row.key()) {
            Ok(place) => self.0[place] = row,
            Err(place) => self.0.insert(place, row),
        }
    }
}

impl<'a> IntoIterator for &'a Rows {
    type Item = &'a Row;
    type IntoIter = std::slice::Iter<'a, Row>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
