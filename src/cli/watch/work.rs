//! A watch under way: it hears of changes, looks at the folder, scores what is due, and adds rows.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use pkdgan::scoring::{PictureFault, ScoringPath};
use pkdgan::unstable::calibration::Calibration;
use pkdgan::unstable::data::Noted;
use pkdgan::unstable::run::text_of;
use pkdgan::unstable::stream::{Inspected, SharedDetector, Way, inspect_files};

use super::Arguments;
use super::arrivals::Arrivals;
use super::course::{Course, Summary};
use super::events::{Change, Events};
use super::folder::Folder;
use super::known::{Known, Stamp};
use super::rows::{Row, Rows, RowsError};
use crate::cli::console::Console;
use crate::cli::output;
use crate::cli::scoring::Fallback;
use crate::cli::verdict::Rule;

/// Pictures that are scored before the next look at what came.
const BATCH: usize = 256;
/// Longest time until ctrl-C is noticed, or that the folder is gone.
const TICK: Duration = Duration::from_millis(200);
/// Of the time one part in so many may go into looks at all files, about.
const LOOKING: u32 = 10;

/// A watch under way.
pub(super) struct Watch {
    pub folder: Folder,
    pub way: Way,
    pub threads: usize,
    pub detector: SharedDetector,
    pub fallback: Fallback,
    pub rule: Rule,
    pub calibration: Option<Calibration>,
    pub arrivals: Arrivals,
    pub known: Known,
    pub rows: Rows,
    pub course: Course,
    pub noted: Noted,
    /// Pictures that failed in this process.
    pub failed: usize,
    /// What could not be listed, and was said.
    pub unlisted: HashSet<PathBuf>,
    pub stop: Arc<AtomicBool>,
}

impl Watch {
    /// Takes in the rows of former processes.
    pub(super) fn recall(&mut self, output: Option<&Path>, console: &Console) -> Result<(), RowsError> {
        let path = || output.map(Path::to_owned).unwrap_or_default();
        let Self { folder, rule, calibration, known, rows, course, .. } = self;
        let torn = rows.recall(|row, stamp| {
            if !folder.holds(&row.path) {
                return Err(RowsError::Folder { path: path(), row: row.path });
            }
            match row.score.map(|score| (score, rule.decide(score, calibration.as_ref()))) {
                Some((score, Ok(decision))) if decision.p_value == row.p_value => {
                    // Its drift was said then.
                    course.add(score, decision);
                }
                Some(_) => return Err(RowsError::Model { path: path(), row: row.path }),
                None => course.fail(),
            }
            known.add(&row.path, stamp);
            Ok(())
        })?;
        if torn {
            console.say(format!("note: {}: the last row was cut short and is gone", path().display()));
        }
        if course.pictures() > 0 {
            console.say(format!("{}: {} pictures have rows", path().display(), course.pictures()));
        }
        Ok(())
    }

    /// Scores what comes, until it is stopped, or nothing is left where that is the end.
    pub(super) fn run(
        &mut self,
        arguments: &Arguments,
        console: &Console,
        path: ScoringPath,
        summary: &mut Summary,
    ) -> anyhow::Result<()> {
        // Before the first look, so that nothing comes in between.
        let events = if arguments.once { Events::none() } else { self.events(arguments.poll) };
        let poll = Duration::from_secs_f64(arguments.poll);
        let mut next_look = Some(self.look(None, poll, arguments.new_only)).filter(|_| !arguments.once);
        let what = if arguments.once { "scoring what is new in" } else { "watching" };
        let (folder, waiting) = (arguments.folder.display(), self.arrivals.len());
        console.say(format!("{what} {folder}: {waiting} files wait; path {path}; ctrl-C ends"));
        // Folders that are looked through once more: until the system watches them, it does not tell what comes.
        let mut folders: Vec<(Instant, PathBuf)> = Vec::new();
        while !self.stop.load(Ordering::SeqCst) {
            let now = Instant::now();
            let until = [self.arrivals.next(), next_look].into_iter().flatten().fold(now + TICK, Instant::min);
            for change in events.wait(until.saturating_duration_since(now)) {
                let now = Instant::now();
                match change {
                    Change::Touched(path) => {
                        if let Some(path) = self.folder.named(&path) {
                            self.arrivals.touched(path, now);
                        }
                    }
                    Change::Complete(path) => {
                        if let Some(path) = self.folder.named(&path) {
                            self.arrivals.complete(path, now);
                        }
                    }
                    Change::Folder(path) => {
                        self.look(Some(&path), poll, false);
                        folders.push((now + TICK, path));
                    }
                    Change::Lost => next_look = Some(now),
                    Change::Failed(error) => self.warn_of_events(&error, arguments.poll),
                }
            }
            let now = Instant::now();
            for (_, folder) in folders.extract_if(.., |(due, _)| *due <= now).collect::<Vec<_>>() {
                self.look(Some(&folder), poll, false);
            }
            self.folder.check()?;
            if next_look.is_some_and(|next| next <= now) {
                next_look = Some(self.look(None, poll, false));
            }
            self.score(summary)?;
            summary.tell(&self.course, self.arrivals.len());
            if arguments.once && self.arrivals.len() == 0 {
                break;
            }
        }
        Ok(())
    }

