//! `pkdgan train`: a run from flags to report. The stages themselves run in `pipeline/`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use pkdgan::config::{Config, DataConfig, Goal, steps_for_epochs};
use pkdgan::data::Source;
use pkdgan::unstable::calibration::{percent, rounded_up};
use pkdgan::unstable::data::{Independence, LeftOut, images_for, masks_beside};
use pkdgan::unstable::pipeline::{self, Data, Devices, GivenFiles, Plan, Progress};
use pkdgan::unstable::run::{LocalizationReport, NetworkReport, RunFile, RunFolder, read_kernels};
use pkdgan::unstable::train::{CheckpointEvery, PeriodicEvaluation};
use serde_json::json;

use super::console::{Console, Show, stop_on_interrupt};
use super::device::{Device, resumable};
use super::model::tables;
use super::output;
use super::settings::Settings;
use super::table;
use super::watcher::Watcher;

/// Arguments of `pkdgan train`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// What to train: a `teacher`, a `student` by itself, a student that `distill`s a given teacher, or `all`: a
    /// teacher and a student that distils it [default: all, or distill with --teacher]
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
    /// Run folder to write [default: runs/DATASET-CLASS-RECIPE-seedN, or runs/FOLDER-RECIPE-seedN for
    /// --images]
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    out: Option<PathBuf>,
    /// Overwrite the run in the folder
    #[arg(long, help_heading = "Run")]
    force: bool,
    /// Go on with the run in this folder from its last checkpoint, with its own settings
    #[arg(long, value_name = "DIR", help_heading = "Run", conflicts_with_all = [
        "stage", "teacher", "with_baseline", "out", "force", "init", "recipe", "config", "set", "dataset", "data_dir",
        "group_by", "size", "fit", "colour", "range", "symmetry", "include", "exclude", "cross_file_systems", "normal", "calibration", "batch_size", "steps", "epochs", "seed",
        "lr", "no_shuffle", "no_tune",
    ])]
    resume: Option<PathBuf>,
    /// Start the first stage from the weights in this file instead of random ones
    #[arg(long, value_name = "FILE.safetensors", help_heading = "Run")]
    init: Option<PathBuf>,
    /// Write a checkpoint after so much time (30s, 5m, 2h), every so many steps of a stage (500), or both (5m,500); it
    /// does not change the result, and may be another one with --resume [default: 60s]
    #[arg(long, value_name = "TIME|STEPS", help_heading = "Run")]
    checkpoint_every: Option<CheckpointEvery>,
    /// Every so many steps of a stage, show and log the AUROC on up to 1,000 of the evaluation images; nothing is
    /// chosen by it, and the result is the same with and without it
    #[arg(long, value_name = "N", help_heading = "Output")]
    evaluate_every: Option<NonZeroUsize>,
    /// Write event files for TensorBoard, one a stage: to `tensorboard` in the run folder, or to a folder of the run's
    /// name in DIR. Look at them with `tensorboard --logdir DIR`
    #[arg(long, value_name = "DIR", num_args = 0..=1, help_heading = "Output")]
    tensorboard: Option<Option<PathBuf>>,
    /// How progress is shown, on stderr
    #[arg(long, value_name = "HOW", default_value = "auto", help_heading = "Output")]
    progress: Show,
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
  pkdgan train --images photos/good --size 64           your own pictures, all of them normal
  pkdgan train --images photos/good --anomalies photos/bad
  pkdgan train --images bottle                          with bottle/train/good, bottle/test/good, bottle/test/broken
                                                        and a test on anomalous ones
  pkdgan train --images photos/good --group-by '^(tile[0-9]+)_'
                                                        several photos of each tile
  pkdgan train --config runs/a/config.toml --seed 1     the same with another seed
  pkdgan train --resume runs/mnist-8-default-seed0      after ctrl-C, or a power cut
  pkdgan train --resume runs/good-default-seed0 --images moved/good
                                                        the pictures were moved meanwhile
  pkdgan train --evaluate-every 500 --tensorboard       watch it go: tensorboard --logdir runs
  pkdgan train --progress json 2>events.jsonl           for machines; the last event is `done`

