//! The tables of the pages. They compute no figure.

use std::collections::BTreeSet;

use super::ReportError;
use super::parts::Table;
use super::view::RunView;
use crate::calibration::rounded_up_to;
use crate::model::{Architecture, NetworkSpec};
use crate::results::grouped;
use crate::run::NetworkReport;
use crate::version;

/// The networks of a run with their figures.
pub(super) fn networks(run: &RunView) -> Table {
    let header = [
        "network",
        "structure",
        "AUROC",
        "average precision",
        "AUROC by L1",
        "AUROC by L2",
        "L1 of normal images",
        "L1 of a constant image",
        "reconstructs",
        "steps × batch",
        "training, s",
    ];
    let rows = run.report.networks.iter().map(|network| {
        vec![
            network.network.clone(),
            if network.structure.is_empty() { dash() } else { network.structure.clone() },
            decimals(network.auroc),
            decimals(network.average_precision),
            decimals(network.reconstruction_auroc_l1),
            decimals(network.reconstruction_auroc_l2),
            format!("{:.4}", network.reconstruction_l1_normal),
            format!("{:.4}", network.blank_l1_normal),
            if network.reconstructs() { "yes" } else { "no" }.into(),
            format!("{} × {}", grouped(network.steps), network.batch_size),
            network.seconds.map_or_else(|| "given".into(), |seconds| format!("{seconds:.0}")),
        ]
    });
    Table::new(&header, rows.collect())
}

/// The thresholds that held-out images set, and what they do to the evaluation images.
pub(super) fn thresholds(run: &RunView) -> Table {
    let header =
        ["network", "threshold", "promised false alarms", "held-out images", "false alarms", "detected", "best F1"];
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let rows = run.report.networks.iter().filter_map(|network| {
        let threshold = network.threshold?;
        Some(vec![
            network.network.clone(),
            rounded_up_to(threshold.threshold.into(), 4),
            format!("at most {} %", rounded_up_to(100.0 * threshold.alpha, 2)),
            grouped(threshold.images),
            threshold.false_alarm_rate.map_or_else(dash, percent),
            threshold.detection_rate.map_or_else(dash, percent),
            decimals(network.best_f1.map(|best| best.f1)),
        ])
    });
    Table::new(&header, rows.collect())
}

/// How well heat maps point at defects by their masks; none of a run without masks.
pub(super) fn localization(run: &RunView) -> Option<Table> {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let rows = run.report.localization.as_ref()?.networks.iter().map(|one| {
        let of = one.figures;
        let shares = [of.maximum_on_defect, of.defect_area].map(percent);
        [one.network.clone(), decimals(Some(of.pixel_auroc))].into_iter().chain(shares).collect()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let header = ["network", "pixel AUROC", "highest on the defect", "by chance"];
    (!rows.is_empty()).then(|| Table::new(&header, rows))
}

/// What scoring costs with each network.
pub(super) fn latency(run: &RunView) -> Table {
    let header =
        ["network", "parameters", "MACs an image", "ratio to the teacher", "one image, µs", "images/s, one by one"];
    let rows = run.report.networks.iter().map(|network| {
        vec![
            network.network.clone(),
            grouped(network.params),
            grouped(network.macs),
            format!("{:.1} : 1", network.ratio),
            format!("{:.0}", 1e6 * network.latency_seconds),
            format!("{:.0}", 1.0 / network.latency_seconds),
        ]
    });
    Table::new(&header, rows.collect())
}

/// The layers of the networks that an architecture makes.
pub(super) fn layers(architecture: &Architecture) -> Vec<(String, Table)> {
    let networks = architecture.generator().into_iter().chain([architecture.discriminator()]);
    networks.map(|spec| (title(&spec), layer_table(&spec))).collect()
}

fn title(spec: &NetworkSpec) -> String {
    format!("{}: {} parameters, {} MACs", spec.name, grouped(spec.params() as u64), grouped(spec.macs()))
}

fn layer_table(spec: &NetworkSpec) -> Table {
    let rows = spec.figures().into_iter().map(|layer| {
        let [kernel, stride, padding] = layer.window;
        let [c, h, w] = layer.output;
        vec![
            layer.name,
            format!("{kernel} × {kernel}"),
            stride.to_string(),
            padding.to_string(),
            format!("{c} × {h} × {w}"),
            grouped(layer.params as u64),
            grouped(layer.macs),
        ]
    });
    let header = ["layer", "kernel, pixels", "stride", "padding", "output, C × H × W", "parameters", "MACs an image"];
    Table::new(&header, rows.collect())
}

/// What computed, and how long.
pub(super) fn machine(run: &RunView) -> Table {
    let report = &run.report;
    let mut rows = vec![
        ("adapter", report.adapter.clone()),
        ("interface", report.backend.clone()),
        ("driver", report.driver.clone()),
        ("pkdgan", version::named(&report.version, &report.build)),
        ("whole run", report.duration()),
        ("a step of the last stage", format!("{:.2} ms", 1e3 * report.seconds_per_step)),
    ];
    rows.extend(report.peak_rss_bytes.map(|bytes| ("most memory held", format!("{:.0} MB", bytes as f64 / 1e6))));
    let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]);
    Table::new(&["what", "value"], rows.collect())
}

