//! `pkdgan score`: scores pictures, and decides by threshold or p-value. Reading and scoring are `stream/`'s.

mod report;
mod rows;
mod writer;

use std::io::{self, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Context;
use clap::{Args, ValueEnum};
use pkdgan::model::ModelFile;
use pkdgan::scoring::ScoringPath;
use pkdgan::unstable::data::Noted;
use pkdgan::unstable::run::{Given, model_file};
use pkdgan::unstable::shard::Shard;
use pkdgan::unstable::stream::{Beside, Maps, Places, Sources, inspect};
use pkdgan::unstable::version::VERSION;

use super::console::{Console, stop_on_interrupt};
use super::output;
use super::scoring::{Fallback, Scoring, Selection};
use super::verdict::{Rule, Unscaled, Wanted};
use report::Most;
use rows::{Format, Notes, rows};
use writer::{Ended, Tally, Writer};

/// Arguments of `pkdgan score`.
#[derive(Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Model file, or a run folder, whose model.safetensors is used
    model: PathBuf,
    /// Pictures (PNG, JPEG, BMP, TIFF, WebP, GIF, PNM), folders of them, files of many images (IDX, plain or .gz; NumPy's .npy
    /// and .npz; Parquet with encoded images); `-` for a list of such paths on standard input, one a line, or for a single
    /// picture there
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The list on standard input has a zero byte behind each path, as `find -print0` writes it
    #[arg(long, short = '0')]
    null: bool,
    #[command(flatten)]
    selection: Selection,
    /// Score the I-th of N parts of the pictures only, as 1/4: every so many-th, in the order of the results. For the array
    /// jobs of a cluster
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    #[command(flatten)]
    wanted: Wanted,
    /// Exit with code 3 where a picture is anomalous, whatever failed besides
    #[arg(long, help_heading = "Verdict")]
    fail_on_anomaly: bool,
    /// How to write results
    #[arg(long, value_name = "FORMAT", default_value = "csv", help_heading = "Output")]
    format: Format,
    /// Write results to this file, whole or not at all, instead of standard output, which is `-`; a device or a pipe is
    /// written into
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
    /// Write a PNG file for each picture to this folder: the picture as the network sees it, its reconstruction, and
    /// the difference of both
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    save_maps: Option<PathBuf>,
    /// Write two files for each picture to this folder: PATH.heat.png, the picture at its own size under colours that show
    /// where it is unusual, and PATH.heat.npy, the numbers
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    heat_maps: Option<PathBuf>,
    /// Add a column `boxes`: the parts of the picture that are unusual, as [left, top, right, bottom, peak]
    #[arg(long, help_heading = "Output")]
    boxes: bool,
    /// Write a page to this file: the 24 most anomalous pictures, where they are unusual, and the training pictures that are most
    /// like them
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    report: Option<PathBuf>,
    /// Print results and errors only
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
    #[command(flatten)]
    scoring: Scoring,
}

const HELP: &str = "Examples:
  pkdgan score runs/a photos                          every picture below a folder
  pkdgan score runs/a new.png --save-maps maps        and a picture of what the network made of it
  pkdgan score runs/a photos --heat-maps maps --boxes where each of them is unusual
  pkdgan score runs/a photos --report scored.html     and a page that shows the most anomalous ones
  pkdgan score model.safetensors *.jpg --alpha 0.001  one false alarm in a thousand normal pictures
  find photos -mtime -1 -name '*.png' -print0 | pkdgan score runs/a - -0 --format jsonl
  pkdgan score runs/a data/mnist/t10k-images-idx3-ubyte.gz --output scores.csv
  pkdgan score runs/a new.npy photos.parquet --format parquet -o scores.parquet
  pkdgan score runs/a photos --shard 2/8 -o 2.csv     the second of eight parts, for a cluster's array jobs
  pkdgan score runs/a today --fail-on-anomaly --quiet > today.csv || echo look at today.csv

Results are rows of path, score, p_value and verdict in the order of the paths, files below a folder by name. A higher
score is more anomalous. The p-value is the share of normal pictures, of those held out of training for calibration,
that score at least as high: of normal pictures no more than the share --alpha is called anomalous. Scores that differ by
up to 1 % or 0.005 count as equal, as paths round in different ways. A model without calibration gives no p-values, and
verdicts only with --threshold. Of a path that is no Unicode, bytes that are none are written as `\\xE9`, and `\\` as
`\\\\`.

Files of many images are known by their contents, and their images are called FILE#0, FILE#1 and so on, those of an .npz
file FILE#ARRAY#0. NumPy arrays are uint8 or uint16, of shape [N, H, W] or [N, H, W, C] with 1, 3 or 4 channels, or [H, W]
of a single image, in C order. Of a Parquet file the column of bytes, or of structs with a field `bytes`, holds pictures
as their files do, packed by snappy, zstd, gzip or not; FILE#5 is row 5.

