use pkdgan::metrics::BestF1;
use pkdgan::run::{Report, ThresholdReport};

use super::model::count;

/// The figures of a run for a person: a line for each network.
pub fn of(report: &Report) -> String {
    let mut text = format!("{} class {}, after the last step\n", report.dataset, report.normal);
    text += &format!(
        "{:<14} {:>10} {:>10} {:>8} {:>8} {:>10} {:>22} {:>9}\n",
        "network", "parameters", "MACs", "ratio", "AUROC", "precision", "L1 normal (blank)", "latency"
    );
    for network in &report.networks {
        text += &format!(
            "{:<14} {:>10} {:>10} {:>8} {:>8.4} {:>10.4} {:>22} {:>6.0} us\n",
            network.network,
            network.params,
            count(network.macs),
            format!("{:.1}:1", network.ratio),
            network.auroc,
            network.average_precision,
            format!("{:.4} ({:.4})", network.reconstruction_l1_normal, network.blank_l1_normal),
            1e6 * network.latency_seconds
        );
    }
    if let Some(result) = report.networks.last() {
        text += &thresholds(result.threshold.as_ref(), result.best_f1.as_ref());
    }
    text + &format!("{:.0} s in all", report.seconds_total)
}

/// What is known of thresholds on a network's scores, a line each.
pub fn thresholds(threshold: Option<&ThresholdReport>, best: Option<&BestF1>) -> String {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let mut text = match threshold {
        Some(of) => format!(
            "threshold {:.4} promises {} false alarms ({} normal images held out of training); on the test set {} false \
             alarms, {} of the anomalies found\n",
            of.threshold,
            percent(of.alpha),
            of.images,
            percent(of.false_alarm_rate),
            percent(of.detection_rate)
        ),
        None => "no threshold: no normal images were held out of training (--calibration 0.1 does)\n".into(),
    };
    if let Some(best) = best {
        text +=
            &format!("best F1 {:.4}, above {:.4}: a threshold chosen by the test labels\n", best.f1, best.threshold);
    }
    text
}