A run folder holds config.toml (every setting), metrics.jsonl (losses), model.safetensors (the result:
the student, or the teacher with --stage teacher), the other networks, report.json (figures),
scores.csv (score of every test image), report.html (a page to look at), checkpoint.safetensors and
the one before it, checkpoint.previous.safetensors.

Kernels are those that `pkdgan tune` found fastest on this adapter, if it was run; kernels.json in the run
folder then names them, and --resume goes on with the same ones. The same seed gives the same bytes on
machines of one kind with --no-tune, or where nothing was tuned.

A given model (--teacher, --init) is used as its file says: data set, class, layers and norms come from it,
and a flag that says otherwise is refused.

A share of the normal images (--calibration) is held out of training to set a threshold by: the
network's file holds their scores, so that a false-alarm rate can be promised without anomalies.

Own images (--images) are PNG, JPEG, BMP, TIFF, WebP, GIF or PNM files, in folders as deep as you
like. Some hundreds are good, 20 the least. With --anomalies as many of them as calibrate are held
out once more, for the test beside the anomalous ones, unless --test-normal names others for it. A
folder with train/good and test, as MVTec AD has them, is taken so: train/good trains, test/good and the
other folders of test judge. A folder among normal images that is named after defects is refused. Files that cannot be read, or do not decode
to their end, are named and skipped; more than 5 % of them stop the run. Files beside pictures
(.json, .xml, .txt and others) are counted and left out. report.json lists what was not used.

Copies of a picture, exact or near ones, are one group: they all train, or none of them does. Of each
group that is held out, one picture sets the threshold, for the promise counts groups, not files.
--group-by says otherwise what a group is. --calibration-images names held-out pictures.";

