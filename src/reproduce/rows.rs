//! From the report of a cell to rows of the results.

use std::path::Path;

use super::Cell;
use crate::data::Source;
use crate::pipeline::Plan;
use crate::results::Row;
use crate::run::{MetricsLog, NetworkReport, Report, RunFile};
use crate::train::Stage;

/// The rows of a cell that is done. Steps and seconds are those of every stage that trained a network.
pub fn rows(cell: &Cell, report: &Report) -> Vec<Row> {
    // Grids are of published data sets, where no figure is absent.
    let row = |network: &NetworkReport| {
        let Source::Published(dataset) = report.dataset else { return None };
        let stages = trained_in(cell, &network.network);
        Some(Row {
            dataset,
            normal: report.normal,
            network: network.network.clone(),
            structure: network.structure.clone(),
            seed: report.seed,
            steps: stages.iter().map(|stage| stage.budget(&cell.config).steps as u64).sum(),
            batch_size: network.batch_size,
            auroc: network.auroc?,
            average_precision: network.average_precision?,
            reconstruction_auroc_l1: network.reconstruction_auroc_l1?,
            reconstruction_auroc_l2: network.reconstruction_auroc_l2?,
            macs: network.macs,
            params: network.params,
            seconds: stages.iter().map(|&stage| seconds(cell, stage)).sum(),
            adapter: report.adapter.clone(),
            version: report.version.clone(),
            build: report.build.clone(),
            reconstruction_ratio: Some(network.reconstruction_l1_normal / network.blank_l1_normal),
            reconstructs: Some(network.reconstructs()),
            latents: latents(cell),
            statistics: Some(cell.config.statistics(&network.network)),
        })
    };
    report.networks.iter().filter_map(row).collect()
}

/// What held the latent vectors of a cell's networks.
fn latents(cell: &Cell) -> String {
    let constraint = cell.config.network.latent_constraint.name();
    let without_loss = cell.config.training.weights.latent == 0.0;
    if without_loss { format!("{constraint}, no latent loss") } else { constraint.to_owned() }
}

/// The stages that trained a network of a cell, the teacher's own among them where it was trained beside the student.
fn trained_in(cell: &Cell, network: &str) -> Vec<Stage> {
    let config = &cell.config;
    let distillation = Plan::new(config).stages.into_iter().filter(|stage| stage.distillation(config).is_some());
    match network {
        "teacher" => vec![Stage::Teacher],
        "student-alone" => vec![Stage::Alone],
        "student-step1" => vec![Stage::Step1],
        "teacher-joint" => {
            let trains = |stage: &Stage| stage.structure(config).is_some_and(|structure| structure.trains_teacher());
            [Stage::Teacher].into_iter().chain(distillation.filter(trains)).collect()
        }
        _ => distillation.collect(),
    }
}

/// How long a stage took, in its own cell or the one that it goes on from; 0 where no log says so.
fn seconds(cell: &Cell, stage: Stage) -> f64 {
    let of = |folder: &Path| MetricsLog::seconds(&folder.join(RunFile::Metrics.name()), stage.name());
    let other = || cell.origin.as_ref().and_then(|origin| of(origin.folder()));
    of(&cell.folder).or_else(other).unwrap_or_default()
}
