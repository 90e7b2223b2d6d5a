//! Commands, one file each, over what they share.

mod console;
mod data;
mod device;
mod devices;
mod eval;
mod model;
mod reproduce;
mod score;
mod serve_web;
mod settings;
mod table;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pkdgan::calibration::CalibrationError;
use pkdgan::config::ConfigError;
use pkdgan::reproduce::ReproduceError;
use pkdgan::train::TrainError;

/// Finds the pictures that do not belong, after training on normal pictures only.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
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
  pkdgan reproduce --classes 2,5              both networks for two digits and two seeds, and a table of them
  pkdgan model                                layers, parameters and multiply-accumulates
  pkdgan data fetch fashion-mnist             download another data set
  pkdgan serve-web                            draw a digit and see it scored in a browser
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
    /// Train a grid of networks over classes and seeds, write tables and studies of them
    Reproduce(reproduce::Arguments),
    /// Print the networks: layers, parameters, multiply-accumulates
    Model(model::Arguments),
    /// Serve a page that scores pictures in a browser, on this machine only
    ServeWeb(serve_web::Arguments),
    /// List, find, check and fetch data sets
    Data(data::Arguments),
    /// List the adapters that can compute
    Devices(devices::Arguments),
}

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    quieten_driver();
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("pkdgan=warn,error")),
        )
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    let result = match cli.command {
        Command::Train(arguments) => train::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Score(arguments) => score::run(&arguments),
        Command::Reproduce(arguments) => reproduce::run(&arguments),
        Command::Model(arguments) => model::run(&arguments),
        Command::ServeWeb(arguments) => serve_web::run(&arguments),
        Command::Data(arguments) => data::run(&arguments),
        Command::Devices(arguments) => devices::run(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            // Settings that cannot be are wrong usage, whether they came by flag or by file.
            let usage = error.is::<ConfigError>()
                || error.is::<CalibrationError>()
                || error.is::<score::Uncalibrated>()
                || matches!(error.downcast_ref(), Some(TrainError::Config(_)))
                || matches!(error.downcast_ref(), Some(ReproduceError::Config(_) | ReproduceError::Budgets));
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

/// Mesa's layer that reorders devices complains on machines without a desktop; we choose for ourselves.
fn quieten_driver() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}
