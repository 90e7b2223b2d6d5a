//! Rows of one network, trained alike, over classes and seeds.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{USUAL_LATENTS, network_place, usual_statistics};
use super::text::summary;
use super::{Gain, Row, Rows, Summary};
use crate::config::Statistics;
use crate::data::Dataset;

/// A figure of a row.
pub(super) type Figure = fn(&Row) -> f64;

/// AUROC by latent distance, in percent.
pub(super) fn auroc(row: &Row) -> f64 {
    100.0 * row.auroc
}

/// A network, how long it was trained and how large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Arm<'a> {
    place: Option<usize>,
    pub network: &'a str,
    pub structure: &'a str,
    /// Whether latent vectors were held in another way than usual.
    unusual_latents: bool,
    /// What held latent vectors.
    pub latents: &'a str,
    pub batch_size: u64,
    pub steps: u64,
    /// Multiply-accumulates of the generator for one image.
    pub macs: u64,
    /// Whether batch norm took other statistics in scoring than usual.
    unusual_statistics: bool,
    /// Where batch norm took its statistics from in scoring.
    pub statistics: Statistics,
}

/// The rows of one network on one data set, in the order of class and seed.
#[derive(Debug, Clone)]
pub(super) struct Column<'a> {
    pub arm: Arm<'a>,
    pub rows: Vec<&'a Row>,
}

impl Arm<'_> {
    /// [`Self::network_title`], and which statistics score where those are not the usual.
    pub(super) fn title(&self) -> String {
        let mut title = self.network_title();
        if self.unusual_statistics {
            title += &format!(", {} statistics", self.statistics.name());
        }
        title
    }

    /// Name and structure, and what holds latent vectors where that is not the usual.
    pub(super) fn network_title(&self) -> String {
        let mut title = self.network.to_owned();
        if !self.structure.is_empty() {
            title += &format!(" ({})", self.structure);
        }
        if self.latents != USUAL_LATENTS {
            title += &format!(", {}", self.latents);
        }
        title
    }
}

/// All networks on `dataset`, in the order of tables.
pub(super) fn columns(rows: &Rows, dataset: Dataset) -> Vec<Column<'_>> {
    let mut arms: BTreeMap<Arm, Vec<&Row>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.dataset == dataset) {
        let Row { network, structure, steps, batch_size, macs, latents, .. } = row;
        let place = network_place(network);
        let arm = Arm {
            place,
            network,
            structure,
            unusual_latents: latents != USUAL_LATENTS,
            latents,
            batch_size: *batch_size,
            steps: *steps,
            macs: *macs,
            unusual_statistics: row.statistics() != usual_statistics(dataset, network),
            statistics: row.statistics(),
        };
        arms.entry(arm).or_default().push(row);
    }
    arms.into_iter().map(|(arm, rows)| Column { arm, rows }).collect()
}

/// The classes that every one of the columns ran, so that their means are of the same classes.
pub(super) fn common_classes<'a>(columns: impl IntoIterator<Item = &'a Column<'a>>) -> BTreeSet<u8> {
    columns.into_iter().map(Column::classes).reduce(|common, classes| &common & &classes).unwrap_or_default()
}

/// What the mark means, below what is shown, if there is one in it.
pub(super) fn note(shown: &str) -> &'static str {
    if !shown.contains('†') {
        return "";
    }
    "\n† Some of these runs do not reconstruct: the error of normal images is above 0.6 of a constant image's. Such \
     networks are no encoder-decoder-encoder GANs in the papers' sense.\n"
}

impl Column<'_> {
    /// The normal classes that were run.
    pub(super) fn classes(&self) -> BTreeSet<u8> {
        self.rows.iter().map(|row| row.normal).collect()
    }

    /// A figure for one normal class, over its seeds.
    pub(super) fn class(&self, normal: u8, figure: Figure) -> Option<Summary> {
        Summary::of(self.rows.iter().filter(|row| row.normal == normal).map(|row| figure(row)))
    }

    /// How many runs of some classes are known to reconstruct, and how many are known not to.
    pub(super) fn reconstructing(&self, classes: &BTreeSet<u8>) -> [usize; 2] {
        let rows = self.rows.iter().filter(|row| classes.contains(&row.normal));
        let known: Vec<bool> = rows.filter_map(|row| row.reconstructs).collect();
        let yes = known.iter().filter(|yes| **yes).count();
        [yes, known.len() - yes]
    }

    /// What stands behind a figure of some classes: a mark where runs take part in it that do not reconstruct.
    pub(super) fn mark(&self, classes: &BTreeSet<u8>) -> &'static str {
        if self.reconstructing(classes)[1] > 0 { " †" } else { "" }
    }

    /// The mean over `classes` of the means over seeds; scatter and number are those of the seeds that ran every one of
    /// the classes. `None` unless each class was run.
    pub(super) fn mean(&self, classes: &BTreeSet<u8>, figure: Figure) -> Option<Summary> {
        let means: Option<Vec<f64>> =
            classes.iter().map(|&normal| self.class(normal, figure).map(|class| class.mean)).collect();
        let mean = Summary::of(means?)?.mean;
        let mut seeds: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| classes.contains(&row.normal)) {
            seeds.entry(row.seed).or_default().push(figure(row));
        }
        let complete = seeds.into_values().filter(|values| values.len() == classes.len());
        let over_seeds = Summary::of(complete.filter_map(Summary::of).map(|seed| seed.mean));
        Some(Summary { mean, sd: over_seeds.and_then(|seeds| seeds.sd), n: over_seeds.map_or(0, |seeds| seeds.n) })
    }

    /// The mean AUROC over `classes` as text, with a mark where runs take part in it that do not reconstruct.
    pub(super) fn marked_mean(&self, classes: &BTreeSet<u8>) -> String {
        summary(self.mean(classes, auroc)) + self.mark(classes)
    }

    /// By how many points of AUROC this network surpasses `base`, over the classes and seeds that both ran.
    pub(super) fn gain(&self, base: &Column) -> Option<Gain> {
        let of_base: BTreeMap<_, _> = base.rows.iter().map(|row| ((row.normal, row.seed), auroc(row))).collect();
        let gain = |row: &&Row| Some((row.normal, auroc(row) - of_base.get(&(row.normal, row.seed))?));
        Gain::of(self.rows.iter().filter_map(gain))
    }
}
