//! Charts of losses and AUROC over the steps, from the log.

use super::ReportError;
use super::charts::{Chart, Ink, Line};
use super::parts::{Entry, Figure};
use crate::plot::Axis;
use crate::run::Logged;
use crate::train::Stage;

/// Losses that are drawn together: what their names begin with in the log, whose they are, and their names after that
/// with what they measure.
type Group = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const OWN: &[(&str, &str)] = &[
    ("discriminator", "discriminator: cross-entropy, nats"),
    ("reconstruction", "reconstruction: mean |x − x′|, pixels in −1 to 1"),
    ("latent", "latent: mean (z₁ − z₂)², no unit"),
    ("adversarial", "adversarial: cross-entropy, nats"),
];
const DISTANCE: &[(&str, &str)] = &[
    ("latent", "latent of the image: mean squared, no unit"),
    ("reconstruction", "reconstruction: mean absolute, pixels in −1 to 1"),
    ("latent_again", "latent of the reconstruction: mean squared, no unit"),
];
const GROUPS: [Group; 3] = [
    ("", "own losses", OWN),
    ("distance_", "distances to the teacher", DISTANCE),
    ("teacher_", "the teacher's losses", OWN),
];

/// The name of the area under the ROC curve in the log.
const AUROC: &str = "auroc";

/// What a stage is called on the page.
pub(super) fn stage_title(stage: Stage) -> &'static str {
    match stage {
        Stage::Teacher => "Teacher",
        Stage::Alone => "Student by itself",
        Stage::Step1 => "Distillation, step 1",
        Stage::Step2 => "Distillation, step 2",
    }
}

/// The charts of a run's course: losses of each stage, and the AUROC on the way where it was looked at.
pub(super) fn figures(log: &[Logged]) -> Result<Vec<Figure>, ReportError> {
    let mut figures = Vec::new();
    for stage in Stage::ALL {
        for (prefix, whose, losses) in GROUPS {
            let drawn = losses.iter().enumerate().filter_map(|(place, (name, measure))| {
                let points = points(log, stage, &format!("{prefix}{name}"));
                (!points.is_empty()).then(|| (Ink::Series(place), (*measure).to_owned(), points))
            });
            let title = format!("{}: {whose}", stage_title(stage));
            figures.extend(figure(&title, "loss, logarithmic", Axis::logarithmic, drawn.collect())?);
        }
    }
    let looked = Stage::ALL.into_iter().enumerate().filter_map(|(place, stage)| {
        let points = points(log, stage, AUROC);
        (!points.is_empty()).then(|| (Ink::Series(place), stage_title(stage).to_owned(), points))
    });
    figures.extend(figure("AUROC on the way", "AUROC, 0 to 1", Axis::share, looked.collect())?);
    Ok(figures)
}

/// The same loss of several runs in one chart, for each stage that more than one of them has.
pub(super) fn compared(logs: &[(&str, &[Logged])]) -> Result<Vec<Figure>, ReportError> {
    let mut figures = Vec::new();
    for stage in Stage::ALL {
        // What every stage minimises in some form: the error of the pixels.
        for (key, whose) in [
            ("reconstruction", "own reconstruction loss"),
            ("distance_reconstruction", "distance to the teacher's reconstruction"),
        ] {
            let drawn = logs.iter().enumerate().filter_map(|(place, (name, log))| {
                let points = points(log, stage, key);
                (!points.is_empty()).then(|| (Ink::Series(place), (*name).to_owned(), points))
            });
            let drawn: Vec<_> = drawn.collect();
            if drawn.len() > 1 {
                let title = format!("{}: {whose}", stage_title(stage));
                figures.extend(figure(&title, "mean absolute error, logarithmic", Axis::logarithmic, drawn)?);
            }
        }
    }
    Ok(figures)
}

/// Steps and values of a figure in a stage; those that were no number are left out.
fn points(log: &[Logged], stage: Stage, name: &str) -> Vec<(f64, f64)> {
    let lines = log.iter().filter(|line| line.stage == stage.name());
    lines.filter_map(|line| Some((line.step as f64, (*line.figures.get(name)?)?))).collect()
}

/// A line of a chart: its ink, its name, and its points.
type Series = (Ink, String, Vec<(f64, f64)>);

/// A chart over steps; none without series.
fn figure<'a>(
    title: &str,
    y_label: &str,
    axis: impl FnOnce(Box<dyn Iterator<Item = f64> + 'a>) -> Axis,
    series: Vec<Series>,
) -> Result<Option<Figure>, ReportError> {
    if series.is_empty() {
        return Ok(None);
    }
    let legend: Vec<Entry> = series.iter().map(|(ink, name, _)| Entry::new(*ink, name)).collect();
    let all: Vec<(f64, f64)> = series.iter().flat_map(|(.., points)| points.clone()).collect();
    let last = series.iter().filter_map(|(_, name, points)| Some(format!("{name} ends at {:.3}", points.last()?.1)));
    let alt = format!("Lines over training steps. {}.", last.collect::<Vec<_>>().join("; "));
    let values: Vec<f64> = all.iter().map(|point| point.1).collect();
    let chart = Chart {
        name: title,
        x_label: "training step",
        y_label,
        x: Axis::from_zero(all.iter().map(|point| point.0)),
        y: axis(Box::new(values.into_iter())),
        lines: series.into_iter().map(|(ink, _, points)| Line { points, ink }).collect(),
        bars: Vec::new(),
    };
    Ok(Some(Figure { title: title.to_owned(), alt, svg: chart.svg()?, legend }))
}