/// Every setting.
pub(super) fn settings(run: &RunView) -> Result<Table, ReportError> {
    let rows = run.settings()?.into_iter().map(|(key, value)| vec![key, value]);
    Ok(Table::new(&["setting", "value"], rows.collect()))
}

/// Several runs, one a line.
pub(super) fn runs(runs: &[RunView]) -> Table {
    let header = [
        "run",
        "data set",
        "normal class",
        "network",
        "AUROC",
        "average precision",
        "L1 of normal images (constant)",
        "threshold",
        "MACs an image",
        "one image, µs",
        "whole run, s",
        "adapter",
    ];
    let rows = runs.iter().map(|run| {
        let report = &run.report;
        let latency = report.networks.last().map_or(f64::NAN, |network| network.latency_seconds);
        vec![
            run.name.clone(),
            report.dataset.to_string(),
            run.class(report.normal),
            run.result().network.clone(),
            decimals(report.auroc),
            decimals(report.average_precision),
            format!("{:.4} ({:.4})", report.reconstruction_l1_normal, report.blank_l1_normal),
            run.threshold(&run.result().network).map_or_else(dash, |score| format!("{score:.4}")),
            grouped(report.macs),
            format!("{:.0}", 1e6 * latency),
            format!("{:.0}", report.seconds_total),
            report.adapter.clone(),
        ]
    });
    Table::new(&header, rows.collect())
}

/// The settings in which runs differ, a column a run.
pub(super) fn differences(runs: &[RunView]) -> Result<Table, ReportError> {
    let settings = runs.iter().map(RunView::settings).collect::<Result<Vec<_>, _>>()?;
    let mut header = vec!["setting"];
    header.extend(runs.iter().map(|run| run.name.as_str()));
    let keys: BTreeSet<&String> = settings.iter().flatten().map(|(key, _)| key).collect();
    let rows = keys.into_iter().filter_map(|key| {
        let value = |settings: &Vec<(String, String)>| {
            let found = settings.iter().find(|(other, _)| other == key);
            found.map_or_else(dash, |(_, value)| value.clone())
        };
        let values: Vec<String> = settings.iter().map(value).collect();
        let same = values.iter().all(|value| *value == values[0]);
        (!same).then(|| [key.clone()].into_iter().chain(values).collect())
    });
    Ok(Table::new(&header, rows.collect()))
}

/// A figure from 0 to 1, or a dash where there is none.
pub(super) fn decimals(figure: Option<f64>) -> String {
    figure.map_or_else(dash, |figure| format!("{figure:.4}"))
}

/// What stands where there is nothing to say.
pub(super) fn dash() -> String {
    "–".into()
}

/// The networks whose reconstructions of normal images are hardly better than a constant image.
pub(super) fn constant(networks: &[NetworkReport]) -> Vec<&NetworkReport> {
    networks.iter().filter(|network| network.is_constant()).collect()
}
