//! Latency and throughput of every scoring path: `cargo bench --bench scoring`, a JSON list with `-- --json`.
//!
//! The student is `tests/data/student`, or the model file in `PKDGAN_BENCH_MODEL`. Paths of an adapter are timed with
//! `-- --device gpu`.

use std::path::PathBuf;
use std::time::Duration;

use pkdgan::engine::{Gpu, GpuOptions};
use pkdgan::model::ModelFile;
use pkdgan::scoring::{Detector, ScoringPath};
use pkdgan::unstable::scoring::{Figure, measure};

const BATCHES: [usize; 4] = [1, 8, 64, 512];

fn main() {
    let gpu = std::env::args().any(|argument| argument == "gpu");
    let paths = if gpu { &ScoringPath::ALL[..] } else { &[ScoringPath::Cpu] };
    let json = std::env::args().any(|argument| argument == "--json");
    let path = std::env::var_os("PKDGAN_BENCH_MODEL").map(PathBuf::from);
    let path = path.unwrap_or_else(|| "tests/data/student/model.safetensors".into());
    let file = ModelFile::read(&path).expect("a model");
    let options = GpuOptions::default().adapter(std::env::var("PKDGAN_BENCH_ADAPTER").ok());
    if !json {
        if gpu {
            println!("device: {}", Gpu::open(&options).expect("an adapter").summary());
        }
        println!(
            "{:<10} {:>5} {:>12} {:>12} {:>12} {:>12}",
            "path", "batch", "median us", "p95 us", "p99 us", "images/s"
        );
    }
    let mut figures = Vec::new();
    for batch in BATCHES {
        for &path in paths {
            let mut detector = match path {
                ScoringPath::Cpu => Detector::cpu(&file, batch),
                _ => Detector::on(Box::new(Gpu::open(&options).expect("an adapter")), &file, path, batch),
            }
            .expect("a detector");
            let figure = measure(&mut detector, batch, Duration::from_millis(500)).expect("scores");
            let figure = figure.figure("student", path);
            if !json {
                let Figure { median_us, p95_us, p99_us, images_per_s, .. } = figure;
                println!("{path:<10} {batch:>5} {median_us:>12.1} {p95_us:>12.1} {p99_us:>12.1} {images_per_s:>12.0}");
            }
            figures.push(figure);
        }
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&figures).expect("numbers"));
    }
}