    /// What the system says of changes, where it does.
    fn events(&self, poll: f64) -> Events {
        Events::below(self.folder.canonical()).unwrap_or_else(|error| {
            self.warn_of_events(&error, poll);
            Events::none()
        })
    }

    fn warn_of_events(&self, error: &notify::Error, poll: f64) {
        let limit = match error.kind {
            notify::ErrorKind::MaxFilesWatch => "; raise fs.inotify.max_user_watches",
            _ => "",
        };
        output::note(format_args!(
            "warning: the system does not tell of all changes: {error}{limit}\nwarning: looking at all files every {poll} s, \
             see --poll"
        ));
    }

    /// Looks at all files, or at those below a folder in it that the system names so; or only remembers them. When to look
    /// again.
    fn look(&mut self, below: Option<&Path>, poll: Duration, only_remember: bool) -> Instant {
        let began = Instant::now();
        for found in self.folder.files(below) {
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
            match found {
                Ok(path) => {
                    let Some(stamp) = Stamp::of(&path) else { continue };
                    let name = text_of(&path);
                    if only_remember {
                        self.known.add(&name, stamp);
                    } else if !self.known.has(&name, stamp) {
                        self.arrivals.found(path, stamp.age(SystemTime::now()), Instant::now());
                    }
                }
                Err(error) => {
                    if self.unlisted.insert(error.path.clone()) {
                        output::note(format_args!("error: {error}"));
                    }
                }
            }
        }
        Instant::now() + poll.max(LOOKING * began.elapsed())
    }

    /// Scores some of what is due.
    fn score(&mut self, summary: &mut Summary) -> anyhow::Result<()> {
        let now = Instant::now();
        let mut due = Vec::new();
        for path in self.arrivals.due(now, BATCH) {
            match Stamp::of(&path) {
                Some(stamp) if !self.known.has(&text_of(&path), stamp) => {
                    let settled = self.arrivals.is_settled(&path, stamp, now);
                    due.push((path, stamp, settled));
                }
                // It went, or is done.
                _ => self.arrivals.done(&path),
            }
        }
        if due.is_empty() {
            return Ok(());
        }
        let files = due.iter().map(|(path, ..)| path.clone()).collect();
        let results = inspect_files(files, &self.way, &self.detector, self.threads);
        let mut due = due.into_iter();
        for chunk in results {
            if let Some(news) = self.fallback.news(&self.detector) {
                output::note(news);
            }
            for (inspected, (path, stamp, settled)) in chunk?.into_iter().zip(&mut due) {
                self.inspected(inspected, path, stamp, settled, summary)?;
            }
            self.rows.flush()?;
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
        }
        Ok(())
    }

    /// Writes the row of a picture, or has it tried again.
    fn inspected(
        &mut self,
        inspected: Inspected,
        path: PathBuf,
        stamp: Stamp,
        settled: bool,
        summary: &mut Summary,
    ) -> Result<(), RowsError> {
        let name = inspected.picture.to_string();
        let now = Stamp::of(&path);
        if now.is_some_and(|now| now != stamp) {
            // It was written to in between.
            self.arrivals.touched(path, Instant::now());
            return Ok(());
        }
        let left_out = inspected.score.as_ref().is_err_and(PictureFault::is_left_out);
        if inspected.score.is_err() && now.is_none() {
            self.arrivals.done(&path);
            return Ok(());
        }
        if inspected.score.is_err() && !settled && !left_out {
            self.arrivals.again(path, Instant::now());
            return Ok(());
        }
        self.arrivals.done(&path);
        self.known.add(&name, stamp);
        if left_out {
            return Ok(());
        }
        self.noted.add(&inspected.remarks);
        if let Some(damage) = &inspected.remarks.damaged {
            output::note(format_args!("note: {name}: {damage}; scored all the same"));
        }
        let result = inspected.score.map_err(|fault| fault.to_string()).and_then(|score| {
            let decision = self.rule.decide(score, self.calibration.as_ref());
            decision.map(|decision| (score, decision)).map_err(|error| format!("{name}: {error}"))
        });
        let shift = match &result {
            Ok((score, decision)) => self.course.add(*score, *decision),
            Err(error) => {
                self.course.fail();
                self.failed += 1;
                output::note(format_args!("error: {error}"));
                None
            }
        };
        self.rows.add(&Row::new(name, stamp, result))?;
        // First the rows that it is about.
        if let Some(shift) = shift {
            self.rows.flush()?;
            summary.drifts(shift);
        }
        Ok(())
    }
}
