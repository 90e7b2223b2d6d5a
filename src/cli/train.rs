use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use pkdgan::config::{Config, steps_for_epochs};
use pkdgan::data::{LabelledImages, OneClass, Part};
use pkdgan::run::{MetricsLog, Report, RunFile, RunFolder, peak_rss_bytes, write_scores, write_whole};
use pkdgan::train::{Evaluation, Outcome, Teacher};

use super::console::Console;
use super::device::{Device, Opened};
use super::model::tables;
use super::settings::Settings;

/// Arguments of `pkdgan train`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
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
        "out", "force", "init", "recipe", "config", "set", "dataset", "data_dir", "normal", "batch_size", "steps",
        "epochs", "seed", "lr", "no_shuffle",
    ])]
    resume: Option<PathBuf>,
    /// Start from the weights in this file instead of random ones
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
  pkdgan train                                          the digit 8 of MNIST
  pkdgan train --dataset fashion-mnist --normal 5       sandals; first: pkdgan data fetch fashion-mnist
  pkdgan train --steps 300 --out runs/quick --force     a quick look, again and again
  pkdgan train --set training.weights.adversarial=1     one setting of config.toml
  pkdgan train --config runs/a/config.toml --seed 1     the same with another seed
  pkdgan train --resume runs/mnist-8-default-seed0      after ctrl-C

A run folder holds config.toml (every setting), metrics.jsonl (losses), model.safetensors (weights),
report.json (figures), scores.csv (score of every test image) and checkpoint.safetensors.";

