//! `pkdgan model`: the networks of a configuration, layer by layer, or the dispatches of their programs (`program.rs`).

use std::process::ExitCode;

use clap::Args;
use pkdgan::config::Config;
use pkdgan::model::{Architecture, LayerFigures, NetworkSpec};
use serde::Serialize;

use super::output;
use super::program::Program;
use super::settings::Settings;
use super::units::count;

/// Arguments of `pkdgan model`.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: Settings,
    /// Print JSON: `networks` with their `layers`, and `ratios`; with --program the dispatches and their sums
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    program: Program,
}

/// All networks of a configuration.
#[derive(Serialize)]
struct Networks {
    networks: Vec<NetworkFigures>,
    ratios: Ratios,
}

#[derive(Serialize)]
struct NetworkFigures {
    name: String,
    params: usize,
    macs: u64,
    layers: Vec<LayerFigures>,
}

/// The teacher's generator, which is what scoring runs, to the student's.
#[derive(Serialize)]
struct Ratios {
    /// Multiply-accumulates for one image.
    teacher_to_student_macs: f64,
    /// Trainable numbers.
    teacher_to_student_params: f64,
}

/// Prints the networks.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.program.is_wanted() {
        return arguments.program.print(&arguments.settings, arguments.json);
    }
    let config = arguments.settings.resolve(&[])?;
    if arguments.json {
        output::line(serde_json::to_string_pretty(&figures(&config))?)?;
    } else {
        output::text(tables(&config))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn networks(architecture: &Architecture) -> impl Iterator<Item = NetworkSpec> {
    architecture.generator().into_iter().chain([architecture.discriminator()])
}

fn ratios(config: &Config) -> Ratios {
    let (teacher, student) = (config.teacher(), config.student());
    Ratios {
        teacher_to_student_macs: teacher.generator_macs() as f64 / student.generator_macs() as f64,
        teacher_to_student_params: teacher.generator_params() as f64 / student.generator_params() as f64,
    }
}

fn figures(config: &Config) -> Networks {
    let labelled = [("teacher", config.teacher()), ("student", config.student())];
    let networks = labelled.into_iter().flat_map(|(label, architecture)| {
        networks(&architecture)
            .map(move |spec| NetworkFigures {
                name: format!("{label}.{}", spec.name),
                params: spec.params(),
                macs: spec.macs(),
                layers: spec.figures(),
            })
            .collect::<Vec<_>>()
    });
    Networks { networks: networks.collect(), ratios: ratios(config) }
}

/// Tables for a person.
pub(super) fn tables(config: &Config) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    // Writing to a string cannot fail.
    for (label, architecture) in [("teacher", config.teacher()), ("student", config.student())] {
        for spec in networks(&architecture) {
            let (params, macs) = (spec.params(), count(spec.macs()));
            let _ = writeln!(text, "{label}.{} ({params} parameters, {macs} multiply-accumulates)", spec.name);
            for layer in spec.figures() {
                let [kernel, stride, padding] = layer.window;
                let [c, h, w] = layer.output;
                let _ = writeln!(
                    text,
                    "  {:<8} {kernel}x{kernel} stride {stride} pad {padding}   -> {c:>3} x {h:>2} x {w:>2} {:>9} parameters {:>9}",
                    layer.name,
                    layer.params,
                    count(layer.macs)
                );
            }
        }
        let (params, macs) = (architecture.generator_params(), count(architecture.generator_macs()));
        let _ = writeln!(
            text,
            "{label}'s generator, which scoring runs: {params} parameters, {macs} multiply-accumulates an image"
        );
    }
    let Ratios { teacher_to_student_macs, teacher_to_student_params } = ratios(config);
    let _ = writeln!(
        text,
        "teacher to student: {teacher_to_student_macs:.2}:1 in multiply-accumulates, {teacher_to_student_params:.1}:1 in parameters"
    );
    text
}
