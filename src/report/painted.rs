//! What a run found of painted defects: its tables, and the defects themselves.

use super::parts::Table;
use super::tables::decimals;
use super::{ReportError, pictures};
use crate::model::ScoreKind;
use crate::run::{DetectorSensitivity, SensitivityReport};
use crate::sensitivity::{Contrast, Defect, DefectSet, Kind, Size};

/// The part of the page.
pub(super) struct Sensitivity {
    /// Normal images that were painted into.
    pub images: u64,
    /// The rate of false alarms, in percent.
    pub alpha: String,
    /// The detectors, one a line.
    pub detectors: Table,
    /// What the run's result found, by kind and size.
    pub found: Table,
    /// Detectors that do better than the result.
    pub better: Vec<String>,
    /// A line of pictures for each kind.
    pub kinds: Vec<PaintedKind>,
}

/// A kind of defect, in pictures.
pub(super) struct PaintedKind {
    /// What it is called.
    pub name: &'static str,
    /// Faint and strong of each size, the smallest first.
    pub pictures: Vec<String>,
}

impl Sensitivity {
    /// The part of the page about these images, where a network with its kind of score is the run's result.
    pub(super) fn new(
        report: &SensitivityReport,
        set: &DefectSet,
        (network, score): (&str, ScoreKind),
    ) -> Result<Self, ReportError> {
        let kind = |kind: Kind| {
            let defects = Size::ALL.into_iter().flat_map(|size| Contrast::ALL.map(|contrast| (size, contrast)));
            let places = defects.filter_map(|(size, contrast)| set.place(0, Defect { kind, size, contrast }));
            let pictures = places.map(|place| pictures::read(&set.images, place)).collect::<Result<_, _>>()?;
            Ok(PaintedKind { name: kind.name(), pictures })
        };
        let own = report.of(network, score);
        Ok(Self {
            images: report.images,
            alpha: crate::calibration::percent(report.alpha),
            detectors: detectors(&report.detectors),
            found: found(own),
            better: report.better_detectors(network, score),
            kinds: Kind::ALL.into_iter().map(kind).collect::<Result<_, ReportError>>()?,
        })
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn detectors(detectors: &[DetectorSensitivity]) -> Table {
    let rows = detectors.iter().map(|detector| {
        vec![
            detector.name(),
            percent(detector.found),
            decimals(Some(detector.auroc)),
            decimals(detector.anomalies_auroc),
        ]
    });
    let header = ["detector", "painted defects found", "AUROC, painted defects", "AUROC, anomalous images"];
    Table::new(&header, rows.collect())
}

fn found(own: Option<&DetectorSensitivity>) -> Table {
    let rows = Kind::ALL.map(|kind| {
        let cells = own.map(|own| Size::ALL.map(|size| percent(own.found_of(kind, size))));
        [kind.name().to_owned()].into_iter().chain(cells.into_iter().flatten()).collect()
    });
    Table::new(&["defect", "small, 0.1", "medium, 0.2", "large, 0.4"], rows.into())
}
