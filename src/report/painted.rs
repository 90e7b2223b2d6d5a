//! What a run found of painted defects: its tables, and the defects themselves.

use super::parts::Table;
use super::tables::{dash, decimals};
use super::{ReportError, pictures};
use crate::anomaly_map::LocalizationFigures;
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
    /// How often its heat maps are highest on the defect, by kind and size; none of a network without heat maps.
    pub places: Option<Table>,
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
            places: report.of(network, ScoreKind::Latent).filter(|own| own.localization.is_some()).map(places),
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
            // Earlier versions painted local defects only.
            decimals(detector.local_auroc.or(Some(detector.auroc))),
            decimals(detector.whole_auroc),
            decimals(detector.anomalies_auroc),
            detector.localization.map_or_else(dash, |of| percent(of.maximum_on_defect)),
            decimals(detector.localization.map(|of| of.pixel_auroc)),
        ]
    });
    let header = [
        "detector",
        "painted defects found",
        "AUROC, local defects",
        "AUROC, whole image changed",
        "AUROC, anomalous images",
        "heat map highest on the painted defect",
        "pixel AUROC, painted defects",
    ];
    Table::new(&header, rows.collect())
}

fn places(own: &DetectorSensitivity) -> Table {
    let rows = Kind::ALL.into_iter().filter(|kind| kind.is_local()).map(|kind| {
        let of = |size, figure: fn(&LocalizationFigures) -> f64| {
            own.mean_of(kind, size, |defect| defect.localization.as_ref().map(figure))
        };
        let highest = Size::ALL.map(|size| of(size, |of| of.maximum_on_defect).map_or_else(dash, percent));
        let auroc = Size::ALL.map(|size| decimals(of(size, |of| of.pixel_auroc)));
        [kind.name().to_owned()].into_iter().chain(highest).chain(auroc).collect()
    });
    let header =
        ["defect", "small", "medium", "large", "pixel AUROC, small", "pixel AUROC, medium", "pixel AUROC, large"];
    Table::new(&header, rows.collect())
}

fn found(own: Option<&DetectorSensitivity>) -> Table {
    let rows = Kind::ALL.map(|kind| {
        let cells = own.map(|own| Size::ALL.map(|size| percent(own.found_of(kind, size))));
        [kind.name().to_owned()].into_iter().chain(cells.into_iter().flatten()).collect()
    });
    Table::new(&["defect", "small, 0.1", "medium, 0.2", "large, 0.4"], rows.into())
}
