//! `baselines.csv`: simple detectors on the same protocol, measured by benches/baselines/baselines.py.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::csv::read_csv;
use super::{ResultsError, Summary};
use crate::data::{CLASSES, Dataset};

/// Longest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 24;

const HEADER: [&str; 7] = ["dataset", "normal", "method", "seed", "auroc", "seconds", "scikit_learn"];

/// AUROC of simple detectors, in percent, mean over seeds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Baselines(Vec<Baseline>);

/// A detector on a data set.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Baseline {
    pub dataset: Dataset,
    pub method: String,
    pub classes: BTreeMap<u8, f64>,
}

#[derive(Deserialize)]
struct Record {
    dataset: Dataset,
    normal: u8,
    method: String,
    auroc: f64,
}

impl Baselines {
    /// Reads the file; no detectors where there is none.
    ///
    /// # Errors
    /// A file that cannot be read, with another header, or with a line that is no detector's; the line is named.
    pub fn read(path: &Path) -> Result<Self, ResultsError> {
        if !path.exists() {
            return Ok(Self::default());
        }
        // In the order of the file.
        let mut found: Vec<(Dataset, String, BTreeMap<u8, Vec<f64>>)> = Vec::new();
        for (line, Record { dataset, normal, method, auroc }) in read_csv(path, &HEADER, HEADER.len(), MAX_BYTES)? {
            if normal >= CLASSES || !(0.0..=1.0).contains(&auroc) {
                let message = format!("class {normal} with AUROC {auroc}");
                return Err(ResultsError::Damaged { path: path.to_owned(), line, message });
            }
            let place = found.iter().position(|other| (other.0, &other.1) == (dataset, &method));
            let place = place.unwrap_or_else(|| {
                found.push((dataset, method, BTreeMap::new()));
                found.len() - 1
            });
            found[place].2.entry(normal).or_default().push(100.0 * auroc);
        }
        let mean = |(class, seeds)| Some((class, Summary::of(seeds)?.mean));
        let baseline = |(dataset, method, classes): (_, _, BTreeMap<_, _>)| Baseline {
            dataset,
            method,
            classes: classes.into_iter().filter_map(mean).collect(),
        };
        Ok(Self(found.into_iter().map(baseline).collect()))
    }

    /// Those on one data set.
    pub(super) fn on(&self, dataset: Dataset) -> impl Iterator<Item = &Baseline> {
        self.0.iter().filter(move |baseline| baseline.dataset == dataset)
    }
}
