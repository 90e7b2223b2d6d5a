use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use pkdgan::config::{Config, Goal, steps_for_epochs};
use pkdgan::engine::AdapterSummary;
use pkdgan::pipeline::{self, Data, Evaluated, Plan, Progress};
use pkdgan::run::{MetricsLog, Report, RunFile, RunFolder, peak_rss_bytes, write_scores, write_whole};
use pkdgan::train::{Stage, check_weights};

use super::console::{Console, Watcher};
use super::device::Device;
use super::model::tables;
use super::settings::Settings;
use super::table;

/// Arguments of `pkdgan train`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// What to train: a `teacher`, a `student` by itself, a student that `distill`s a given teacher, or `all`: a teacher
    /// and a student that distils it [default: all, or distill with --teacher]
    #[arg(long, value_name = "STAGE", help_heading = "Stages")]
    stage: Option<String>,
    /// A trained teacher to start from: a run folder, or a model file
    #[arg(long, value_name = "RUN", help_heading = "Stages")]
    teacher: Option<PathBuf>,
    /// Train the same student by itself too, to tell what distillation gains
    #[arg(long, help_heading = "Stages")]
    with_baseline: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    device: Device,
    /// Run folder to write [default: runs/DATASET-CLASS-RECIPE-seedN]
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    out: Option<PathBuf>,
    /// Overwrite the run in the folder
    #[arg(long, help_heading = "Run")]
    force: bool,
    /// Go on with the run in this folder from its last checkpoint, with its own settings
    #[arg(long, value_name = "DIR", help_heading = "Run", conflicts_with_all = [
        "stage", "teacher", "with_baseline", "out", "force", "init", "recipe", "config", "set", "dataset", "data_dir",
        "normal", "batch_size", "steps", "epochs", "seed", "lr", "no_shuffle",
    ])]
    resume: Option<PathBuf>,
    /// Start the first stage from the weights in this file instead of random ones
    #[arg(long, value_name = "FILE.safetensors", help_heading = "Run")]
    init: Option<PathBuf>,
    /// Print results only
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
    /// Print the report as JSON on stdout
    #[arg(long, help_heading = "Output")]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  pkdgan train                                          teacher and student for the digit 8 of MNIST
  pkdgan train --with-baseline                          and the same student without a teacher
  pkdgan train --stage teacher --steps 300              a quick look at a teacher
  pkdgan train --teacher runs/a --set distillation.step1.structure=2
                                                        another way to distil a trained teacher
  pkdgan train --dataset fashion-mnist --normal 5       sandals; see `pkdgan data`
  pkdgan train --config runs/a/config.toml --seed 1     the same with another seed
  pkdgan train --resume runs/mnist-8-default-seed0      after ctrl-C, or a power cut

A run folder holds config.toml (every setting), metrics.jsonl (losses), model.safetensors (the result:
the student, or the teacher with --stage teacher), the other networks, report.json (figures),
scores.csv (score of every test image) and checkpoint.safetensors.";

/// Trains, scores, writes the run folder.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let console = Console::new(arguments.quiet);
    let (mut config, resumed) = match &arguments.resume {
        Some(path) => {
            let folder = RunFolder::open(path, &[RunFile::Config])?;
            (Config::read(&folder.file(RunFile::Config))?, Some(folder))
        }
        None => (arguments.resolve()?, None),
    };
    let data = Data::load(&config)?;
    if let Some(epochs) = arguments.settings.epochs {
        config.training.steps = steps_for_epochs(epochs, data.split.train.len(), config.training.batch_size);
        config.validate()?;
    }
    let opened = arguments.device.open()?;
    console.say(opened.describe());
    let summary = opened.summary.clone();
    drop(opened);
    let folder = match resumed {
        Some(folder) => folder,
        None => begin(arguments, &config)?,
    };
    console.say(tables(&config).trim_end());
    console.say(format!(
        "data: {}, {} training images of class {}, {} to judge by; run folder {}",
        config.data.dataset,
        data.split.train.len(),
        config.data.normal,
        data.split.test.len(),
        folder.path().display()
    ));

    let open = || arguments.device.executor();
    let mut watcher = Watcher::new(&console, stop_on_interrupt()?);
    let progress = pipeline::train(&config, &folder, &data, &open, arguments.init.as_deref(), &mut watcher)?;
    if let Progress::Stopped(stage, step, steps) = progress {
        watcher.finish();
        eprintln!(
            "stopped in stage {stage} after step {step} of {steps}; the state is saved. Go on with: pkdgan train --resume {}",
            folder.path().display()
        );
        return Ok(ExitCode::FAILURE);
    }
    watcher.last_chance();
    let evaluated = pipeline::evaluate(&config, &folder, &data, &open, &mut watcher)?;
    watcher.finish();
    write_scores(&folder.file(RunFile::Scores), &evaluated.scores)?;
    let report = report(&config, &summary, evaluated, started)?;
    report.write(&folder.file(RunFile::Report))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", table::of(&report));
        console.say(format!("written: {}", folder.path().display()));
    }
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    /// The configuration that the settings and the stage make.
    fn resolve(&self) -> anyhow::Result<Config> {
        let stage = self.stage.as_deref().or(self.teacher.as_ref().map(|_| "distill"));
        let mut more: Vec<String> = stage.map(|stage| format!("run.stage=\"{stage}\"")).into_iter().collect();
        if self.with_baseline {
            more.push("run.with_baseline=true".into());
        }
        let config = self.settings.resolve(&more)?;
        let usage = |message: &str| clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, message).exit();
        match (config.run.stage, &self.teacher) {
            (Goal::Distill, None) => usage("--stage distill wants a trained teacher: --teacher RUN\n"),
            (Goal::Teacher | Goal::Student, Some(_)) => {
                usage("--teacher is for --stage distill or all; this stage needs none\n")
            }
            _ => Ok(config),
        }
    }
}

