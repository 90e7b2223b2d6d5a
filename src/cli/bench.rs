//! `pkdgan bench`: how fast networks score on every path, as a table or JSON. Measuring is `scoring/measure.rs`'s.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use pkdgan::config::Recipe;
use pkdgan::data::Dataset;
use pkdgan::engine::{Cpu, EngineError, Executor, Variables};
use pkdgan::model::ModelFile;
use pkdgan::scoring::{Detector, ScoringError, ScoringPath};
use pkdgan::unstable::pipeline::Devices;
use pkdgan::unstable::run::{RunFile, RunFolder};
use pkdgan::unstable::scoring::{Figure, measure};
use pkdgan::unstable::train::{Networks, Stage, TrainError, take_model};

use super::console::Console;
use super::device::Device;
use super::output;

/// Arguments of `pkdgan bench`.
#[derive(Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Model file, or a run folder, whose teacher and result are taken [default: the networks of the default recipe for
    /// MNIST, with random weights]
    model: Option<PathBuf>,
    /// A tenth of the time, and no batches of 512
    #[arg(long)]
    quick: bool,
    /// Print JSON: a list of {network, path, batch, median_us, p95_us, p99_us, images_per_s}
    #[arg(long)]
    json: bool,
    /// Print results only
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    device: Device,
}

const HELP: &str = "Examples:
  pkdgan bench                    teacher and student of the default recipe
  pkdgan bench runs/a --json      the networks of a run
  pkdgan bench model.safetensors --device cpu

How long a batch takes from pixels in memory to scores in memory, read-back included, on each path that suits a network:
op-by-op, fused-f32, fused-f16 on a GPU (or on a software driver with --device gpu), cpu without one. Networks that are too large for one workgroup have no
fused paths.";

/// Images at a time.
const BATCHES: [usize; 4] = [1, 8, 64, 512];
/// Time for each line.
const TIME: Duration = Duration::from_secs(1);

/// Measures scoring, and prints a line for each network, path and batch.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let console = Console::new(arguments.quiet);
    let networks = match &arguments.model {
        Some(path) => read(path)?,
        None => [Stage::Teacher, Stage::Alone].map(random).into_iter().collect::<Result<_, _>>()?,
    };
    let options = arguments.device.detector_options(None);
    let mut paths = ScoringPath::ALL.to_vec();
    if options.without_device {
        paths.retain(|&path| path == ScoringPath::Cpu);
    } else {
        console.say(arguments.device.open_first()?.describe("scoring"));
    }
    let batches = if arguments.quick { &BATCHES[..3] } else { &BATCHES };
    let time = if arguments.quick { TIME / 10 } else { TIME };
    let mut progress = console.progress("measuring", "lines", 0, networks.len() * paths.len() * batches.len());
    let mut figures = Vec::new();
    let mut done = 0;
    for (name, file) in &networks {
        for (&path, &batch) in paths.iter().flat_map(|path| batches.iter().map(move |batch| (path, batch))) {
            figures.extend(figure(arguments, name, file, path, batch, time)?);
            done += 1;
            progress.update(done, &format!(", {name} {path}"));
        }
    }
    progress.finish();
    if arguments.json {
        output::line(serde_json::to_string_pretty(&figures)?)?;
    } else {
        output::text(table(&figures))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures one line; none where the path does not suit the network.
fn figure(
    arguments: &Arguments,
    name: &str,
    file: &ModelFile,
    path: ScoringPath,
    batch: usize,
    time: Duration,
) -> anyhow::Result<Option<Figure>> {
    let measured = || -> Result<Figure, ScoringError> {
        let mut detector = match path {
            ScoringPath::Cpu => Detector::cpu(file, batch)?,
            _ => Detector::on(arguments.device.open(None)?, file, path, batch)?,
        };
        Ok(measure(&mut detector, batch, time)?.figure(name, path))
    };
    match measured() {
        Ok(figure) => Ok(Some(figure)),
        Err(ScoringError::Unsuited { .. })
        | Err(ScoringError::Engine(EngineError::Shape { .. } | EngineError::Limit { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The networks that a path means, by the names of their files.
fn read(path: &Path) -> anyhow::Result<Vec<(String, ModelFile)>> {
    let files = if path.is_dir() {
        let folder = RunFolder::open(path, &[RunFile::Model])?;
        let files = [RunFile::Teacher, RunFile::Model].map(|file| folder.file(file));
        files.into_iter().filter(|file| file.exists()).collect()
    } else {
        vec![path.to_owned()]
    };
    let named = |file: PathBuf| {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, ModelFile::read(&file)?))
    };
    files.into_iter().map(named).collect()
}

/// The network that a stage of the default recipe begins with.
fn random(stage: Stage) -> Result<(String, ModelFile), TrainError> {
    let config = Recipe::Default.config(Dataset::Mnist);
    let mut variables = Variables::new();
    let networks = Networks::register(&config, stage, &mut variables);
    let mut executor = Cpu::new();
    executor.allocate(&variables)?;
    networks.initialise(&config, &mut executor, &variables)?;
    let (name, gan, statistics) = match (&networks.teacher, &networks.student) {
        (Some(teacher), None) => ("teacher", teacher, config.scoring.statistics),
        (_, student) => {
            let missing = || TrainError::Settings(format!("stage {stage} has no network"));
            ("student", student.as_ref().ok_or_else(missing)?, config.student.statistics)
        }
    };
    Ok((name.into(), take_model(&mut executor, &variables, gan, statistics, &config)?))
}

/// The figures for a person.
fn table(figures: &[Figure]) -> String {
    let mut text = format!(
        "{:<16} {:<10} {:>5} {:>12} {:>12} {:>12} {:>12}\n",
        "network", "path", "batch", "median us", "p95 us", "p99 us", "images/s"
    );
    for Figure { network, path, batch, median_us, p95_us, p99_us, images_per_s } in figures {
        text += &format!(
            "{network:<16} {path:<10} {batch:>5} {median_us:>12.1} {p95_us:>12.1} {p99_us:>12.1} {images_per_s:>12.0}\n"
        );
    }
    text
}