--format parquet and arrow have the columns path, score (float32), p_value (float64), verdict and error. With --output
FILE, arrow is the IPC file format, which is Feather; on standard output, a pipe or a device it is the IPC stream format.

Pictures that cannot be read are named on standard error, with every --format but csv also as rows of path and error; the
others are scored. A picture that does not decode to its end is refused, unless --lenient is given. Files whose names begin with
a dot are left out of folders, and what systems put there (Thumbs.db, desktop.ini, @eaDir, __MACOSX). Files beside
pictures, such as .json, .xml and .txt, are left out and counted.

Of a file with several pictures, such as a GIF, the first is scored. Transparent pixels lie on black. Grey of a colour is
0.212648 R + 0.715179 G + 0.072173 B, rounded, before scaling. What is white in 16-bit pictures is the model's setting:
see `--range` of `pkdgan train`.

A map is DIR/PATH.map.png, where `..`, a `/` at the front and odd characters are written as %2E%2E, %2F. Its three panels
are scaled up by a whole number, to 128 pixels at least; black in the third is no difference, white the greatest.

A heat map says how many standard deviations of held-out normal pictures each place differs by. Blue is what those reach
too. Yellow begins at the level that at most 1 % of normal pictures exceed anywhere, or as few as so many can promise;
red is twice that level. PATH.heat.npy is float32 of shape [rows, columns], a number for each pixel that the network sees
of the picture. Boxes lie around what exceeds the level, in pixels of the picture as it is seen upright, the highest peak
first, 16 at most. A box ends before its right and bottom. In CSV, Parquet and Arrow the column holds JSON.

The page of --report holds all that it shows, for a browser. Maps need a model that has a scale for them. Training pictures need
references.csv beside the model, which runs on your own images leave, and the pictures where they were.

Exit code: 0 done, 1 something failed (rows of the others are written), 2 wrong usage, 3 with --fail-on-anomaly where a
picture is anomalous, whatever failed besides.";

/// Scores pictures with a trained model.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let console = Console::new(arguments.quiet);
    let model_path = model_file(&arguments.model)?;
    let inputs = arguments.paths.iter().filter(|path| path.as_os_str() != "-").chain([&model_path]);
    let given = arguments.output.as_deref().unwrap_or(Path::new("-"));
    let given = Given::new(given, inputs.map(PathBuf::as_path))?;
    if arguments.format.is_binary() && given.is_standard_output() && io::stdout().is_terminal() {
        let name = arguments.format.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        anyhow::bail!(
            "--format {name} is not for a terminal to show; name a file with --output scores.{name}, or pipe standard output \
             to the program that reads it"
        );
    }
    let page = arguments.page(&model_path)?;
    let search = arguments.selection.search()?;
    let model = arguments.wanted.model(&model_path)?;
    let calibration = model.calibration.clone();
    let rule = Rule::new(&arguments.wanted, calibration.as_ref(), arguments.fail_on_anomaly)?;
    if let Some(note) = rule.note(&arguments.wanted, calibration.as_ref()) {
        console.say(note);
    }
    let beside = arguments.beside(&model, &model_path)?;
    let sources = Sources {
        paths: arguments.paths.clone(),
        list: BufReader::new(Box::new(io::stdin())),
        separator: if arguments.null { 0 } else { b'\n' },
        search: search.clone(),
        shard: arguments.shard,
    };
    let scoring = &arguments.scoring;
    let options = scoring.options();
    let preparing = console.preparing("scoring");
    let (detector, choice) = scoring.detector(&model, &arguments.paths, &search, options)?;
    drop(preparing);
    let results = inspect(sources, &scoring.way(&model), &detector, scoring.threads(), &beside);

    let (tally, noted) = (Tally::default(), Noted::default());
    let notes = notes(&model_path, &rule);
    let format = arguments.format;
    let boxes = arguments.boxes;
    let mut writer = Writer {
        console: &console,
        detector: &detector,
        fallback: Fallback::default(),
        rule,
        calibration,
        boxes,
        tally,
        noted,
        most: page.is_some().then(Most::default),
    };
    let ended = match given.is_standard_output() {
        true => {
            // Rows on a terminal show the progress themselves.
            let shown = !io::stdout().is_terminal();
            let mut out = io::stdout().lock();
            let rows = rows(format, &mut out, false, arguments.boxes, notes).map_err(Ended::Output);
            rows.and_then(|rows| writer.write(results, rows, shown, &AtomicBool::new(false)))
        }
        false => {
            // A file is whole or not there. Of what is written into there is no more to lose.
            let stop = match given.is_file() {
                true => stop_on_interrupt("after the pictures under way")?,
                false => Arc::default(),
            };
            let mut ended = Ok(());
            let written = given.write(|out| {
                let rows = rows(format, out, given.is_file(), arguments.boxes, notes).map_err(Ended::Output);
                ended = rows.and_then(|rows| writer.write(results, rows, true, &stop));
                if ended.is_ok() { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
            });
            match (ended, written) {
                // Whoever reads a pipe may have enough.
                (Err(Ended::Output(source)), Err(_)) if source.kind() == io::ErrorKind::BrokenPipe => {
                    Err(Ended::Output(source))
                }
                (Err(Ended::Output(source)), Err(mut error)) => {
                    error.source = source;
                    return Err(error.into());
                }
                (Ok(()), Err(error)) => return Err(error.into()),
                (ended, _) => ended,
            }
        }
    };
    match ended {
        Ok(()) => {}
        Err(Ended::Scoring(error)) => return Err(error.into()),
        Err(Ended::Stopped) => anyhow::bail!("stopped; nothing was written"),
        // Whoever read the results has enough. That the rest has no anomalies, nobody knows.
        Err(Ended::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            let unjudged = arguments.fail_on_anomaly && writer.tally.anomalous == 0;
            return Ok(if unjudged { ExitCode::FAILURE } else { writer.code(arguments.fail_on_anomaly) });
        }
        Err(Ended::Output(error)) => return Err(error).context("standard output"),
    }
    if let (Some(page), Some(most)) = (&page, writer.most.take()) {
        let preparing = console.preparing("report");
        let alpha = if let Rule::Alpha(alpha) = writer.rule { Some(alpha) } else { None };
        most.write(page, &model, &model_path, &writer.tally, alpha)?;
        drop(preparing);
    }
    let Tally { scored, anomalous, failed, left_out } = writer.tally;
    let seconds = started.elapsed().as_secs_f64();
    if scored + failed == 0 {
        console.say("note: there was nothing to score");
    }
    writer.noted.lines(model.preprocessing.range).iter().for_each(|line| console.say(line));
    let adapter = choice.adapter.filter(|_| choice.path != ScoringPath::Cpu);
    let failed_over = adapter.is_some() && detector.failure().is_some();
    let last = format!(
        "{scored} pictures scored, {anomalous} anomalous, {failed} failed{}; {seconds:.2} s, {:.0} pictures/s, path {}{}{}",
        if left_out > 0 { format!(", {left_out} left out") } else { String::new() },
        (scored + failed) as f64 / seconds,
        choice.path,
        match (adapter, detector.devices()) {
            (Some(_), several @ 2..) => format!(" on {several} adapters"),
            (adapter, _) => adapter.map(|adapter| format!(" on {}", adapter.name)).unwrap_or_default(),
        },
        if failed_over { ", then cpu" } else { "" }
    );
    // What has no score is no result that a quiet program may pass over.
    if failed + left_out > 0 {
        output::note(last)
    } else {
        console.say(last)
    }
    Ok(writer.code(arguments.fail_on_anomaly))
}

