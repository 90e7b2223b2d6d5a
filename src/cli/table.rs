use pkdgan::run::Report;

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
    text + &format!("{:.0} s in all", report.seconds_total)
}
