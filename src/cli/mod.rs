//! Commands, one file each, over what they share.

mod advice;
mod bench;
mod console;
mod data;
mod device;
mod devices;
mod eval;
mod export;
mod model;
mod moved;
mod output;
mod program;
mod report;
mod reproduce;
mod score;
mod scoring;
mod serve_web;
mod settings;
mod shell;
mod table;
mod train;
mod tune;
mod units;
mod verdict;
mod watch;
mod watcher;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use pkdgan::config::ConfigError;
use pkdgan::unstable::calibration::CalibrationError;
use pkdgan::unstable::data::PatternError;
use pkdgan::unstable::report::ReportError;
use pkdgan::unstable::reproduce::ReproduceError;
use pkdgan::unstable::train::TrainError;
use pkdgan::unstable::version::VERSION_AND_BUILD;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use output::OutputError;

/// Finds the pictures that do not belong, after training on normal pictures only.
#[derive(Parser)]
#[command(version = VERSION_AND_BUILD, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  pkdgan train                                teacher and student for the digit 8 of MNIST, some minutes
  pkdgan train --normal 3 --stage teacher     another digit, the teacher only
  pkdgan train --recipe paper                 batch size 1, as the authors of P-KDGAN found best
  pkdgan eval runs/mnist-8-default-seed0      score the test set again with a trained model
  pkdgan score runs/mnist-8-default-seed0 photos/   score pictures of your own
  pkdgan watch runs/a incoming/ -o scores.csv  score pictures as they arrive in a folder
  pkdgan export runs/a --format onnx          a trained model for onnxruntime and others
  pkdgan report runs/a runs/b                 compare two runs in one page
  pkdgan reproduce --classes 2,5              both networks for two digits and two seeds, and a table of them
  pkdgan model                                layers, parameters and multiply-accumulates
  pkdgan data fetch fashion-mnist             download another data set
  pkdgan bench                                how fast teacher and student score here
  pkdgan serve-web                            draw a digit and see it scored in a browser
  pkdgan tune                                 find the fastest kernels for this adapter, once
  pkdgan devices                              the GPUs that can be used

Exit code: 0 done, 1 failed or stopped early, 2 wrong usage, 3 anomalies found where `score` is asked to fail on them.";

#[derive(Subcommand)]
enum Command {
    /// Train teacher and student on one class of a data set, score the test set, write a run folder
    Train(train::Arguments),
    /// Score the test set with the model of a run folder
    Eval(eval::Arguments),
    /// Score pictures with a trained model: files, folders, lists, IDX files
    Score(score::Arguments),
    /// Score pictures as they arrive in a folder, and say whether the model's promise still holds
    Watch(watch::Arguments),
    /// Make the page that shows a run, report.html, anew; compare several runs in one page
    Report(report::Arguments),
    /// Train a grid of networks over classes and seeds, write tables and studies of them
    Reproduce(reproduce::Arguments),
    /// Write a trained model for other programs: ONNX, or safetensors in half precision
    Export(export::Arguments),
    /// Measure how fast networks score, on every path
    Bench(bench::Arguments),
    /// Print the networks: layers, parameters, multiply-accumulates
    Model(model::Arguments),
    /// Serve a page that scores pictures in a browser, on this machine only
    ServeWeb(serve_web::Arguments),
    /// List, find, check and fetch data sets
    Data(data::Arguments),
    /// Find out which kernels are fastest on this adapter, and remember it
    Tune(tune::Arguments),
    /// List the adapters that can compute
    Devices(devices::Arguments),
    /// Print what a shell completes arguments by
    Completions(shell::Completions),
    /// Write manual pages for the program and each of its commands
    Man(shell::Man),
}

/// Runs the program on the process's arguments.
pub(crate) fn main() -> ExitCode {
    #[cfg(unix)]
    block_file_size_signal();
    let cli = Cli::parse();
    let usual = || Targets::new().with_default(LevelFilter::ERROR).with_target("pkdgan", LevelFilter::WARN);
    let filter = std::env::var("RUST_LOG").ok().and_then(|filter| filter.parse().ok()).unwrap_or_else(usual);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).without_time().log_internal_errors(false);
    let lines = lines.with_ansi(output::has_colours());
    tracing_subscriber::registry().with(lines).with(filter).init();
    let result = match cli.command {
        Command::Train(arguments) => train::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Score(arguments) => score::run(&arguments),
        Command::Watch(arguments) => watch::run(&arguments),
        Command::Reproduce(arguments) => reproduce::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Model(arguments) => model::run(&arguments),
        Command::ServeWeb(arguments) => serve_web::run(&arguments),
        Command::Data(arguments) => data::run(&arguments),
        Command::Tune(arguments) => tune::run(&arguments),
        Command::Devices(arguments) => devices::run(&arguments),
        Command::Completions(arguments) => shell::completions(&arguments, Cli::command()),
        Command::Man(arguments) => shell::man(&arguments, Cli::command()),
    };
    match result {
        Ok(code) => code,
        // Whoever read the results has enough.
        Err(error) if error.downcast_ref().is_some_and(OutputError::is_closed) => ExitCode::SUCCESS,
        Err(error) => {
            // What a hostile file made it quote is nothing to send to a terminal.
            let control = |c: char| c.is_control() && c != '\n';
            let text = advice::with_advice(said(&error), error.as_ref()).replace(control, "\u{fffd}");
            output::note(format_args!("error: {}", bounded(&text)));
            // Settings that cannot be are wrong usage, whether they came by flag or by file.
            let settings = match (error.downcast_ref(), error.downcast_ref(), error.downcast_ref()) {
                (Some(TrainError::Config(error)), _, _) | (_, _, Some(ReproduceError::Config(error))) => Some(error),
                (_, Some(ReportError::Config(error)), _) => Some(error),
                _ => error.downcast_ref::<ConfigError>(),
            };
            let usage = settings.is_some_and(is_usage)
                || error.is::<PatternError>()
                || error.is::<CalibrationError>()
                || error.is::<verdict::Uncalibrated>()
                || error.is::<verdict::Unscaled>()
                || matches!(error.downcast_ref(), Some(ReproduceError::Budgets));
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

/// Whether another command line or another file helps, as it does not where a disk fails.
fn is_usage(error: &ConfigError) -> bool {
    use std::io::ErrorKind::{InvalidFilename, IsADirectory, NotADirectory, NotFound, PermissionDenied};
    let ConfigError::Read { source, .. } = error else { return true };
    source.raw_os_error().is_none()
        || matches!(source.kind(), NotFound | PermissionDenied | IsADirectory | NotADirectory | InvalidFilename)
}

/// Has a write that is beyond the limit on the length of files (`ulimit -f`) fail with that reason. Unblocked, the signal
/// ends the process without a word. Threads that start later take this over.
#[cfg(unix)]
fn block_file_size_signal() {
    use nix::sys::signal::{SigSet, Signal};
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGXFSZ);
    // It fails for no signal that there is.
    let _ = signals.thread_block();
}

/// Most bytes of an error that are printed.
const MAX_ERROR: usize = 1 << 14;

/// As much of a text as a person may want to read: what it quotes may be of any length.
fn bounded(text: &str) -> String {
    if text.len() <= MAX_ERROR {
        return text.to_owned();
    }
    let [start, end] = [MAX_ERROR / 2, text.len() - MAX_ERROR / 2]
        .map(|place| (0..=place).rev().find(|&place| text.is_char_boundary(place)).unwrap_or_default());
    format!("{} [... {} bytes ...] {}", &text[..start], end - start, &text[end..])
}

/// An error with its causes, but for those that what is said already quotes.
fn said(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}
