//! The charts of how well scores part normal images from anomalous ones.

use super::ReportError;
use super::charts::{Bars, Chart, Ink, Line};
use super::parts::{Entry, Figure};
use super::view::Evaluated;
use crate::calibration::rounded_up_to;
use crate::metrics::{OperatingPoint, auroc, average_precision, operating_points};
use crate::plot::Axis;
use crate::results::grouped;

/// Bars of a histogram.
const BINS: usize = 40;
/// Distance below which points of a curve cannot be told apart, as a share of an axis.
const NEAR: f64 = 1.0 / 300.0;

/// ROC and precision-recall curve of networks under these names; none where either kind of image is missing.
pub(super) fn curves(evaluated: &[(&str, &Evaluated)]) -> Result<Vec<Figure>, ReportError> {
    let evaluated: Vec<_> =
        evaluated.iter().filter(|(_, by)| !by.normal.is_empty() && !by.anomalous.is_empty()).collect();
    let Some((_, first)) = evaluated.first() else { return Ok(Vec::new()) };
    let share = |count: usize, of: &[f32]| count as f64 / of.len() as f64;
    let mut roc = Curves::new("ROC curve");
    let mut precision_recall = Curves::new("Precision-recall curve");
    for (place, (name, by)) in evaluated.iter().enumerate() {
        let points = operating_points(&by.normal, &by.anomalous)?;
        let area = auroc(&by.normal, &by.anomalous)?.unwrap_or_default();
        let precision = average_precision(&by.normal, &by.anomalous)?.unwrap_or_default();
        let rates =
            |point: &OperatingPoint| (share(point.false_alarms, &by.normal), share(point.detected, &by.anomalous));
        let curve = [(0.0, 0.0)].into_iter().chain(points.iter().map(rates)).collect();
        roc.add(place, format!("{name}, AUROC {area:.4}"), curve);
        let precisions = points.iter().map(|point| {
            let flagged = (point.detected + point.false_alarms) as f64;
            (share(point.detected, &by.anomalous), point.detected as f64 / flagged)
        });
        precision_recall.add(place, format!("{name}, average precision {precision:.4}"), precisions.collect());
    }
    roc.guide("chance", vec![(0.0, 0.0), (1.0, 1.0)]);
    let chance = first.anomalous.len() as f64 / (first.normal.len() + first.anomalous.len()) as f64;
    precision_recall.guide("chance", vec![(0.0, chance), (1.0, chance)]);
    Ok(vec![
        roc.figure("false alarms: share of normal images flagged", "detected: share of anomalous ones")?,
        precision_recall.figure("recall: share of anomalous images flagged", "precision: share of true alarms")?,
    ])
}

/// The histogram of a network's scores, with its threshold.
pub(super) fn histogram(title: &str, by: &Evaluated, threshold: Option<f32>) -> Result<Figure, ReportError> {
    let all = by.normal.iter().chain(&by.anomalous).copied().filter(|score| score.is_finite());
    let (low, high) =
        all.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), score| (low.min(score), high.max(score)));
    let (low, high) = if low < high { (f64::from(low), f64::from(high)) } else { (0.0, 1.0) };
    let width = (high - low) / BINS as f64;
    let heights = |scores: &[f32]| {
        let mut counts = [0_usize; BINS];
        for &score in scores.iter().filter(|score| score.is_finite()) {
            counts[(((f64::from(score) - low) / width) as usize).min(BINS - 1)] += 1;
        }
        counts.map(|count| 100.0 * count as f64 / scores.len().max(1) as f64)
    };
    let (mut legend, mut bars) = (Vec::new(), Vec::new());
    let mut alt = String::from("Histogram over the score.");
    for (place, (kind, scores)) in [("normal", &by.normal), ("anomalous", &by.anomalous)].into_iter().enumerate() {
        if scores.is_empty() {
            continue;
        }
        let ink = Ink::Series(place);
        let at = |(bin, height): (usize, f64)| (low + bin as f64 * width, low + (bin + 1) as f64 * width, height);
        bars.push(Bars { bars: heights(scores).into_iter().enumerate().map(at).collect(), ink });
        legend.push(Entry::filled(ink, &format!("{} {kind} images", grouped(scores.len() as u64))));
        alt += &format!(" The median of {kind} images is {:.3}.", median(scores));
    }
    let highest = bars.iter().flat_map(|bars| &bars.bars).map(|bar| bar.2).fold(0.0, f64::max);
    let mut lines = Vec::new();
    if let Some(threshold) = threshold.map(f64::from) {
        lines.push(Line { points: vec![(threshold, 0.0), (threshold, highest)], ink: Ink::Guide });
        let shown = rounded_up_to(threshold, 4);
        legend.push(Entry::new(Ink::Guide, &format!("threshold {shown}")));
        alt += &format!(" The threshold is {shown}.");
    }
    let chart = Chart {
        name: title,
        x_label: "score ‖z₁ − z₂‖, no unit",
        y_label: "share of its kind, percent",
        x: Axis::from_zero([high].into_iter().chain(threshold.map(f64::from))),
        y: Axis::from_zero([highest].into_iter()),
        lines,
        bars,
    };
    Ok(Figure { title: title.to_owned(), alt, svg: chart.svg()?, legend })
}

/// Curves in a square from 0 to 1.
struct Curves {
    title: &'static str,
    lines: Vec<Line>,
    legend: Vec<Entry>,
}

impl Curves {
    fn new(title: &'static str) -> Self {
        Self { title, lines: Vec::new(), legend: Vec::new() }
    }

    fn add(&mut self, place: usize, name: String, points: Vec<(f64, f64)>) {
        let ink = Ink::Series(place);
        self.legend.push(Entry::new(ink, &name));
        self.lines.push(Line { points: thin(points), ink });
    }

    /// What to compare with, behind the curves.
    fn guide(&mut self, name: &str, points: Vec<(f64, f64)>) {
        self.legend.push(Entry::new(Ink::Guide, name));
        self.lines.insert(0, Line { points, ink: Ink::Guide });
    }

    fn figure(self, x_label: &str, y_label: &str) -> Result<Figure, ReportError> {
        let heights: Vec<f64> = self.lines.iter().flat_map(|line| &line.points).map(|point| point.1).collect();
        let names: Vec<_> = self.legend.iter().map(|entry| entry.name.as_str()).collect();
        let alt = format!("{}: {}.", self.title, names.join("; "));
        let chart = Chart {
            name: self.title,
            x_label,
            y_label,
            x: Axis::share([0.0].into_iter()),
            y: Axis::share(heights.into_iter()),
            lines: self.lines,
            bars: Vec::new(),
        };
        Ok(Figure { title: self.title.to_owned(), alt, svg: chart.svg()?, legend: self.legend })
    }
}

/// Leaves out points that cannot be told from the one before; the last stays.
fn thin(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let last = points.last().copied();
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for point in points {
        let far = |from: &(f64, f64)| (point.0 - from.0).abs().max((point.1 - from.1).abs()) >= NEAR;
        if kept.last().is_none_or(far) {
            kept.push(point);
        }
    }
    if kept.last() != last.as_ref() {
        kept.extend(last);
    }
    kept
}

fn median(scores: &[f32]) -> f32 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f32::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f32::NAN)
}