/// Trains, scores, writes the run folder.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let console = Console::showing(arguments.quiet, arguments.progress);
    let given = GivenFiles::read(arguments.teacher.as_deref(), arguments.init.as_deref())?;
    let (mut config, resumed) = match &arguments.resume {
        Some(path) => {
            let folder = RunFolder::resume(path)?;
            let mut config = Config::read(&folder.file(RunFile::Config))?;
            arguments.settings.moved().put(&mut config)?;
            (config, Some(folder))
        }
        None => (arguments.resolve(&given)?, None),
    };
    let data = console.load(&config)?;
    data.settle(&mut config);
    if let Some(epochs) = arguments.settings.epochs {
        config.training.steps = steps_for_epochs(epochs, data.split.train.len(), config.training.batch_size);
        config.validate()?;
    }
    // Where there are several, another may have room.
    if arguments.device.kinds().len() == 1 {
        arguments.device.work(|| pipeline::expect_room(&config, arguments.device.open(None)?.as_ref()))?;
    }
    let mut opened = arguments.device.open_first()?;
    if let Some(folder) = &resumed {
        opened.kernels = read_kernels(folder)?;
    }
    console.say(opened.describe("training"));
    let kernels = opened.kernels;
    let folder = match resumed {
        Some(folder) => folder,
        None => {
            let path = arguments.out.clone().unwrap_or_else(|| arguments.folder(&config));
            pipeline::begin(&config, &path, arguments.force, &given, &kernels)?
        }
    };
    folder.begin_process(started)?;
    console.say(tables(&config).trim_end());
    console.say(describe(&config, &data));
    console.say(format!("run folder {}", folder.path().display()));

    let mut watcher = Watcher::new(&console, stop_on_interrupt("after the steps under way")?, started);
    if let Some(parent) = &arguments.tensorboard {
        let events = match parent {
            Some(parent) => parent.join(folder.path().file_name().unwrap_or_default()),
            None => folder.path().join("tensorboard"),
        };
        watcher = watcher.with_tensorboard(events);
    }
    let periodic =
        arguments.evaluate_every.map(|every| PeriodicEvaluation::new(every, &data.eval, &data.split)).transpose()?;
    let device = &arguments.device;
    let every = arguments.checkpoint_every.unwrap_or_default();
    let progress = device
        .work(|| pipeline::train(&config, &folder, &data, device, every, periodic.as_ref(), &mut watcher))
        .map_err(|error| resumable(error, folder.path()))?;
    let stopped = match progress {
        Progress::Stopped(stage, step, steps) => Some((stage, step, steps)),
        Progress::Trained if watcher.last_chance() => {
            let stage = Plan::new(&config).result;
            let steps = stage.budget(&config).steps;
            Some((stage, steps, steps))
        }
        Progress::Trained => None,
    };
    if let Some((stage, step, steps)) = stopped {
        watcher.finish();
        console.event("stopped", json!({ "stage": stage, "step": step, "steps": steps, "folder": folder.path() }));
        output::note(format_args!(
            "stopped in stage {stage} after step {step} of {steps}; the state is saved. Go on with: pkdgan train --resume {}",
            folder.path().display()
        ));
        return Ok(ExitCode::FAILURE);
    }
    let evaluated = device
        .work(|| pipeline::evaluate(&config, &folder, &data, device, &[], &mut watcher))
        .map_err(|error| resumable(error, folder.path()))?;
    watcher.finish();
    let report = pipeline::finish(&config, &folder, &data, device, evaluated)?;
    let seconds = report.seconds_total;
    let mut done = json!({ "folder": folder.path(), "auroc": report.auroc, "seconds": seconds });
    let left_out = data.own.as_ref().map(|own| &own.left_out);
    if let Some(LeftOut { unreadable, sidecars, excluded, .. }) = left_out {
        done["unreadable"] = (*unreadable).into();
        done["left_out"] = (sidecars + excluded).into();
    }
    console.event("done", done);
    if arguments.json {
        output::line(serde_json::to_string_pretty(&report)?)?;
    } else {
        output::line(table::of(&report))?;
        if report.networks.last().is_some_and(NetworkReport::is_constant) {
            output::note(
                "warning: reconstructions are hardly better than an image of one colour, so that scores may not mean \
                 much; train for longer (--epochs, --steps), or choose another --size",
            );
        }
        let found = report.sensitivity.as_ref().zip(report.networks.last());
        let better =
            found.map_or_else(Vec::new, |(found, result)| found.better_detectors(&result.network, result.score));
        if !better.is_empty() {
            console.say(format!("warning: {}", better.join("; ")));
        }
        if let Some(warning) = report.localization.as_ref().and_then(LocalizationReport::warning) {
            console.say(format!("warning: {warning}"));
        }
        console.say(format!("written: {}", folder.path().display()));
    }
    // What was not looked at is nothing that a quiet program may pass over.
    if let Some(left_out) = left_out.filter(|left_out| !left_out.is_empty() && arguments.progress != Show::Json) {
        let listed = folder.file(RunFile::Report);
        output::note(format_args!("files not used: {}; {} lists them", left_out.counted(), listed.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Which images do what, with a warning where those that calibrate are few.
fn describe(config: &Config, data: &Data) -> String {
    let DataConfig { dataset, normal, calibration: share, .. } = config.data;
    let [train, calibration, test] =
        [&data.split.train, &data.split.calibration, &data.split.test].map(|images| images.len());
    let mut text = format!(
        "data: {}, {train} training images, {calibration} more held out of training to set the threshold by, {}",
        table::subject(dataset, normal),
        match (dataset, data.eval.labels.contains(&1)) {
            (Source::Images, false) => "none to evaluate on (--anomalies)".into(),
            _ => format!("{test} to evaluate on"),
        }
    );
    if let Some((top, images)) = config.data.images.as_ref().and_then(|images| Some((images.layout_folder()?, images)))
    {
        let judge = match (images.test_normal.starts_with(top), images.anomalies.starts_with(top)) {
            _ if images.anomalies.as_os_str().is_empty() => "",
            (true, true) => ", test/good and the other folders of test judge",
            (false, true) => ", the folders of test judge",
            _ => "",
        };
        let masks = masks_beside(&images.anomalies).map_or("", |_| "; masks under ground_truth judge places");
        text += &format!("\nlayout: of {} train/good trains{judge}{masks}", top.display());
    }
    let independence = data.own.as_ref().map(|own| &own.independence);
    let grouped = independence.filter(|of| of.groups < of.pictures);
    if let Some(Independence { pictures, groups, largest, train_groups, left_out, .. }) = grouped {
        text += &format!(
            "\ngroups: {pictures} normal images are {groups} independent groups, the largest of {largest} images \
             (--group-by); {train_groups} groups train, and of {calibration} groups one image each sets the threshold; \
             {left_out} images of these are not used"
        );
    }
    let given = config.data.images.as_ref().is_some_and(|images| !images.calibration.as_os_str().is_empty());
    if share > 0.0 && calibration < FOR_ONE_PERCENT {
        let least = 1.0 / (calibration as f64 + 1.0);
        let what = if grouped.is_some() { "independent groups" } else { "held-out images" };
        let independent = if grouped.is_some() { " that are no copies of each other" } else { "" };
        text += &format!(
            "\nwarning: {calibration} {what} cannot promise fewer than {} false alarms; 1 % takes {FOR_ONE_PERCENT}, ",
            percent(least)
        );
        text += &match given {
            true => format!("so many images{independent} in the folder of --calibration-images"),
            false => {
                let needed = images_for(FOR_ONE_PERCENT, share);
                format!("which are held out of {needed} normal images{independent}")
            }
        };
        text += &format!(". `score` goes by `--alpha {}` instead", rounded_up(least));
    }
    text
}

/// Calibration images that a false-alarm rate of 1 % takes.
const FOR_ONE_PERCENT: usize = 99;

impl Arguments {
    /// The configuration that the settings and the stage make.
    fn resolve(&self, given: &GivenFiles) -> anyhow::Result<Config> {
        let stage = self.stage.as_deref().or(self.teacher.as_ref().map(|_| "distill"));
        let mut more: Vec<String> = stage.map(|stage| format!("run.stage=\"{stage}\"")).into_iter().collect();
        if self.with_baseline {
            more.push("run.with_baseline=true".into());
        }
        let goal = self.settings.goal(&more)?;
        let usage = |message: &str| clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, message).exit();
        match (goal, &self.teacher) {
            (Goal::Distill, None) => usage("--stage distill wants a trained teacher: --teacher RUN\n"),
            (Goal::Teacher | Goal::Student, Some(_)) => {
                usage("--teacher is for --stage distill or all; this stage needs none\n")
            }
            _ => {}
        }
        let given = given.models(goal).collect::<Vec<_>>();
        let mut config = self.settings.resolve_given(&given, &more)?;
        if let Some(images) = &mut config.data.images {
            // A new run may begin with other pictures than the one whose settings it takes.
            images.digest.clear();
            images.take_layout();
        }
        Ok(config)
    }

    /// Where the run goes unless another folder is named.
    fn folder(&self, config: &Config) -> PathBuf {
        let (data, seed) = (&config.data, config.training.seed);
        let subject = match &data.images {
            Some(images) => {
                let top = images.layout_folder().unwrap_or(&images.folder);
                top.file_name().map_or_else(|| "images".into(), |name| name.to_string_lossy().into_owned())
            }
            None => format!("{}-{}", data.dataset, data.normal),
        };
        PathBuf::from("runs").join(format!("{subject}-{}-seed{seed}", self.settings.recipe()))
    }
}