impl Arguments {
    /// Where the page goes, if one is wanted.
    fn page(&self, model: &Path) -> anyhow::Result<Option<Given>> {
        let Some(path) = &self.report else { return Ok(None) };
        let inputs = self.paths.iter().filter(|path| path.as_os_str() != "-").map(PathBuf::as_path).chain([model]);
        let page = Given::new(path, inputs)?;
        if page.is_standard_output() || self.output.as_ref() == Some(path) {
            anyhow::bail!("--report takes a file of its own; name one, such as --report scored.html");
        }
        // Known before anything is scored.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            anyhow::bail!("--report {}: there is no folder {}; make it first", path.display(), folder.display());
        }
        Ok(Some(page))
    }

    /// What is made of each picture beside its score.
    fn beside(&self, model: &ModelFile, path: &Path) -> anyhow::Result<Beside> {
        let maps = self.save_maps.as_deref().map(Maps::new).transpose()?;
        let flag = if self.boxes { "--boxes" } else { "--heat-maps" };
        let places = match (&model.map_scale, &self.heat_maps) {
            (_, None) if !self.boxes => None,
            (None, _) => anyhow::bail!(Unscaled { flag, model: path.display().to_string() }),
            (Some(scale), None) => Some(Places::new(scale)),
            (Some(scale), Some(folder)) => Some(Places::new(scale).in_folder(folder)?),
        };
        Ok(Beside { maps, places, seen: self.report.is_some() })
    }
}

/// What formats with a place for it say of all rows: the program, the model and the rule of the verdicts.
fn notes(model: &Path, rule: &Rule) -> Notes {
    let mut notes =
        vec![("pkdgan.version".into(), VERSION.into()), ("pkdgan.model".into(), model.display().to_string())];
    match rule {
        Rule::Alpha(alpha) => notes.push(("pkdgan.alpha".into(), alpha.to_string())),
        Rule::Threshold(threshold) => notes.push(("pkdgan.threshold".into(), threshold.to_string())),
        Rule::None => {}
    }
    notes
}
