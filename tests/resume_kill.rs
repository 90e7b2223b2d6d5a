//! A run that is killed again and again, at random moments, ends in the same bytes as one that never was.

mod command;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use command::{Held, Sandbox};
use pkdgan::unstable::weights::Weights;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// Kills in each phase.
const KILLS: usize = 20;
/// Most steps from one checkpoint to the next.
const SAVED: usize = 3;
/// Steps of each phase: more than all processes together take before they are killed.
const STEPS: usize = 400;

/// A stage, and the file that it leaves.
const PHASES: [(&str, &str); 3] =
    [("teacher", "teacher.safetensors"), ("step1", "student-step1.safetensors"), ("step2", "model.safetensors")];

/// Every network that the run leaves, and its scores.
const BYTES: [&str; 6] = [
    "teacher.safetensors",
    "student-step1.safetensors",
    "teacher-joint.safetensors",
    "model.safetensors",
    "scores.csv",
    "teacher_scores.csv",
];

fn settings() -> Vec<String> {
    vec![
        "--stage=all".into(),
        "--seed=6".into(),
        format!("--steps={STEPS}"),
        format!("--set=distillation.step1.steps={STEPS}"),
        format!("--set=distillation.step2.steps={STEPS}"),
    ]
}

/// `pkdgan train` in the folder `run`, where it goes on if it was begun.
fn prepared(sandbox: &Sandbox, run: &str, every: &str) -> assert_cmd::Command {
    let mut command = if sandbox.path(run).join("config.toml").exists() {
        sandbox.pkdgan(&["train", "--resume", run])
    } else {
        sandbox.train(run, &settings().iter().map(String::as_str).collect::<Vec<_>>())
    };
    command.args(["--quiet", "--checkpoint-every", every]);
    command
}

