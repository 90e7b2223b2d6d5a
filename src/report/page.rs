//! The pages themselves: what goes into the templates, in which order.

use askama::Template;

use super::ReportError;
use super::gallery::{Ends, Gallery, Grid};
use super::painted::Sensitivity;
use super::parts::{Figure, Table};
use super::view::RunView;
use super::{figures, tables, training_curves};
use crate::model::{Architecture, ModelFile};
use crate::results::grouped;
use crate::run::{NetworkReport, RunFile, RunFolder};
use crate::sensitivity::DefectSet;
use crate::train::TrainError;

/// A figure that matters, large.
struct Card {
    name: &'static str,
    value: String,
    note: String,
}

/// The page of one run.
#[derive(Template)]
#[template(path = "report.html")]
struct RunPage<'a> {
    title: String,
    run: &'a RunView,
    normal: String,
    /// Number of evaluation images.
    images: String,
    cards: Vec<Card>,
    constant: Vec<&'a NetworkReport>,
    networks: Table,
    curves: Vec<Figure>,
    histograms: Vec<Figure>,
    thresholds: Table,
    sensitivity: Option<Sensitivity>,
    localization: Option<Table>,
    ends: Ends,
    grid: Grid,
    course: Vec<Figure>,
    latency: Table,
    layers: Vec<(String, Vec<(String, Table)>)>,
    machine: Table,
    settings: Table,
}

/// The page that compares runs.
#[derive(Template)]
#[template(path = "comparison.html")]
struct ComparisonPage<'a> {
    title: String,
    constant: Vec<(&'a str, &'a NetworkReport)>,
    runs: Table,
    differences: Table,
    curves: Vec<Figure>,
    histograms: Vec<Figure>,
    grid: Option<Grid>,
    course: Vec<Figure>,
}

/// The page of one run, with its evaluation images and those that defects were painted into.
///
/// # Errors
/// Networks that are missing or damaged, images that the scores do not go with, and failures of the device.
pub fn page(
    folder: &RunFolder,
    run: &RunView,
    gallery: Gallery,
    painted: Option<&DefectSet>,
) -> Result<String, ReportError> {
    let report = &run.report;
    let result = run.result();
    let score = report.networks.last().map_or_else(Default::default, |network| network.score);
    let model = |file| ModelFile::read(&folder.file(file)).map_err(TrainError::from);
    let mut architectures = vec![(result.network.clone(), model(RunFile::Model)?.architecture)];
    let mut shown = vec![(result.network.clone(), folder.file(RunFile::Model))];
    if folder.file(RunFile::Teacher).exists() {
        architectures.insert(0, ("teacher".to_owned(), model(RunFile::Teacher)?.architecture));
        shown.insert(0, ("teacher".to_owned(), folder.file(RunFile::Teacher)));
    }
    check(run, &gallery)?;
    let evaluated: Vec<_> = run.evaluated.iter().map(|evaluated| (evaluated.network.as_str(), evaluated)).collect();
    let histograms = run.evaluated.iter().map(|evaluated| {
        figures::histogram(
            &format!("Scores of the {}", evaluated.network),
            evaluated,
            run.threshold(&evaluated.network),
        )
    });
    let layers = |(name, architecture): &(String, Architecture)| (name.clone(), tables::layers(architecture));
    let normal = run.class(report.normal);
    let page = RunPage {
        title: format!("{}: {} of {}", run.name, normal, report.dataset),
        run,
        normal,
        images: grouped(run.scores.len() as u64),
        cards: cards(run),
        constant: tables::constant(&report.networks),
        networks: tables::networks(run),
        curves: figures::curves(&evaluated)?,
        histograms: histograms.collect::<Result<_, _>>()?,
        thresholds: tables::thresholds(run),
        sensitivity: report
            .sensitivity
            .as_ref()
            .zip(painted)
            .map(|(found, painted)| Sensitivity::new(found, painted, (&result.network, score)))
            .transpose()?,
        localization: tables::localization(run),
        ends: gallery.ends(run)?,
        grid: gallery.grid(run, &shown)?,
        course: training_curves::figures(&run.log)?,
        latency: tables::latency(run),
        layers: architectures.iter().map(layers).collect(),
        machine: tables::machine(run),
        settings: tables::settings(run)?,
    };
    Ok(page.render()?)
}

/// The page that compares runs, each with its folder. The images are those that all of them are evaluated on; without,
/// there are no reconstructions to compare.
///
/// # Errors
/// As for [`page`].
pub fn comparison(folders: &[RunFolder], runs: &[RunView], gallery: Option<Gallery>) -> Result<String, ReportError> {
    let named: Vec<_> = runs.iter().map(|run| (run.name.as_str(), run.result())).collect();
    let histograms = runs.iter().map(|run| {
        let threshold = run.threshold(&run.result().network);
        figures::histogram(&format!("Scores of {}", run.name), run.result(), threshold)
    });
    let models = runs.iter().zip(folders).map(|(run, folder)| (run.name.clone(), folder.file(RunFile::Model)));
    let models: Vec<_> = models.collect();
    let grid = gallery.zip(runs.first()).map(|(gallery, first)| {
        check(first, &gallery)?;
        gallery.grid(first, &models)
    });
    let logs: Vec<_> = runs.iter().map(|run| (run.name.as_str(), &run.log[..])).collect();
    let page = ComparisonPage {
        title: format!("{} runs compared", runs.len()),
        constant: runs
            .iter()
            .flat_map(|run| {
                tables::constant(&run.report.networks).into_iter().map(|network| (run.name.as_str(), network))
            })
            .collect(),
        runs: tables::runs(runs),
        differences: tables::differences(runs)?,
        curves: figures::curves(&named)?,
        histograms: histograms.collect::<Result<_, _>>()?,
        grid: grid.transpose()?,
        course: training_curves::compared(&logs)?,
    };
    Ok(page.render()?)
}

/// Refuses scores of other images than those at hand.
fn check(run: &RunView, gallery: &Gallery) -> Result<(), ReportError> {
    let labels = &gallery.images.labels;
    match run.scores.iter().find(|score| labels.get(score.index as usize) != Some(&score.label)) {
        None => Ok(()),
        Some(score) => Err(ReportError::Scores {
            run: run.name.clone(),
            message: format!("image {} of class {} in scores.csv is not in the data set", score.index, score.label),
        }),
    }
}

/// What to know first.
fn cards(run: &RunView) -> Vec<Card> {
    let report = &run.report;
    let network = report.networks.last();
    let mut cards = vec![
        Card {
            name: "AUROC",
            value: tables::decimals(report.auroc),
            note: match report.auroc {
                Some(_) => "1 is perfect, 0.5 is chance; after the last step".into(),
                None => "takes anomalous images, of which there are none".into(),
            },
        },
        Card {
            name: "MACs an image",
            value: grouped(report.macs),
            note: network.filter(|network| network.ratio != 1.0).map_or_else(
                || "multiply-accumulates".into(),
                |network| format!("{:.0} times fewer than the teacher's", network.ratio),
            ),
        },
        Card {
            name: "Reconstruction error",
            value: format!("{:.4}", report.reconstruction_l1_normal),
            note: format!("of normal images, L1; a constant image: {:.4}", report.blank_l1_normal),
        },
    ];
    cards.extend(network.map(|network| Card {
        name: "Time for one image",
        value: format!("{:.0} µs", 1e6 * network.latency_seconds),
        note: format!("on {}", report.adapter),
    }));
    cards
}
