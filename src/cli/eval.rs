//! `pkdgan eval`: scores the evaluation images with a trained model. It leaves the run folder as it is.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use pkdgan::config::Config;
use pkdgan::metrics::BestF1;
use pkdgan::unstable::pipeline::open_device;
use pkdgan::unstable::run::{RunFile, RunFolder, ThresholdReport, write_picture_scores, write_scores};
use pkdgan::unstable::train::{Evaluation, Model, TrainError};
use serde::Serialize;

use super::console::Console;
use super::device::Device;
use super::moved::Moved;
use super::output;
use super::table;

/// Arguments of `pkdgan eval`.
#[derive(Args)]
pub(super) struct Arguments {
    /// Folder that `pkdgan train` wrote
    run: PathBuf,
    /// The model in it to score with, such as `teacher.safetensors`
    #[arg(long, value_name = "FILE", default_value = "model.safetensors")]
    model: PathBuf,
    #[command(flatten)]
    device: Device,
    /// Folder that holds the data sets [default: as for the run]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    moved: Moved,
    /// False-alarm rate that the threshold is to promise [default: 0.01, or the smallest that the model can promise]
    #[arg(long, value_name = "RATE")]
    alpha: Option<f64>,
    /// Write the score of every test image to this CSV file
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Print results only
    #[arg(long, short)]
    quiet: bool,
    /// Print the figures as JSON on stdout
    #[arg(long)]
    json: bool,
}

/// What `--json` prints: figures by the names that they have in a report.
#[derive(Serialize)]
struct Figures<'a> {
    auroc: Option<f64>,
    average_precision: Option<f64>,
    reconstruction_auroc_l1: Option<f64>,
    reconstruction_auroc_l2: Option<f64>,
    reconstruction_l1_normal: f64,
    blank_l1_normal: f64,
    threshold: Option<ThresholdReport>,
    best_f1: Option<BestF1>,
    adapter: &'a str,
}

/// Scores the test set with a trained model; the run folder stays as it is.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let console = Console::new(arguments.quiet);
    let folder = RunFolder::open(&arguments.run, &[RunFile::Config])?;
    let mut config = Config::read(&folder.file(RunFile::Config))?;
    if let Some(folder) = &arguments.data_dir {
        config.data.folder = folder.clone();
    }
    arguments.moved.put(&mut config)?;
    let file = folder.path().join(&arguments.model);
    let data = console.load(&config)?;
    let (evaluation, calibration, adapter) = arguments.device.work(|| {
        // The run's own, so that its scores come out again to the last digit.
        let mut executor = open_device(&arguments.device, &folder, &config, &arguments.model)?;
        let adapter = executor.summary();
        console.say(format!("device: {adapter}"));
        let adapter = adapter.name;
        let images = data.split.test.len();
        let preparing = console.preparing("scoring");
        let model = Model::load_for(&config, &file, executor.as_mut())?;
        drop(preparing);
        let mut progress = console.progress("scoring", "images", 0, images);
        let report = |done| progress.update(done, "");
        let evaluation = Evaluation::run(executor.as_mut(), &model, &data.eval, &data.split, report)?;
        progress.finish();
        Ok::<_, TrainError>((evaluation, model.calibration, adapter))
    })?;
    let threshold = |calibration| evaluation.threshold(calibration, arguments.alpha, data.split.normal);
    let threshold = match (&calibration, arguments.alpha) {
        (Some(calibration), _) => Some(threshold(calibration)?),
        (None, Some(_)) => {
            bail!("{}: --alpha wants a calibrated model; train it with `--calibration 0.1`", arguments.model.display())
        }
        (None, None) => None,
    };
    if let Some(path) = &arguments.scores {
        match &data.own {
            Some(own) => write_picture_scores(path, &evaluation.scores, &own.eval_paths)?,
            None => write_scores(path, &evaluation.scores)?,
        }
    }
    if arguments.json {
        let figures = Figures {
            auroc: evaluation.auroc,
            average_precision: evaluation.average_precision,
            reconstruction_auroc_l1: evaluation.reconstruction_auroc_l1,
            reconstruction_auroc_l2: evaluation.reconstruction_auroc_l2,
            reconstruction_l1_normal: evaluation.reconstruction_l1_normal,
            blank_l1_normal: evaluation.blank_l1_normal,
            threshold,
            best_f1: evaluation.best_f1,
            adapter: &adapter,
        };
        output::line(serde_json::to_string_pretty(&figures)?)?;
    } else {
        output::line(format_args!(
            "{}: AUROC {}, average precision {}\nreconstruction error of normal images {:.4} (a constant image: {:.4})\n{}",
            table::subject(config.data.dataset, config.data.normal),
            table::figure(evaluation.auroc),
            table::figure(evaluation.average_precision),
            evaluation.reconstruction_l1_normal,
            evaluation.blank_l1_normal,
            table::thresholds(threshold.as_ref(), evaluation.best_f1.as_ref()).trim_end()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
