//! `pkdgan tune`: times the kernels of convolutions and keeps the fastest. How they are timed is `engine/tuning/`'s, the
//! file `cache.rs`'s.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use clap::error::ErrorKind;
use pkdgan::engine::EngineError;
use pkdgan::model::ModelFile;
use pkdgan::unstable::cache::KernelCache;
use pkdgan::unstable::data::cache_folder;
use pkdgan::unstable::engine::{ConvShape, GpuInternals, KernelTime, KernelTimes, ProgramInternals};
use pkdgan::unstable::pipeline;
use pkdgan::unstable::run::model_file;
use serde::Serialize;

use super::console::Console;
use super::device::Device;
use super::output;
use super::settings::Settings;

/// Arguments of `pkdgan tune`.
#[derive(Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Model file, or a run folder: only its scoring is tuned [default: training and scoring with the networks of the
    /// settings]
    model: Option<PathBuf>,
    /// Time again what the cache already holds
    #[arg(long)]
    again: bool,
    /// Begin no further convolution after so much time; those that are left keep their defaults
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    limit: u64,
    /// Print JSON: a list of {convolution, macs, usual, chosen, gain, kernels}
    #[arg(long)]
    json: bool,
    /// Print results only
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    device: Device,
}

const HELP: &str = "Examples:
  pkdgan tune                               the default networks for MNIST
  pkdgan tune --dataset cifar-10            and those for CIFAR-10
  pkdgan tune --batch-size 64               with the batch size that they are to be trained by
  pkdgan tune runs/a                        scoring with a trained model

Each convolution of a training step and of scoring is timed with every kernel that can compute it. What is fastest is
remembered in kernels.json in the user's cache folder (or that of the variable PKDGAN_CACHE), by adapter, driver and the
kernels' text, and taken from then on: by `train` for new runs, and by all that scores. Results differ in their last
digits from those of other kernels. --no-tune takes the defaults instead.";

/// A convolution with the kernels that were timed.
#[derive(Serialize)]
struct Row<'a> {
    convolution: String,
    macs: u64,
    /// The default.
    usual: Option<&'a KernelTime>,
    chosen: Option<&'a KernelTime>,
    /// How many times as fast the chosen one is.
    gain: f64,
    kernels: &'a KernelTimes,
}

/// Times kernels, remembers and prints what is fastest.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let console = Console::new(arguments.quiet);
    if arguments.device.no_tune {
        clap::Error::raw(ErrorKind::ArgumentConflict, "--no-tune takes no measurements; leave it out of tune\n").exit();
    }
    let programs = match &arguments.model {
        Some(path) => pipeline::scoring_programs(&ModelFile::read(&model_file(path)?)?)?,
        // Every stage that there can be.
        None => pipeline::programs(&arguments.settings.resolve(&["run.with_baseline=true".into()])?)?,
    };
    let mut known = HashSet::new();
    let shapes: Vec<ConvShape> =
        programs.iter().flat_map(|program| program.convolutions()).filter(|&shape| known.insert(shape)).collect();
    let folder = cache_folder().context("there is no cache folder; name one with the variable PKDGAN_CACHE")?;
    let cache = KernelCache::new(&folder);
    cache.refuse_newer()?;
    let Some(mut gpu) = arguments.device.adapter()? else {
        bail!("the CPU executor has no kernels to choose from; `--device gpu` times those of an adapter");
    };
    console.say(format!("device: {}", gpu.summary()));
    let on = gpu.measured_on();
    let mut measurements = cache.read();
    let wanted: Vec<&ConvShape> =
        shapes.iter().filter(|shape| arguments.again || measurements.of(&on, shape).is_none()).collect();
    console.say(format!("{} convolutions, {} of them to be timed", shapes.len(), wanted.len()));
    let (started, limit) = (Instant::now(), Duration::from_secs(arguments.limit));
    let mut progress = console.progress("timing", "convolutions", 0, wanted.len());
    for (done, &shape) in wanted.iter().enumerate() {
        if started.elapsed() > limit {
            console.say(format!("{} convolutions are left after {} s", wanted.len() - done, arguments.limit));
            break;
        }
        match gpu.time_kernels(shape) {
            // Now, so that an interruption loses nothing.
            Ok(times) => measurements = cache.update(|all| all.insert(&on, shape, times))?,
            Err(error @ EngineError::Limit { .. }) => console.say(format!("left out: {error}")),
            Err(error) => return Err(error.into()),
        }
        progress.update(done + 1, "");
    }
    progress.finish();
    let rows: Vec<Row> = shapes
        .iter()
        .filter_map(|shape| {
            let kernels = measurements.of(&on, shape)?;
            Some(Row {
                convolution: shape.to_string(),
                macs: shape.macs(),
                usual: kernels.usual(),
                chosen: kernels.chosen(),
                gain: gain(kernels),
                kernels,
            })
        })
        .collect();
    if arguments.json {
        output::line(serde_json::to_string_pretty(&rows)?)?;
    } else {
        output::text(table(&rows))?;
        console.say(format!("{:.0} s; written: {}", started.elapsed().as_secs_f64(), cache.path().display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn gain(kernels: &KernelTimes) -> f64 {
    let seconds = |kernel: Option<&KernelTime>| kernel.and_then(|kernel| kernel.seconds);
    seconds(kernels.usual()).zip(seconds(kernels.chosen())).map_or(1.0, |(usual, chosen)| usual / chosen)
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<66} {:<24} {:>7}   {:<24} {:>7} {:>6}\n",
        "convolution", "default", "GMAC/s", "chosen", "GMAC/s", "gain"
    );
    for row in rows {
        let kernel = |kernel: Option<&KernelTime>| match kernel {
            Some(KernelTime { kernel, seconds }) => {
                let rate = seconds.map_or_else(|| "-".into(), |s| format!("{:.2}", row.macs as f64 / s / 1e9));
                format!("{kernel:<24} {rate:>7}")
            }
            None => format!("{:<24} {:>7}", "-", "-"),
        };
        let chosen = if row.gain > 1.0 { kernel(row.chosen) } else { format!("{:<24} {:>7}", "=", "") };
        text += &format!("{:<66} {}   {chosen} {:>6.2}\n", row.convolution, kernel(row.usual), row.gain);
    }
    let chosen = rows.iter().filter(|row| row.gain > 1.0).count();
    text + &format!("{chosen} of {} convolutions are faster by another kernel than the default\n", rows.len())
}
