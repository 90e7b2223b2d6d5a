//! Axes with round ticks. They know no plot.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// An axis that names some of its places.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
    logarithmic: bool,
}

/// Steps between ticks that people read easily, by the power of ten.
const ROUND: [f64; 3] = [1.0, 2.0, 5.0];

impl Axis {
    /// From one place to another, some of which have a name.
    pub(crate) fn named(low: f64, high: f64, ticks: Vec<(f64, String)>) -> Self {
        Self { low, high, ticks, logarithmic: false }
    }

    /// From one round number to another, around the values, with ticks at least `least` apart. Values stay clear of the
    /// frame.
    pub(crate) fn round(values: impl Iterator<Item = f64>, least: f64) -> Self {
        let (low, high) = ends(values).unwrap_or((0.0, 100.0));
        let step = round_step((high - low) / 6.0, least);
        Self::steps((low / step - 0.05).floor(), (high / step + 0.05).ceil(), step)
    }

    /// From 0 to the first tick that is not below any value.
    pub(crate) fn from_zero(values: impl Iterator<Item = f64>) -> Self {
        let (_, high) = ends(values).filter(|(_, high)| *high > 0.0).unwrap_or((0.0, 1.0));
        let step = round_step(high / 6.0, f64::MIN_POSITIVE);
        // A hair less, for values that a rounding put above their tick.
        Self::steps(0.0, (high / step - 1e-9).ceil(), step)
    }

    /// From a round number that is below all values to 1; values lie in [0, 1].
    pub(crate) fn share(values: impl Iterator<Item = f64>) -> Self {
        let (low, _) = ends(values).unwrap_or((0.0, 1.0));
        let step = round_step((1.0 - low) / 6.0, 0.005);
        // Round steps up to a half divide 1, so that it has a tick; a hair more, for values a rounding below theirs.
        Self::steps((low / step + 1e-9).floor().max(0.0), (1.0 / step).round(), step)
    }

    /// By powers of ten, around the values above 0.
    pub(crate) fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = ends(values.filter(|value| *value > 0.0)).unwrap_or((0.1, 1.0));
        let decade = |value: f64| value.log10().floor() as i32;
        let marks = (decade(low)..=decade(high) + 1).flat_map(|power| ROUND.map(|digit| (digit, power)));
        let marks: Vec<(f64, f64)> = marks.map(|(digit, power)| (digit, digit * 10_f64.powi(power))).collect();
        let first = marks.iter().rposition(|mark| mark.1 <= low).unwrap_or(0);
        let last = marks.iter().position(|mark| mark.1 >= high).unwrap_or(marks.len() - 1).max(first + 1);
        let marks = &marks[first..=last];
        // Over many powers of ten, those alone are named.
        let named = marks.iter().filter(|(digit, _)| marks.len() <= 7 || *digit == 1.0);
        let ticks = named.map(|&(_, value)| (value, format!("{}", value as f32))).collect();
        Self { low: marks[0].1, high: marks[marks.len() - 1].1, ticks, logarithmic: true }
    }

    fn steps(first: f64, last: f64, step: f64) -> Self {
        let decimals = (-step.log10()).ceil().max(0.0) as usize;
        let tick = |place| {
            let value = (first + f64::from(place)) * step;
            (value, format!("{value:.decimals$}"))
        };
        Self::named(first * step, last * step, (0..=(last - first) as u32).map(tick).collect())
    }
}

/// The round number that is not below `rough`, nor below `least`.
fn round_step(rough: f64, least: f64) -> f64 {
    let rough = rough.max(least);
    let magnitude = 10_f64.powf(rough.log10().floor());
    magnitude * ROUND.into_iter().find(|factor| factor * magnitude >= rough).unwrap_or(10.0)
}

/// The least and the greatest of those that are finite.
fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.filter(|value| value.is_finite());
    finite.map(|value| (value, value)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        let share = if self.logarithmic {
            // What is not above 0 lies at the lower end.
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        low + (share * f64::from(high - low)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let light = hint.weight().allow_light_points();
        if light { Vec::new() } else { self.ticks.iter().map(|tick| tick.0).collect() }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let distance = |tick: &&(f64, String)| (tick.0 - value).abs();
        let nearest = self.ticks.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        nearest.map_or_else(String::new, |tick| tick.1.clone())
    }
}
