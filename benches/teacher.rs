//! A whole training step of the default teacher, and what scoring costs: `cargo bench --bench teacher`.
//! `-- --quick` takes fewer repeats, `-- --profile` lists every kernel of a step.

use std::time::Instant;

use pkdgan::config::{Config, Recipe};
use pkdgan::data::Dataset;
use pkdgan::engine::{Executor, Gpu, GpuOptions, Program, ProgramId, Readback, Timed, Variables};
use pkdgan::model::EdeGan;
use pkdgan::train::{Networks, Scorer, Stage, TrainingStep};

const IMAGES: usize = 512;

fn main() {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    let repeats = if has("--quick") { 5 } else { 30 };
    let adapter = std::env::var("PKDGAN_BENCH_ADAPTER").ok();
    let options = GpuOptions { adapter, ..GpuOptions::default() };
    println!("adapter: {}", Gpu::open(&options).expect("an adapter").summary());
    println!("\ntraining step of the default teacher");
    for batch in [1, 8, 64] {
        step(&options, batch, repeats, has("--profile"));
    }
    println!("\nscoring with the default teacher, read-back included, by batch");
    for batch in [1, 64, 512] {
        score(&options, batch, repeats);
    }
}

/// The default teacher on a device of its own, with random weights.
fn teacher(options: &GpuOptions, batch: usize) -> (Gpu, Variables, Config, Networks) {
    let mut config = Recipe::Default.config(Dataset::Mnist);
    config.training.batch_size = batch;
    config.training.steps = 64;
    let mut variables = Variables::new();
    let networks = Networks::register(&config, Stage::Teacher, &mut variables);
    (Gpu::open(options).expect("an adapter"), variables, config, networks)
}

fn gan(networks: &Networks) -> &EdeGan {
    networks.teacher.as_ref().expect("a teacher")
}

fn pixels(images: usize) -> Vec<f32> {
    (0..images * 1024).map(|i| (i as f32 * 0.37).sin()).collect()
}

fn step(options: &GpuOptions, batch: usize, repeats: usize, list: bool) {
    let (mut gpu, mut variables, config, networks) = teacher(options, batch);
    let step =
        TrainingStep::build(&config, Stage::Teacher, &networks, &mut variables, IMAGES, [1, 32, 32]).expect("a step");
    let program = Program::compile(&step.graph, &variables).expect("a program");
    let macs = program.macs();
    let loading = Instant::now();
    let id = gpu.load(program).expect("a program");
    let loading = loading.elapsed().as_secs_f64();
    networks.initialise(&config, &mut gpu, &variables).expect("variables");
    gpu.write(step.images, &pixels(IMAGES)).expect("images");
    for (table, settings) in &step.tables {
        gpu.write(*table, &settings.table()).expect("table");
    }
    let mut run = |times: usize| {
        let start = Instant::now();
        gpu.run(id, times).expect("a run");
        gpu.read(&[Readback::Variable(step.clock)]).and_then(|pending| pending.wait()).expect("a read-back");
        start.elapsed().as_secs_f64() / times as f64
    };
    run(1);
    let per_run = (0.2 / run(1)).ceil().clamp(1.0, 64.0) as usize;
    let mut times: Vec<f64> = (0..repeats).map(|_| run(per_run)).collect();
    let (median, p95) = median_and_p95(&mut times);
    println!(
        "  batch {batch:>3}: median {:8.2} ms, p95 {:8.2} ms, {:7.1} images/s, {:6.2} GMAC/s ({} MMAC); loaded in {loading:.2} s",
        1e3 * median,
        1e3 * p95,
        batch as f64 / median,
        macs as f64 / median / 1e9,
        macs / 1_000_000
    );
    profile(&mut gpu, id, median, list);
}

/// Time in kernels, by the device's clock, against the time of a step.
fn profile(gpu: &mut Gpu, program: ProgramId, step: f64, list: bool) {
    let Some(timed) = gpu.profile(program, 1).expect("a profile") else {
        println!("             this adapter has no clock for kernels");
        return;
    };
    let kernels: f64 = timed.iter().map(|timed| timed.seconds).sum();
    let arithmetic: f64 = timed.iter().filter(|timed| timed.macs > 0).map(|timed| timed.seconds).sum();
    println!(
        "             {} dispatches in one pass; {:.1} % of a step outside kernels, {:.1} % of kernel time outside convolutions",
        timed.len(),
        100.0 * (1.0 - kernels / step).max(0.0),
        100.0 * (1.0 - arithmetic / kernels)
    );
    if list {
        for Timed { label, shader, macs, seconds, .. } in timed {
            println!(
                "             {:9.1} us {:7.2} GMAC/s  {label} ({shader})",
                1e6 * seconds,
                macs as f64 / seconds / 1e9
            );
        }
    }
}

fn score(options: &GpuOptions, batch: usize, repeats: usize) {
    let (mut gpu, variables, config, networks) = teacher(options, batch);
    let scorer = Scorer::new(&mut gpu, &variables, gan(&networks), config.scoring.statistics, batch).expect("a scorer");
    gpu.allocate(&variables).expect("variables");
    networks.initialise(&config, &mut gpu, &variables).expect("variables");
    let images = pixels(batch);
    let mut run = || {
        let start = Instant::now();
        scorer.score_pixels(&mut gpu, &images).and_then(|pending| Ok(pending.wait()?)).expect("scores");
        start.elapsed().as_secs_f64()
    };
    run();
    let mut times: Vec<f64> = (0..repeats * if batch == 1 { 10 } else { 1 }).map(|_| run()).collect();
    let (median, p95) = median_and_p95(&mut times);
    println!(
        "  batch {batch:>3}: median {:8.3} ms, p95 {:8.3} ms, {:8.1} images/s, {:6.2} GMAC/s",
        1e3 * median,
        1e3 * p95,
        batch as f64 / median,
        (gan(&networks).architecture.generator_macs() * batch as u64) as f64 / median / 1e9
    );
}

fn median_and_p95(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[(times.len() * 95 / 100).min(times.len() - 1)])
}
