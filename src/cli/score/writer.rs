//! Decides what scores mean, and writes rows of them.

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use pkdgan::scoring::PictureFault;
use pkdgan::unstable::calibration::Calibration;
use pkdgan::unstable::data::Noted;
use pkdgan::unstable::stream::{Inspected, SharedDetector, StreamError};

use super::report::Most;
use super::rows::{Row, Rows};
use crate::cli::console::{Console, Counter};
use crate::cli::output;
use crate::cli::scoring::Fallback;
use crate::cli::verdict::Rule;

/// What became of the pictures.
#[derive(Default)]
pub(super) struct Tally {
    pub scored: usize,
    pub anomalous: usize,
    pub failed: usize,
    pub left_out: usize,
}

/// Why results ended early.
pub(super) enum Ended {
    Scoring(StreamError),
    Output(io::Error),
    Stopped,
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Decides what scores mean, and writes results.
pub(super) struct Writer<'a> {
    pub console: &'a Console,
    pub detector: &'a SharedDetector,
    pub fallback: Fallback,
    pub rule: Rule,
    pub calibration: Option<Calibration>,
    pub boxes: bool,
    pub tally: Tally,
    pub noted: Noted,
    /// For the page, where one is wanted.
    pub most: Option<Most>,
}

impl Writer<'_> {
    /// Writes a row for each result.
    pub(super) fn write(
        &mut self,
        results: impl Iterator<Item = Result<Vec<Inspected>, StreamError>>,
        mut rows: Box<dyn Rows + '_>,
        progress: bool,
        stop: &AtomicBool,
    ) -> Result<(), Ended> {
        let mut counter = progress.then(|| self.console.counter("scoring", "pictures"));
        rows.flush()?;
        for chunk in results {
            self.warn(counter.as_mut());
            for inspected in chunk.map_err(Ended::Scoring)? {
                self.row(inspected, &mut *rows, counter.as_mut())?;
            }
            rows.flush()?;
            let Tally { scored, anomalous, failed, .. } = self.tally;
            if let Some(counter) = &mut counter {
                counter.update(scored + failed, &format!(", {anomalous} anomalous, {failed} failed"));
            }
            if stop.load(Ordering::SeqCst) {
                return Err(Ended::Stopped);
            }
        }
        rows.finish()?;
        if let Some(counter) = counter {
            counter.finish();
        }
        // From here on ctrl-C ends the process at once. Before the file has its name, nothing is left of it.
        if stop.swap(true, Ordering::SeqCst) { Err(Ended::Stopped) } else { Ok(()) }
    }

    /// Says once that the device failed and the CPU path took its place.
    fn warn(&mut self, counter: Option<&mut Counter>) {
        let Some(news) = self.fallback.news(self.detector) else { return };
        let say = || output::note(&news);
        match counter {
            Some(counter) => counter.aside(say),
            None => say(),
        }
    }

    fn row(&mut self, inspected: Inspected, rows: &mut dyn Rows, counter: Option<&mut Counter>) -> io::Result<()> {
        if inspected.score.as_ref().is_err_and(PictureFault::is_left_out) {
            self.tally.left_out += 1;
            return Ok(());
        }
        self.noted.add(&inspected.remarks);
        let path = inspected.picture.to_string();
        let say = |line: &str| match &counter {
            Some(counter) => counter.aside(|| output::note(line)),
            None => output::note(line),
        };
        if let Some(damage) = &inspected.remarks.damaged {
            say(&format!("note: {path}: {damage}; scored all the same"));
        }
        let decided = inspected.score.map_err(|fault| fault.to_string()).and_then(|score| {
            let decision = self.rule.decide(score, self.calibration.as_ref());
            decision.map(|decision| (score, decision)).map_err(|error| format!("{path}: {error}"))
        });
        let boxes = inspected.boxes.as_deref().filter(|_| self.boxes);
        match decided {
            Ok((score, decision)) => {
                self.tally.scored += 1;
                self.tally.anomalous += usize::from(decision.anomalous == Some(true));
                if let (Some(most), Some(seen)) = (&mut self.most, inspected.seen) {
                    most.add(inspected.picture, seen, score, decision);
                }
                rows.add(&Row { path: &path, result: Ok((score, decision)), boxes })
            }
            Err(error) => {
                self.tally.failed += 1;
                say(&format!("error: {error}"));
                rows.add(&Row { path: &path, result: Err(&error), boxes })
            }
        }
    }

    /// What the process ends with.
    pub(super) fn code(&self, fail_on_anomaly: bool) -> ExitCode {
        match self.tally {
            Tally { anomalous: 1.., .. } if fail_on_anomaly => ExitCode::from(3),
            Tally { failed: 1.., .. } => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        }
    }
}
