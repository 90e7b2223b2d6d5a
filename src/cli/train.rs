use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use pkdgan::config::{Config, Goal, steps_for_epochs};
use pkdgan::pipeline::{self, Data, Progress};
use pkdgan::run::{RunFile, RunFolder};
use pkdgan::train::CheckpointEvery;

use super::console::{Console, Watcher, stop_on_interrupt};
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
        "normal", "calibration", "batch_size", "steps", "epochs", "seed", "lr", "no_shuffle",
    ])]
    resume: Option<PathBuf>,
    /// Start the first stage from the weights in this file instead of random ones
    #[arg(long, value_name = "FILE.safetensors", help_heading = "Run")]
    init: Option<PathBuf>,
    /// Write a checkpoint after so much time (30s, 5m, 2h), every so many steps of a stage (500), or both (5m,500); it
    /// does not change the result, and may be another one with --resume [default: 60s]
    #[arg(long, value_name = "TIME|STEPS", help_heading = "Run")]
    checkpoint_every: Option<CheckpointEvery>,
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
scores.csv (score of every test image), checkpoint.safetensors and the one before it,
checkpoint.previous.safetensors.";

/// Trains, scores, writes the run folder.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let console = Console::new(arguments.quiet);
    let (mut config, resumed) = match &arguments.resume {
        Some(path) => {
            let folder = RunFolder::resume(path)?;
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
        None => {
            let path = arguments.out.clone().unwrap_or_else(|| arguments.folder(&config));
            let (teacher, init) = (arguments.teacher.as_deref(), arguments.init.as_deref());
            pipeline::begin(&config, &path, arguments.force, teacher, init)?
        }
    };
    console.say(tables(&config).trim_end());
    console.say(format!(
        "data: {}, {} training images of class {} and {} more held out to set the threshold by, {} to judge by; run \
         folder {}",
        config.data.dataset,
        data.split.train.len(),
        config.data.normal,
        data.split.calibration.len(),
        data.split.test.len(),
        folder.path().display()
    ));

    let open = || arguments.device.executor();
    let mut watcher = Watcher::new(&console, stop_on_interrupt()?);
    let every = arguments.checkpoint_every.unwrap_or_default();
    let progress = pipeline::train(&config, &folder, &data, &open, every, &mut watcher)?;
    if let Progress::Stopped(stage, step, steps) = progress {
        watcher.finish();
        eprintln!(
            "stopped in stage {stage} after step {step} of {steps}; the state is saved. Go on with: pkdgan train --resume {}",
            folder.path().display()
        );
        return Ok(ExitCode::FAILURE);
    }
    watcher.last_chance();
    let evaluated = pipeline::evaluate(&config, &folder, &data, &open, &[], &mut watcher)?;
    watcher.finish();
    let report = pipeline::finish(&config, &folder, &summary, evaluated, started.elapsed().as_secs_f64())?;
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

    /// Where the run goes unless another folder is named.
    fn folder(&self, config: &Config) -> PathBuf {
        let (dataset, normal, seed) = (config.data.dataset, config.data.normal, config.training.seed);
        PathBuf::from("runs").join(format!("{dataset}-{normal}-{}-seed{seed}", self.settings.recipe()))
    }
}
