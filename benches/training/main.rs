//! Training steps of every kind with the networks of the default recipe for MNIST, and what scoring with its teacher costs:
//! `cargo bench --bench training`.
//!
//! On the CPU executor unless `-- --device gpu` is given; then `PKDGAN_BENCH_ADAPTER` chooses the adapter. `RAYON_NUM_THREADS` sets the
//! threads of the CPU executor.

mod generator_step;
mod start;
mod stopwatch;
mod work;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use work::{Measured, On, Work};

#[derive(Parser)]
#[command(about = "Times training steps, and scoring with the teacher")]
struct Arguments {
    /// What to time [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    work: Vec<Work>,
    /// Images of a step
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64])]
    batch: Vec<usize>,
    /// Time for each
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// What to compute on
    #[arg(long, value_enum, default_value_t = On::Cpu)]
    device: On,
    /// Print a line of JSON for each
    #[arg(long)]
    json: bool,
    /// List every kernel of a step
    #[arg(long)]
    profile: bool,
    /// Time nothing, but write into this folder what all begin with: model files, images and settings
    #[arg(long, value_name = "FOLDER")]
    write_start: Option<PathBuf>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(folder) = &arguments.write_start {
        return start::write(folder);
    }
    if !arguments.json {
        println!("device: {}", arguments.device.open().summary());
        println!(
            "{:<22} {:>5} {:>10} {:>10} {:>10} {:>8} {:>10} {:>22}",
            "work", "batch", "median ms", "p95 ms", "images/s", "GMAC/s", "dispatches", "outside convolutions"
        );
    }
    let works = if arguments.work.is_empty() { Work::value_variants() } else { &arguments.work };
    let time = Duration::from_secs_f64(arguments.seconds);
    for (&work, &batch) in works.iter().flat_map(|work| arguments.batch.iter().map(move |batch| (work, batch))) {
        let measured = work.measure(arguments.device, batch, time);
        if arguments.json {
            println!("{}", serde_json::to_string(&measured).expect("numbers"));
        } else {
            print(&measured, arguments.profile);
        }
    }
}

fn print(measured: &Measured, list: bool) {
    let Measured { work, batch, median_ms, p95_ms, .. } = measured;
    let name = work.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let or_dash = |text: Option<String>| text.unwrap_or("-".into());
    let (images, rate) = (*batch as f64 / median_ms * 1e3, measured.macs as f64 / median_ms / 1e6);
    let dispatches = or_dash(measured.dispatches.map(|count| count.to_string()));
    let outside = or_dash(measured.outside_convolutions.map(|share| format!("{:.1} %", 100.0 * share)));
    println!(
        "{name:<22} {batch:>5} {median_ms:>10.3} {p95_ms:>10.3} {images:>10.1} {rate:>8.2} {dispatches:>10} {outside:>22}"
    );
    for kernel in measured.kernels.iter().filter(|_| list) {
        let rate = kernel.macs as f64 / kernel.seconds / 1e9;
        println!("{:12.1} us {rate:7.2} GMAC/s  {} ({})", 1e6 * kernel.seconds, kernel.label, kernel.shader);
    }
}