/// Trains, scores, writes the run folder.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let console = Console::new(arguments.quiet);
    let (config, folder) = match &arguments.resume {
        Some(path) => {
            let folder = RunFolder::open(path, &[RunFile::Config, RunFile::Checkpoint])?;
            (Config::read(&folder.file(RunFile::Config))?, Some(folder))
        }
        None => (arguments.settings.resolve()?, None),
    };
    let data = Data::load(&config)?;
    let mut config = config;
    if let Some(epochs) = arguments.settings.epochs {
        config.training.steps = steps_for_epochs(epochs, data.split.train.len(), config.training.batch_size);
        config.validate()?;
    }
    let mut opened = arguments.device.open()?;
    console.say(opened.describe());
    let executor = opened.executor.as_mut();
    let mut teacher = Teacher::new(&config, executor, &data.train.images, &data.split.train)?;
    teacher.initialise(executor)?;
    if let Some(path) = &arguments.init {
        teacher.load_weights(executor, path)?;
    }
    let folder = match folder {
        Some(folder) => {
            teacher.resume(executor, &folder.file(RunFile::Checkpoint))?;
            folder
        }
        None => begin(arguments, &config)?,
    };
    console.say(tables(&teacher.gan).trim_end());
    console.say(format!(
        "data: {}, {} training images of class {}, {} test images; run folder {}",
        config.data.dataset,
        data.split.train.len(),
        config.data.normal,
        data.test.labels.len(),
        folder.path().display()
    ));

    let (outcome, seconds) = train(&mut teacher, executor, &config, &folder, &console)?;
    if let Outcome::Stopped(step) = outcome {
        eprintln!(
            "stopped after step {step} of {}; the state is saved. Go on with: pkdgan train --resume {}",
            config.training.steps,
            folder.path().display()
        );
        return Ok(ExitCode::FAILURE);
    }
    teacher.save(executor, &folder.file(RunFile::Model))?;
    let evaluation = data.evaluate(executor, &teacher, &config, &console)?;
    write_scores(&folder.file(RunFile::Scores), &evaluation.scores)?;
    let report = report(&config, &teacher, &opened, &evaluation, seconds, started);
    report.write(&folder.file(RunFile::Report))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", summary(&report));
        console.say(format!("written: {}", folder.path().display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// The data set of a configuration, read and split.
pub struct Data {
    pub train: LabelledImages,
    pub test: LabelledImages,
    pub split: OneClass,
}

impl Data {
    pub fn load(config: &Config) -> anyhow::Result<Self> {
        let dataset = config.data.dataset;
        let folder = dataset.find(&config.data.folder)?;
        let [train, test] = [Part::Train, Part::Test].map(|part| dataset.load(&folder, part));
        let (train, test) = (train?, test?);
        let split = OneClass::new(config.data.normal, &train.labels, &test.labels)?;
        Ok(Self { train, test, split })
    }

    /// Scores the test set, with progress.
    fn evaluate(
        &self,
        executor: &mut dyn pkdgan::engine::Executor,
        teacher: &Teacher,
        config: &Config,
        console: &Console,
    ) -> anyhow::Result<Evaluation> {
        evaluate(executor, (&teacher.variables, &teacher.gan), config, self, console)
    }
}

/// Scores the test set with the networks on the executor, with progress.
pub fn evaluate(
    executor: &mut dyn pkdgan::engine::Executor,
    (variables, gan): (&pkdgan::engine::Variables, &pkdgan::model::EdeGan),
    config: &Config,
    data: &Data,
    console: &Console,
) -> anyhow::Result<Evaluation> {
    let mut progress = console.progress("scoring", "images", 0, data.split.test.len());
    let report = |done: usize| progress.update(done, "");
    let evaluation = Evaluation::run(executor, variables, gan, config, &data.test, &data.split, report)?;
    progress.finish();
    Ok(evaluation)
}

/// Makes the run folder.
fn begin(arguments: &Arguments, config: &Config) -> anyhow::Result<RunFolder> {
    let name = || {
        let (dataset, normal, seed) = (config.data.dataset, config.data.normal, config.training.seed);
        PathBuf::from("runs").join(format!("{dataset}-{normal}-{}-seed{seed}", arguments.settings.recipe()))
    };
    let folder = RunFolder::create(&arguments.out.clone().unwrap_or_else(name), arguments.force)?;
    let toml = config.to_toml()?;
    write_whole(&folder.file(RunFile::Config), |out| out.write_all(toml.as_bytes()))?;
    MetricsLog::create(&folder.file(RunFile::Metrics))?;
    Ok(folder)
}

/// Trains with progress, until done or ctrl-C.
fn train(
    teacher: &mut Teacher,
    executor: &mut dyn pkdgan::engine::Executor,
    config: &Config,
    folder: &RunFolder,
    console: &Console,
) -> anyhow::Result<(Outcome, f64)> {
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
    let mut progress = console.progress("training", "steps", teacher.steps_done(), config.training.steps);
    let outcome = teacher.train(executor, folder, |done, losses| {
        let detail = format!(
            ", reconstruction {:.3}, latent {:.3}, adversarial {:.2}, discriminator {:.2}",
            losses.reconstruction, losses.latent, losses.adversarial, losses.discriminator
        );
        progress.update(done, &detail);
        stop.load(Ordering::SeqCst)
    })?;
    progress.finish();
    stop.store(true, Ordering::SeqCst);
    Ok(outcome)
}

fn report(
    config: &Config,
    teacher: &Teacher,
    opened: &Opened,
    evaluation: &Evaluation,
    seconds_trained: f64,
    started: Instant,
) -> Report {
    Report {
        auroc: evaluation.auroc,
        average_precision: evaluation.average_precision,
        reconstruction_l1_normal: evaluation.reconstruction_l1_normal,
        blank_l1_normal: evaluation.blank_l1_normal,
        seconds_total: started.elapsed().as_secs_f64(),
        seconds_per_step: seconds_trained / config.training.steps as f64,
        steps: config.training.steps as u64,
        batch_size: config.training.batch_size as u64,
        seed: config.training.seed,
        adapter: opened.summary.name.clone(),
        backend: opened.summary.backend.clone(),
        driver: opened.summary.driver.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        macs: teacher.gan.generator_macs(),
        params: teacher.gan.generator_params() as u64,
        peak_rss_bytes: peak_rss_bytes(),
        dataset: config.data.dataset,
        normal: config.data.normal,
    }
}

/// The figures for a person.
fn summary(report: &Report) -> String {
    format!(
        "{} class {}: AUROC {:.4}, average precision {:.4}\n\
         reconstruction error of normal images {:.4} (a blank image: {:.4})\n\
         {} steps of batch {} at {:.1} ms, {:.0} s in all",
        report.dataset,
        report.normal,
        report.auroc,
        report.average_precision,
        report.reconstruction_l1_normal,
        report.blank_l1_normal,
        report.steps,
        report.batch_size,
        1e3 * report.seconds_per_step,
        report.seconds_total
    )
}