/// Starts it.
fn spawn(sandbox: &Sandbox, run: &str, every: &str) -> Child {
    let prepared = prepared(sandbox, run, every);
    let mut command = std::process::Command::new(prepared.get_program());
    command.env_remove("RUST_LOG").env_remove("PKDGAN_DATA").env("PKDGAN_CACHE", sandbox.path("cache"));
    let log = fs::File::options().append(true).create(true).open(sandbox.path(&format!("{run}.log"))).unwrap();
    command.args(prepared.get_args()).current_dir(sandbox.path(""));
    command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// Lets a run go on to its end.
fn finish(sandbox: &Sandbox, run: &str) {
    let status = spawn(sandbox, run, "60s").wait().unwrap();
    assert!(status.success(), "{run}: {}", String::from_utf8_lossy(&sandbox.read(&format!("{run}.log"))));
}

/// The run `whole`, which both tests compare with.
fn never_killed(sandbox: &Sandbox) {
    sandbox.trained("whole", &settings().iter().map(String::as_str).collect::<Vec<_>>());
}

/// Stage and step of the checkpoint that the run would go on from: between the two renames of a new one, and for a
/// process killed there, the one before it.
fn checkpoint(folder: &Path) -> Option<(String, usize)> {
    let read = |file: &str| Weights::read(&folder.join(file)).ok();
    let weights = read("checkpoint.safetensors").or_else(|| read("checkpoint.previous.safetensors"))?;
    Some((weights.metadata["stage"].clone(), weights.tensors["clock/clock"].values[0] as usize))
}

/// Whether the run is in a phase: all networks of earlier ones are there, its own is not.
fn is_in(folder: &Path, phase: usize) -> bool {
    PHASES.iter().take(phase).all(|(_, file)| folder.join(file).exists()) && !folder.join(PHASES[phase].1).exists()
}

/// The lines of the log and the report, without what tells time, memory or processes.
fn figures(sandbox: &Sandbox, run: &str) -> Vec<Value> {
    let metrics = String::from_utf8(sandbox.read(&format!("{run}/metrics.jsonl"))).unwrap();
    let lines = metrics.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut figures: Vec<Value> = lines.chain([sandbox.json(&format!("{run}/report.json"))]).collect();
    figures.iter_mut().for_each(strip);
    figures
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|key, _| !key.contains("seconds") && key != "peak_rss_bytes" && key != "processes");
            object.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn assert_same(sandbox: &Sandbox, run: &str) {
    for file in BYTES {
        let [whole, killed] = ["whole", run].map(|run| sandbox.read(&format!("{run}/{file}")));
        assert!(whole == killed, "{run}: {file} differs from that of the run that was never killed");
    }
    assert_eq!(figures(sandbox, "whole"), figures(sandbox, run), "{run}");
    let left: Vec<_> = sandbox.list(run).into_iter().filter(|name| name.starts_with('.')).collect();
    assert!(left.is_empty(), "{run}: {left:?} was left over");
}

/// Kills a run again and again in a phase, then lets it end. Each process takes a few steps and saves some of them before it
/// waits; it is killed as it waits, or at a random moment before that. Returns how many steps were done at each kill.
fn kill_in(sandbox: &Sandbox, phase: usize, seed: u64) -> Vec<usize> {
    let (stage, _) = PHASES[phase];
    let folder = sandbox.path(stage);
    let mut rng = ChaCha8Rng::seed_from_u64(seed + phase as u64);
    let reached = || checkpoint(&folder).filter(|(reached, _)| reached == stage).map(|(_, step)| step);
    let mut steps = Vec::new();
    // Time from the start of a process to where it waits.
    let mut way = Duration::ZERO;
    while steps.len() < KILLS {
        let every = rng.random_range(1..=SAVED).to_string();
        let started = Instant::now();
        let mut held = Held::start(&prepared(sandbox, stage, &every), 2 * SAVED);
        if steps.is_empty() || steps.len() % 2 == 1 {
            held.wait_until(|| reached().is_some());
            way = started.elapsed();
        } else {
            sleep(way.mul_f64(rng.random_range(0.0..1.0)));
        }
        held.kill();
        assert!(is_in(&folder, phase), "{stage}: the kill after {} came too late", steps.len());
        steps.push(reached().unwrap_or(0));
    }
    finish(sandbox, stage);
    steps
}

#[test]
fn a_run_killed_at_random_moments_of_each_phase_ends_in_the_same_bytes() {
    let seed = std::env::var("PKDGAN_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(6);
    println!("PKDGAN_TEST_SEED={seed}");
    let sandbox = &Sandbox::new();
    never_killed(sandbox);
    scope(|scope| {
        let threads = (0..PHASES.len()).map(|phase| scope.spawn(move || kill_in(sandbox, phase, seed)));
        for ((stage, _), thread) in PHASES.iter().zip(threads.collect::<Vec<_>>()) {
            let steps = thread.join().unwrap();
            println!("{stage}: steps in the checkpoint at each kill: {steps:?}");
            assert!(steps.is_sorted(), "{stage}: steps were lost");
            // The run is where it is by what many processes did, not one: each that waited had saved steps of its own.
            let distinct: BTreeSet<_> = steps.iter().collect();
            assert!(distinct.len() > KILLS / 2, "{stage}: {steps:?}");
            assert_same(sandbox, stage);
        }
    });
}

#[test]
fn a_run_killed_as_each_file_appears_ends_in_the_same_bytes() {
    const RUN: &str = "killed";
    let sandbox = &Sandbox::new();
    never_killed(sandbox);
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    // Before the first checkpoint; between a network's file and the next stage's first checkpoint; between the two files
    // of a stage that trains both networks; in the evaluation; between scores and report.
    let files = [
        "metrics.jsonl",
        "config.toml",
        "checkpoint.safetensors",
        "teacher.safetensors",
        "student-step1.safetensors",
        "teacher-joint.safetensors",
        "model.safetensors",
        "scores.csv",
    ];
    for file in files {
        let path = sandbox.path(&format!("{RUN}/{file}"));
        for kill in 0..2 {
            let mut child = spawn(sandbox, RUN, "60s");
            // The second time the file is there, and the process is killed somewhere in its start.
            while kill == 0 && !path.exists() {
                let ended = child.try_wait().unwrap().is_some();
                assert!(!ended || path.exists(), "{file} did not appear");
                sleep(Duration::from_micros(200));
            }
            let longest = Duration::from_millis(if kill == 0 { 20 } else { 400 });
            sleep(longest.mul_f64(rng.random_range(0.0..1.0)));
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    finish(sandbox, RUN);
    assert_same(sandbox, RUN);
}
