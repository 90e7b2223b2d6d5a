use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use pkdgan::config::Config;
use pkdgan::pipeline::Data;
use pkdgan::run::{RunFile, RunFolder, write_scores};
use pkdgan::train::{Evaluation, Model};
use serde_json::json;

use super::console::Console;
use super::device::Device;
use super::table;

/// Arguments of `pkdgan eval`.
#[derive(Args)]
pub struct Arguments {
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

/// Scores the test set with a trained model; the run folder stays as it is.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let console = Console::new(arguments.quiet);
    let folder = RunFolder::open(&arguments.run, &[RunFile::Config])?;
    let mut config = Config::read(&folder.file(RunFile::Config))?;
    if let Some(folder) = &arguments.data_dir {
        config.data.folder = folder.clone();
    }
    let data = Data::load(&config)?;
    let mut opened = arguments.device.open()?;
    console.say(opened.describe());
    let executor = opened.executor.as_mut();
    let model = Model::load(&folder.path().join(&arguments.model), executor)?;
    let mut progress = console.progress("scoring", "images", 0, data.split.test.len());
    let evaluation = Evaluation::run(executor, &model, &data.judge, &data.split, |done| progress.update(done, ""))?;
    progress.finish();
    let threshold = |calibration| evaluation.threshold(calibration, arguments.alpha, data.split.normal);
    let threshold = match (&model.calibration, arguments.alpha) {
        (Some(calibration), _) => Some(threshold(calibration)?),
        (None, Some(_)) => {
            bail!("{}: --alpha wants a calibrated model; train it with `--calibration 0.1`", arguments.model.display())
        }
        (None, None) => None,
    };
    if let Some(path) = &arguments.scores {
        write_scores(path, &evaluation.scores)?;
    }
    if arguments.json {
        let figures = json!({
            "auroc": evaluation.auroc,
            "average_precision": evaluation.average_precision,
            "reconstruction_auroc_l1": evaluation.reconstruction_auroc_l1,
            "reconstruction_auroc_l2": evaluation.reconstruction_auroc_l2,
            "reconstruction_l1_normal": evaluation.reconstruction_l1_normal,
            "blank_l1_normal": evaluation.blank_l1_normal,
            "threshold": threshold,
            "best_f1": evaluation.best_f1,
            "adapter": opened.summary.name,
        });
        println!("{figures:#}");
    } else {
        println!(
            "{} class {}: AUROC {:.4}, average precision {:.4}\nreconstruction error of normal images {:.4} (a blank image: {:.4})\n{}",
            config.data.dataset,
            config.data.normal,
            evaluation.auroc,
            evaluation.average_precision,
            evaluation.reconstruction_l1_normal,
            evaluation.blank_l1_normal,
            table::thresholds(threshold.as_ref(), Some(&evaluation.best_f1)).trim_end()
        );
    }
    Ok(ExitCode::SUCCESS)
}
