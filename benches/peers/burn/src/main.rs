//! A generator's training step in Burn: `peer-burn FOLDER teacher|student BATCH flex|wgpu`, with a folder that
//! `cargo bench --bench training -- --write-start FOLDER` wrote.
//!
//! Prints a line of JSON with the losses of the first steps; then, for each line of standard input, a number of
//! seconds, one with what a step took in about that time.

mod generator;

use std::io::{self, BufRead};
use std::path::Path;
use std::time::Instant;
use std::{env, fs};

use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, DeviceKind, Tensor};
use serde_json::{Value, json};

use generator::{Generator, read};

/// Steps whose losses are told.
const TOLD: usize = 3;
/// What a block of steps takes together, in seconds.
const BLOCK: f64 = 0.1;
/// Fewest blocks that are timed.
const MIN_RUNS: usize = 5;

/// A generator in training.
struct Training {
    generator: Generator,
    optimizer: ModuleOptimizer,
    images: Tensor<4>,
    batch: usize,
    weights: [f64; 2],
    learning_rate: f64,
    done: usize,
}

impl Training {
    fn new(folder: &Path, network: &str, batch: usize, device: &Device) -> Self {
        let config = fs::read_to_string(folder.join("config.json")).expect("settings");
        let config: Value = serde_json::from_str(&config).expect("settings");
        let number = |pointer: &str| config.pointer(pointer).and_then(Value::as_f64).expect("a number");
        let section = if network == "teacher" { "training" } else { "student" };
        let rate = if network == "teacher" { "/training/learning_rate" } else { "/student/alone/learning_rate" };
        let betas = ["0", "1"].map(|index| number(&format!("/training/betas/{index}")) as f32);
        let file = read(&folder.join(network).with_extension("safetensors"));
        let adam = AdamConfig::new().with_beta_1(betas[0]).with_beta_2(betas[1]).with_epsilon(1e-8);
        Self {
            generator: Generator::new(&file, number("/training/norm_momentum"), device),
            optimizer: adam.init(),
            images: read(&folder.join("images.safetensors")).tensor("images", device),
            batch,
            weights: ["reconstruction", "latent"].map(|term| number(&format!("/{section}/weights/{term}"))),
            learning_rate: number(rate),
            done: 0,
        }
    }

    /// Takes a step; returns reconstruction and latent loss.
    fn step(&mut self) -> [Tensor<1>; 2] {
        let [count, ..] = self.images.dims();
        let first = self.done * self.batch % count;
        let images = self.images.clone().slice([first..first + self.batch]);
        let [latent, again, reconstruction] = self.generator.forward(images.clone());
        let losses = [(images - reconstruction).abs().mean(), (latent - again).square().mean()];
        let [con, enc] = losses.clone();
        let loss = con.mul_scalar(self.weights[0]) + enc.mul_scalar(self.weights[1]);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.generator);
        self.generator = self.optimizer.step(self.learning_rate, self.generator.clone(), gradients);
        self.done += 1;
        losses.map(Tensor::detach)
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, network, batch, backend] = &arguments[..] else {
        panic!("usage: peer-burn FOLDER teacher|student BATCH flex|wgpu");
    };
    let device = match backend.as_str() {
        "flex" => Device::flex(),
        // CUBECL_WGPU_DEFAULT_DEVICE chooses another than its default.
        "wgpu" => Device::wgpu(DeviceKind::DefaultDevice),
        other => panic!("there is no backend {other}"),
    };
    let device = device.autodiff();
    let batch = batch.parse().expect("images of a step");
    let mut training = Training::new(Path::new(folder), network, batch, &device);
    let losses: Vec<[f32; 2]> = (0..TOLD).map(|_| training.step().map(|loss| loss.into_scalar())).collect();
    println!("{}", json!({ "losses": losses, "device": device.identity().map(|identity| identity.name) }));
    for line in io::stdin().lock().lines() {
        let seconds = line.expect("standard input").trim().parse().expect("seconds");
        let [median_ms, p95_ms] = time(&mut training, &device, seconds).map(|seconds| 1e3 * seconds);
        println!("{}", json!({ "median_ms": median_ms, "p95_ms": p95_ms }));
    }
}

/// Median and 95th percentile, in seconds, of what a step takes, over blocks of steps.
fn time(training: &mut Training, device: &Device, seconds: f64) -> [f64; 2] {
    let mut block = |steps: usize| {
        let start = Instant::now();
        for _ in 0..steps {
            training.step();
        }
        device.sync().expect("a device that works");
        start.elapsed().as_secs_f64() / steps as f64
    };
    let steps = (BLOCK / block(2)).ceil().clamp(1.0, 1024.0) as usize;
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < MIN_RUNS || begun.elapsed().as_secs_f64() < seconds {
        times.push(block(steps));
    }
    times.sort_by(f64::total_cmp);
    [times[times.len() / 2], times[(times.len() * 95 / 100).min(times.len() - 1)]]
}