/// Makes the run folder, with the teacher that was given.
fn begin(arguments: &Arguments, config: &Config) -> anyhow::Result<RunFolder> {
    let name = || {
        let (dataset, normal, seed) = (config.data.dataset, config.data.normal, config.training.seed);
        PathBuf::from("runs").join(format!("{dataset}-{normal}-{}-seed{seed}", arguments.settings.recipe()))
    };
    let teacher = arguments.teacher.as_deref().map(|path| read_teacher(path, config)).transpose()?;
    if let Some(path) = &arguments.init {
        let student = config.run.stage == Goal::Student || teacher.is_some();
        check_weights(path, &if student { config.student() } else { config.teacher() })?;
    }
    let folder = RunFolder::create(&arguments.out.clone().unwrap_or_else(name), arguments.force)?;
    let toml = config.to_toml()?;
    if let Some(bytes) = teacher {
        write_whole(&folder.file(Plan::new(config).file(Stage::Teacher)), |out| out.write_all(&bytes))?;
    }
    write_whole(&folder.file(RunFile::Config), |out| out.write_all(toml.as_bytes()))?;
    MetricsLog::create(&folder.file(RunFile::Metrics))?;
    Ok(folder)
}

/// The bytes of a teacher's model file, or of the one in a run folder.
fn read_teacher(path: &Path, config: &Config) -> anyhow::Result<Vec<u8>> {
    let in_folder = [RunFile::Teacher, RunFile::Model].map(|file| path.join(file.name()));
    let file = if path.is_dir() { in_folder.iter().find(|file| file.exists()).unwrap_or(&in_folder[1]) } else { path };
    check_weights(file, &config.teacher())?;
    std::fs::read(file)
        .with_context(|| format!("{}: no teacher can be read there; name a run or a model", file.display()))
}

/// A flag that ctrl-C raises; the second time it ends the process.
fn stop_on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::SeqCst) {
            // Asked twice, or after training: the latest checkpoint has to do.
            eprintln!("\nstopped");
            std::process::exit(1);
        }
        eprintln!("\nstopping after the steps under way; ctrl-C again stops at once");
    })
    .context("ctrl-C cannot be caught")?;
    Ok(stop)
}

fn report(config: &Config, adapter: &AdapterSummary, evaluated: Evaluated, started: Instant) -> anyhow::Result<Report> {
    let networks = evaluated.networks;
    let result = networks.last().context("the run has no network to report")?;
    Ok(Report {
        auroc: result.auroc,
        average_precision: result.average_precision,
        reconstruction_l1_normal: result.reconstruction_l1_normal,
        blank_l1_normal: result.blank_l1_normal,
        seconds_total: started.elapsed().as_secs_f64(),
        seconds_per_step: result.seconds.unwrap_or_default() / result.steps as f64,
        steps: result.steps,
        batch_size: result.batch_size,
        seed: config.training.seed,
        adapter: adapter.name.clone(),
        backend: adapter.backend.clone(),
        driver: adapter.driver.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        macs: result.macs,
        params: result.params,
        peak_rss_bytes: peak_rss_bytes(),
        dataset: config.data.dataset,
        normal: config.data.normal,
        networks,
    })
}
