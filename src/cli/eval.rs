//! `pkdgan eval`: scores the evaluation images with a trained model. It leaves the run folder as it is.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use pkdgan::config::Config;
use pkdgan::metrics::BestF1;
use pkdgan::unstable::data::{Patterns, masks_beside};
use pkdgan::unstable::pipeline::{Data, LocalizationTest, open_device};
use pkdgan::unstable::run::{
    Given, LocalizationReport, RunFile, RunFolder, ThresholdReport, picture_score_rows, score_rows,
};
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
    /// Write the score of every test image to this CSV file, or to standard output for `-`; figures then go to standard
    /// error
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Of own images evaluate only those whose names fit this pattern, such as `*.png` or `monday/**`; repeatable
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Leave out evaluation images whose names fit this pattern; repeatable
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    localization: Option<LocalizationReport>,
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
    let files = [RunFile::Config, RunFile::Model, RunFile::Scores].map(|file| folder.file(file));
    let inputs = files.iter().chain([&file]).map(PathBuf::as_path);
    let given = arguments.scores.as_deref().map(|path| Given::new(path, inputs)).transpose()?;
    let patterns = Patterns::new(&arguments.include, &arguments.exclude)?;
    let mut data = console.load(&config)?;
    if !patterns.is_empty() {
        narrow(&mut data, &config, &patterns)?;
    }
    let (evaluation, calibration, localization, adapter) = arguments.device.work(|| {
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
        let masks = config.data.images.as_ref().and_then(|images| masks_beside(&images.anomalies));
        let _preparing = masks.map(|_| console.preparing("heat maps beside masks"));
        let mut localization = LocalizationTest::new(&config, &data);
        if let Some(localization) = &mut localization {
            let name = arguments.model.file_stem().unwrap_or_default().to_string_lossy();
            localization.network(&name, executor.as_mut(), &model, &data)?;
        }
        let localization = localization.map(LocalizationTest::report);
        Ok::<_, TrainError>((evaluation, model.calibration, localization, adapter))
    })?;
    let threshold = |calibration| data.threshold(&evaluation, calibration, arguments.alpha);
    let threshold = match (&calibration, arguments.alpha) {
        (Some(calibration), _) => Some(threshold(calibration)?),
        (None, Some(_)) => {
            bail!("{}: --alpha wants a calibrated model; train it with `--calibration 0.1`", arguments.model.display())
        }
        (None, None) => None,
    };
    if let Some(given) = &given {
        given.write(|out| match &data.own {
            Some(own) => picture_score_rows(out, &evaluation.scores, &own.eval_paths),
            None => score_rows(out, &evaluation.scores),
        })?;
    }
    let print = |text: String| match &given {
        Some(given) if given.is_standard_output() => {
            output::note(text);
            Ok(())
        }
        _ => output::line(text),
    };
    let unusable = localization.as_ref().and_then(LocalizationReport::warning);
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
            localization,
            adapter: &adapter,
        };
        print(serde_json::to_string_pretty(&figures)?)?;
    } else {
        let text = format!(
            "{}: AUROC {}, average precision {}\nreconstruction error of normal images {:.4} (a constant image: {:.4})\n{}{}",
            table::subject(config.data.dataset, config.data.normal),
            table::figure(evaluation.auroc),
            table::figure(evaluation.average_precision),
            evaluation.reconstruction_l1_normal,
            evaluation.blank_l1_normal,
            table::thresholds(threshold.as_ref(), evaluation.best_f1.as_ref()),
            localization.as_ref().map_or_else(String::new, table::localization)
        );
        print(text.trim_end().to_owned())?;
    }
    if let Some(unusable) = unusable {
        console.say(format!("warning: {unusable}"));
    }
    // What was not looked at is nothing that a quiet program may pass over.
    if let Some(own) = data.own.as_ref().filter(|own| !own.left_out.is_empty()) {
        output::note(format_args!("files not used: {}", own.left_out.counted()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Leaves of the evaluation images those that are wanted, by their paths below the folders of the run.
fn narrow(data: &mut Data, config: &Config, patterns: &Patterns) -> anyhow::Result<()> {
    let (Some(own), Some(images)) = (&data.own, &config.data.images) else {
        bail!("--include and --exclude are for runs on own images; this one has a data set")
    };
    let wanted = |path: &Path| {
        let folders = [&images.folder, &images.test_normal, &images.anomalies]
            .into_iter()
            .filter(|folder| !folder.as_os_str().is_empty());
        let inner = folders.into_iter().find_map(|folder| path.strip_prefix(folder).ok()).unwrap_or(path);
        // A folder that is left out takes all in it along.
        let mut above = inner.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        patterns.wants(inner) && !above.any(|folder| patterns.excludes(folder))
    };
    data.split.test.retain(|&index| own.eval_paths.get(index).is_some_and(|path| wanted(path)));
    if data.split.test.is_empty() {
        bail!("--include and --exclude leave no image to evaluate");
    }
    Ok(())
}
