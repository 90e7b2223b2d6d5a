//! `pkdgan watch`: scores pictures as they arrive in a folder. Reading and scoring are `stream/`'s, the statistics `monitor/`'s.

mod arrivals;
mod course;
mod events;
mod folder;
mod known;
mod rows;
mod work;

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use pkdgan::unstable::data::Noted;
use pkdgan::unstable::run::model_file;

use super::console::{Console, Show, stop_on_interrupt};
use super::device::seconds;
use super::scoring::{Fallback, Scoring, Selection};
use super::verdict::{Rule, Wanted};
use arrivals::Arrivals;
use course::{Course, Summary};
use folder::Folder;
use known::Known;
use rows::{Format, Rows, RowsError};
use work::Watch;

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

/// Scores pictures as they arrive.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let console = Console::showing(arguments.quiet, arguments.progress);
    let model = arguments.wanted.model(&model_file(&arguments.model)?)?;
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
