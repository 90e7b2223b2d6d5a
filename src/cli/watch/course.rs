//! How a watch goes: counts, the share that is called anomalous beside what was promised, drift; as lines and as events.

use std::time::{Duration, Instant};

use pkdgan::unstable::calibration::{Calibration, percent};
use pkdgan::unstable::monitor::{Direction, Drift, LEVEL, Rate, Shift};
use serde_json::{Value, json};

use crate::cli::console::{Console, Show};
use crate::cli::output;
use crate::cli::verdict::{Decision, Rule};

/// Time between lines for people.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Time between events for machines.
const EVENT_EVERY: Duration = Duration::from_secs(1);

/// The pictures so far, those of former processes among them.
pub(super) struct Course {
    /// The share that was promised.
    alpha: Option<f64>,
    anomalous: Rate,
    scored: u64,
    failed: u64,
    drift: Option<Drift>,
    first: Option<Shift>,
    last: Option<Shift>,
}

impl Course {
    pub(super) fn new(rule: &Rule, calibration: Option<&Calibration>) -> Self {
        let alpha = if let Rule::Alpha(alpha) = rule { Some(*alpha) } else { None };
        let drift = calibration.cloned().map(Drift::new);
        Self { alpha, anomalous: Rate::default(), scored: 0, failed: 0, drift, first: None, last: None }
    }

    /// Takes in a picture. Drift that it ends a window of is returned.
    pub(super) fn add(&mut self, score: f32, decision: Decision) -> Option<Shift> {
        self.scored += 1;
        if let Some(anomalous) = decision.anomalous {
            self.anomalous.add(anomalous);
        }
        let shift = self.drift.as_mut().and_then(|drift| drift.add(score));
        self.first = self.first.or(shift);
        self.last = shift.or(self.last);
        shift
    }

    /// Takes in a picture without a score.
    pub(super) fn fail(&mut self) {
        self.failed += 1;
    }

    /// Pictures that have rows.
    pub(super) fn pictures(&self) -> u64 {
        self.scored + self.failed
    }

    /// What a person should know.
    fn line(&self, per_second: f64, waiting: usize) -> String {
        let Self { scored, failed, .. } = self;
        let mut line =
            format!("{scored} pictures scored, {failed} failed, {waiting} waiting; {per_second:.1} pictures/s");
        if let Some(share) = self.anomalous.share() {
            let [low, high] = self.anomalous.interval();
            line += &format!(
                "; {} anomalous, {:.2} % ({:.2} to {:.2} %)",
                self.anomalous.called,
                100.0 * share,
                100.0 * low,
                100.0 * high
            );
            if let Some(alpha) = self.alpha {
                line += &format!(", promised of normal ones: {} at most", percent(alpha));
            }
        }
        match (&self.drift, self.last) {
            (Some(drift), None) => line += &format!("; no drift in {} tests", drift.tests()),
            (Some(_), Some(shift)) => {
                line += &format!("; drift, last in pictures {} to {}", shift.images[0], shift.images[1])
            }
            (None, _) => {}
        }
        line
    }

    /// The same for a machine.
    fn event(&self, per_second: f64, waiting: usize) -> Value {
        let [low, high] = self.anomalous.interval();
        json!({
            "pictures": self.pictures(),
            "scored": self.scored,
            "failed": self.failed,
            "waiting": waiting,
            "pictures_per_second": per_second,
            "anomalous": self.anomalous.called,
            "share": self.anomalous.share(),
            "share_low": self.anomalous.share().map(|_| low),
            "share_high": self.anomalous.share().map(|_| high),
            "alpha": self.alpha,
            "above_alpha": self.alpha.map(|alpha| self.anomalous.of > 0 && low > alpha),
            "drift_tests": self.drift.as_ref().map(Drift::tests),
            "drift_level": LEVEL,
            "first_drift": self.first.map(described),
            "last_drift": self.last.map(described),
        })
    }
}

fn described(shift: Shift) -> Value {
    let Shift { images: [first, last], direction, distance, p_value, level } = shift;
    let direction = match direction {
        Direction::Higher => "higher",
        Direction::Lower => "lower",
    };
    json!({ "first": first, "last": last, "direction": direction, "distance": distance, "p_value": p_value, "level": level })
}

/// Says how a watch goes, now and then, where something came.
pub(super) struct Summary<'a> {
    console: &'a Console,
    /// Whether people get lines.
    lines: bool,
    every: Duration,
    /// When the process began, and the pictures then.
    began: (Instant, u64),
    /// When it was last said, and the pictures then.
    said: (Instant, u64),
    /// The drift that was last warned of.
    warned: Option<Direction>,
}

impl<'a> Summary<'a> {
    pub(super) fn new(console: &'a Console, show: Show, course: &Course) -> Self {
        let lines = show == Show::Plain || show == Show::Auto && output::has_terminal();
        let every = if show == Show::Json { EVENT_EVERY } else { LINE_EVERY };
        let now = (Instant::now(), course.pictures());
        Self { console, lines, every, began: now, said: now, warned: None }
    }

    /// Says it, if it is time to and something came.
    pub(super) fn tell(&mut self, course: &Course, waiting: usize) {
        if self.said.0.elapsed() < self.every {
            return;
        }
        if course.pictures() > self.said.1 {
            self.say("watch", course, self.said, waiting);
        }
        self.said = (Instant::now(), course.pictures());
    }

    /// Says how it went.
    pub(super) fn finish(&self, course: &Course, waiting: usize) {
        self.say("done", course, self.began, waiting);
    }

    fn say(&self, event: &str, course: &Course, (since, before): (Instant, u64), waiting: usize) {
        let per_second = (course.pictures() - before) as f64 / since.elapsed().as_secs_f64().max(1e-9);
        if self.lines {
            self.console.say(course.line(per_second, waiting));
        }
        self.console.event(event, course.event(per_second, waiting));
    }

    /// Says at once that the stream drifts, whoever wants to hear nothing else; people once for each direction in a row.
    pub(super) fn drifts(&mut self, shift: Shift) {
        self.console.event("drift", described(shift));
        if self.warned.replace(shift.direction) == Some(shift.direction) {
            return;
        }
        let Shift { images: [first, last], direction, distance, p_value, level } = shift;
        let (which, likely) = match direction {
            Direction::Higher => ("higher", "many anomalies, or the pictures changed"),
            Direction::Lower => ("lower", "the pictures changed, or are too much alike"),
        };
        output::note(format_args!(
            "warning: drift: the scores of pictures {first} to {last} are {which} than those of the calibration images \
             (Kolmogorov-Smirnov distance {distance:.3}, p-value {p_value:.1e}, level {level:.1e}): {likely}"
        ));
    }
}
