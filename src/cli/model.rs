use std::process::ExitCode;

use clap::Args;
use pkdgan::config::Config;
use pkdgan::engine::Variables;
use pkdgan::model::{EdeGan, LayerFigures, Network};
use pkdgan::train::register;
use serde::Serialize;

use super::settings::Settings;

/// Arguments of `pkdgan model`.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    settings: Settings,
    /// Print JSON: `networks` with their `layers`, and `ratios`
    #[arg(long)]
    json: bool,
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

/// What sets the networks in proportion.
#[derive(Serialize)]
struct Ratios {
    /// Multiply-accumulates of the generator, which is what scoring runs, to the discriminator's.
    generator_to_discriminator_macs: f64,
    /// Trainable numbers likewise.
    generator_to_discriminator_params: f64,
}

/// Prints the networks.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.settings.resolve()?;
    let gan = networks(&config);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&figures(&gan))?);
    } else {
        print!("{}", tables(&gan));
    }
    Ok(ExitCode::SUCCESS)
}

/// The networks of a configuration, without a device.
fn networks(config: &Config) -> EdeGan {
    register(config, &mut Variables::new(), config.data.dataset.channels())
}

fn all(gan: &EdeGan) -> impl Iterator<Item = &Network> {
    gan.generator().into_iter().chain([&gan.discriminator])
}

fn figures(gan: &EdeGan) -> Networks {
    let networks = all(gan)
        .map(|network| NetworkFigures {
            name: network.spec.name.clone(),
            params: network.spec.params(),
            macs: network.spec.macs(),
            layers: network.spec.figures(),
        })
        .collect();
    let critic = &gan.discriminator.spec;
    let ratios = Ratios {
        generator_to_discriminator_macs: gan.generator_macs() as f64 / critic.macs() as f64,
        generator_to_discriminator_params: gan.generator_params() as f64 / critic.params() as f64,
    };
    Networks { networks, ratios }
}

/// A table for a person.
pub fn tables(gan: &EdeGan) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for network in all(gan) {
        let spec = &network.spec;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} ({} parameters, {:.2} M multiply-accumulates)",
            spec.name,
            spec.params(),
            million(spec.macs())
        );
        for layer in spec.figures() {
            let [kernel, stride, padding] = layer.window;
            let [c, h, w] = layer.output;
            let _ = writeln!(
                text,
                "  {:<8} {kernel}x{kernel} stride {stride} pad {padding}   -> {c:>3} x {h:>2} x {w:>2} {:>9} parameters {:>7.2} M",
                layer.name,
                layer.params,
                million(layer.macs)
            );
        }
    }
    let _ = writeln!(
        text,
        "generator, which scoring runs: {} parameters, {:.2} M multiply-accumulates an image",
        gan.generator_params(),
        million(gan.generator_macs())
    );
    text
}

fn million(count: u64) -> f64 {
    count as f64 / 1e6
}
