//! The figures of a run as text for a terminal. It computes none of them.

use pkdgan::data::Source;
use pkdgan::metrics::BestF1;
use pkdgan::unstable::calibration::{percent, rounded_up_to};
use pkdgan::unstable::run::{LocalizationReport, NetworkLocalization, Report, SensitivityReport, ThresholdReport};

use super::units::count;

/// The figures of a run for a person: a line for each network.
pub(super) fn of(report: &Report) -> String {
    let mut text = format!("{}, after the last step\n", subject(report.dataset, report.normal));
    text += &format!(
        "{:<14} {:>10} {:>10} {:>8} {:>8} {:>10} {:>22} {:>9}\n",
        "network", "parameters", "MACs", "ratio", "AUROC", "precision", "L1 normal (constant)", "latency"
    );
    for network in &report.networks {
        text += &format!(
            "{:<14} {:>10} {:>10} {:>8} {:>8} {:>10} {:>22} {:>6.0} us\n",
            network.network,
            network.params,
            count(network.macs),
            format!("{:.1}:1", network.ratio),
            figure(network.auroc),
            figure(network.average_precision),
            format!("{:.4} ({:.4})", network.reconstruction_l1_normal, network.blank_l1_normal),
            1e6 * network.latency_seconds
        );
    }
    if let Some(result) = report.networks.last() {
        text += &thresholds(result.threshold.as_ref(), result.best_f1.as_ref());
    }
    text += &report.sensitivity.as_ref().map_or_else(String::new, sensitivity);
    text += &report.localization.as_ref().map_or_else(String::new, localization);
    text + &format!("{} in all", report.duration())
}

/// What each detector finds of painted defects, a line each.
fn sensitivity(of: &SensitivityReport) -> String {
    let mut text = format!(
        "defects painted into {} normal images, found at {} false alarms; report.html shows them\n{:<31} {:>8} {:>12} {:>12} {:>18} {:>12}\n",
        of.images,
        percent(of.alpha),
        "detector",
        "found",
        "AUROC, local",
        "whole image",
        "AUROC, anomalies",
        "map on it"
    );
    for detector in &of.detectors {
        text += &format!(
            "{:<31} {:>8} {:>12} {:>12} {:>18} {:>12}\n",
            detector.name(),
            format!("{:.1} %", 100.0 * detector.found),
            figure(detector.local_auroc.or(Some(detector.auroc))),
            figure(detector.whole_auroc),
            figure(detector.anomalies_auroc),
            detector.localization.map_or_else(|| "-".into(), |of| format!("{:.1} %", 100.0 * of.maximum_on_defect))
        );
    }
    text
}

/// How well heat maps point at defects by their masks, a line for each network.
pub(super) fn localization(of: &LocalizationReport) -> String {
    let line = |one: &NetworkLocalization| {
        format!(
            "heat maps of {} beside {} masks: pixel AUROC {:.4}, highest on the defect in {:.1} % (by chance {:.1} %)\n",
            one.network,
            of.masks,
            one.figures.pixel_auroc,
            100.0 * one.figures.maximum_on_defect,
            100.0 * one.figures.defect_area
        )
    };
    of.networks.iter().map(line).collect()
}

/// What was trained on.
pub(super) fn subject(source: Source, normal: u8) -> String {
    match source {
        Source::Published(dataset) => format!("{dataset} class {normal}"),
        Source::Images => "own images".into(),
    }
}

/// A figure, or a dash where there is none.
pub(super) fn figure(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".into(), |figure| format!("{figure:.4}"))
}

/// What is known of thresholds on a network's scores, a line each.
pub(super) fn thresholds(threshold: Option<&ThresholdReport>, best: Option<&BestF1>) -> String {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let mut text = String::new();
    match threshold {
        Some(of) => {
            let [least, lower, median, upper, most] = of.quartiles;
            text += &format!(
                "{} normal images held out of training score {least:.4} to {most:.4}, quartiles {lower:.4}, {median:.4} \
                 and {upper:.4}\nthreshold {} promises at most {} % false alarms",
                of.images,
                // Numbers that somebody may type back must promise what they stand beside.
                rounded_up_to(of.threshold.into(), 4),
                rounded_up_to(100.0 * of.alpha, 2)
            );
            let alarms = of.false_alarm_rate.map(|alarms| format!("{} false alarms", percent(alarms)));
            let found = of.detection_rate.map(|found| format!("{} of the anomalies found", percent(found)));
            let shares: Vec<String> = alarms.into_iter().chain(found).collect();
            if !shares.is_empty() {
                text += &format!("; on the test set {}", shares.join(", "));
            }
            text.push('\n');
        }
        None => text += "no threshold: no normal images were held out of training (--calibration 0.1 does)\n",
    }
    if let Some(best) = best {
        text +=
            &format!("best F1 {:.4}, above {:.4}: a threshold chosen by the test labels\n", best.f1, best.threshold);
    }
    text
}
