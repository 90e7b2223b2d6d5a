//! `pkdgan watch`: scores pictures as they arrive in a folder. Reading and scoring are `stream/`'s, the statistics `monitor/`'s.

mod arrivals;
mod course;
mod events;
mod folder;
mod known;
mod rows;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use pkdgan::model::ModelFile;
use pkdgan::scoring::{PictureFault, ScoringPath};
use pkdgan::unstable::calibration::Calibration;
use pkdgan::unstable::data::Noted;
use pkdgan::unstable::run::{model_file, text_of};
use pkdgan::unstable::stream::{Inspected, SharedDetector, Way, inspect_files};

use super::console::{Console, Show, stop_on_interrupt};
use super::device::seconds;
use super::output;
use super::scoring::{Fallback, Scoring, Selection};
use super::verdict::{Rule, Wanted};
use arrivals::Arrivals;
use course::{Course, Summary};
use events::{Change, Events};
use folder::Folder;
use known::{Known, Stamp};
use rows::{Format, Row, Rows, RowsError};

/// Arguments of `pkdgan watch`.
#[derive(Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Model file, or a run folder, whose model.safetensors is used
    model: PathBuf,
    /// Folder that pictures arrive in; folders in it belong to it, those too that are made later
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    selection: Selection,
    /// Score what is new, then end: for cron
    #[arg(long)]
    once: bool,
    /// Leave out pictures that are there at the start and have no row
    #[arg(long, conflicts_with = "once")]
    new_only: bool,
    /// How long a file must stay the same before one that does not decode is a failure. Where the system does not say when a
    /// file is closed, every picture waits so long
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5, value_parser = seconds)]
    settle: f64,
    /// Time between looks at all files, for changes that the system does not tell: network drives tell none
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = seconds)]
    poll: f64,
    #[command(flatten)]
    wanted: Wanted,
    /// How to write rows
    #[arg(long, value_name = "FORMAT", default_value = "csv", help_heading = "Output")]
    format: Format,
    /// Add rows to this file, which is also the memory of what is done; without it rows go to standard output, and the next
    /// start scores all again
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
    /// How progress is shown, on stderr
    #[arg(long, value_name = "HOW", default_value = "plain", help_heading = "Output")]
    progress: Show,
    /// Print rows, errors and warnings only
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
    #[command(flatten)]
    scoring: Scoring,
}

const HELP: &str = "Examples:
  pkdgan watch runs/a incoming -o scores.csv          until ctrl-C; the same command goes on where it was
  pkdgan watch runs/a incoming -o scores.csv --once   what is new, then end
  pkdgan watch runs/a /mnt/camera -o scores.csv --poll 1   a network drive: look every second
  pkdgan watch runs/a incoming --format jsonl --new-only | jq .score

Files are read and never moved. A row is written once for each picture, as soon as it has a score: path, score, p_value and
verdict as `pkdgan score` has them, then error, size and modified. A picture is known by path, size and time of modification:
a file that is written anew is a new picture with a row of its own. What is written over with the same size and time is not
noticed.

A picture is scored when its file is closed after writing, or moved here. One that does not decode is tried again once it has
been the same for --settle seconds. Only then it gets a row with an error, and no other until the file changes. Files that go
before they are scored get none.

The file of rows tells the next start what is done, so after a crash or `kill -9` no picture is lost or scored twice. A last
row that was cut short is cut off. A file of another folder, model or format is refused. One process at a time adds to it.

Files of many images (IDX, NumPy, Parquet) are no pictures here: `pkdgan score` takes them. Names that begin with a dot are
left out, so write under such a name and rename if you can.

Every ten seconds in which pictures came a line says how many there were, and which share was called anomalous, with its 95 %
interval (Wilson). Anomalies are among them, so this is an upper estimate of the false alarms; normal pictures have --alpha
at most. Each 200 pictures a Kolmogorov-Smirnov test compares the scores with those of the calibration images, and longer
stretches too, up to 6,400 pictures. A stream without drift is ever called drifting with a chance of at most 1 %, however long
it is. Many anomalies are drift too. --progress json says all this as events `watch` and `drift`.

Exit code: 0 ended by ctrl-C or SIGTERM, or --once done; 1 the watch failed, or with --once a picture did; 2 wrong usage.";

/// Pictures that are scored before the next look at what came.
const BATCH: usize = 256;
/// Longest time until ctrl-C is heard, and the folder looked after.
const TICK: Duration = Duration::from_millis(200);
/// Share of the time that may go into looks at all files, at most.
const LOOKING: u32 = 10;

/// Scores pictures as they arrive.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let console = Console::showing(arguments.quiet, arguments.progress);
    let model = ModelFile::read(&model_file(&arguments.model)?)?;
    let rule = Rule::new(&arguments.wanted, model.calibration.as_ref(), false)?;
    if let Some(note) = rule.note(&arguments.wanted, model.calibration.as_ref()) {
        console.say(note);
    }
    let search = arguments.selection.search()?;
    // Before a file of rows is made.
    Folder::new(&arguments.folder, search.clone(), None)?;
    let output = arguments.output.as_deref().filter(|path| path.as_os_str() != "-");
    let rows = Rows::open(output, arguments.format)?;
    let folder = Folder::new(&arguments.folder, search.clone(), output)?;
    let scoring = &arguments.scoring;
    let preparing = Console::new(arguments.quiet).preparing("watching");
    // However few there are now, more will come.
    let options = scoring.options().images(usize::MAX);
    let (detector, choice) = scoring.detector(&model, &[], &search, options)?;
    drop(preparing);
    let course = Course::new(&rule, model.calibration.as_ref());
    let mut watch = Watch {
        folder,
        way: scoring.way(&model),
        threads: scoring.threads(),
        detector,
        fallback: Fallback::default(),
        rule,
        calibration: model.calibration.clone(),
        arrivals: Arrivals::new(Duration::from_secs_f64(arguments.settle)),
        known: Known::default(),
        rows,
        course,
        noted: Noted::default(),
        failed: 0,
        unlisted: HashSet::new(),
        stop: stop_on_interrupt("after the pictures under way")?,
    };
    watch.recall(output, &console)?;
    let mut summary = Summary::new(&console, arguments.progress, &watch.course);
    match watch.run(arguments, &console, choice.path, &mut summary) {
        // Whoever read the rows has enough.
        Err(error) if error.downcast_ref().is_some_and(RowsError::is_closed) => return Ok(ExitCode::SUCCESS),
        ended => ended?,
    }
    watch.noted.lines(model.preprocessing.range).iter().for_each(|line| console.say(line));
    summary.finish(&watch.course, watch.arrivals.len());
    let failed = arguments.once && watch.failed > 0;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A watch under way.
struct Watch {
    folder: Folder,
    way: Way,
    threads: usize,
    detector: SharedDetector,
    fallback: Fallback,
    rule: Rule,
    calibration: Option<Calibration>,
    arrivals: Arrivals,
    known: Known,
    rows: Rows,
    course: Course,
    noted: Noted,
    /// Pictures that failed in this process.
    failed: usize,
    /// What could not be listed, and was said.
    unlisted: HashSet<PathBuf>,
    stop: Arc<AtomicBool>,
}

impl Watch {
    /// Takes in the rows of former processes.
    fn recall(&mut self, output: Option<&Path>, console: &Console) -> Result<(), RowsError> {
        let path = || output.map(Path::to_owned).unwrap_or_default();
        let Self { folder, rule, calibration, known, rows, course, .. } = self;
        let torn = rows.recall(|row| {
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
            if let Some(stamp) = row.stamp() {
                known.add(&row.path, stamp);
            }
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
    fn run(
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
