//! `pkdgan reproduce`: grids, going on with them, and studies.

mod command;

use std::fs;

use assert_cmd::Command;
use command::{Held, Sandbox, TINY, stderr};
use pkdgan::config::Statistics;
use pkdgan::model::ModelFile;
use pkdgan::unstable::results::{Row, Rows};
use pkdgan::unstable::version;
use pkdgan::unstable::weights::Weights;

const RESULTS: [&str; 6] = ["runs.csv", "score.csv", "score.md", "score.svg", "table.csv", "table.md"];

/// `pkdgan reproduce` of tiny networks.
fn reproduce(sandbox: &Sandbox, more: &[&str]) -> Command {
    // An adapter that is named says what to compute on.
    let device = if more.iter().any(|flag| flag.starts_with("--adapter")) { "--device=gpu" } else { "--device=cpu" };
    let mut command = sandbox.pkdgan(&["reproduce", device, "--set=training.steps=20"]);
    // Batch sizes of teachers are settings here, not a flag.
    command.args(TINY.iter().filter(|argument| argument.starts_with("--set"))).arg("--set=training.batch_size=2");
    command.args(more);
    command
}

/// Runs a grid that must succeed.
fn succeeds(sandbox: &Sandbox, more: &[&str]) -> std::process::Output {
    let output = reproduce(sandbox, more).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

fn rows(sandbox: &Sandbox, name: &str) -> Vec<Row> {
    let rows = Rows::read(&sandbox.path(&format!("results/{name}/runs.csv"))).unwrap();
    rows.iter().cloned().collect()
}

fn figures(rows: &[Row]) -> Vec<(String, u64, f64)> {
    rows.iter().map(|row| (row.network.clone(), row.seed, row.auroc)).collect()
}

#[test]
fn a_grid_is_run_once_and_goes_on() {
    const GRID: [&str; 6] = ["--classes", "2,5", "--seeds", "3", "--structures", "1+4,1+2"];
    let sandbox = Sandbox::new();
    let output = succeeds(&sandbox, &GRID);
    assert!(stderr(&output).contains("[4/8] mnist class 2 seed 3, 1+2"), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("mean of classes 2, 5"));
    assert_eq!(sandbox.list("runs/reproduce"), ["mnist-2-seed3", "mnist-5-seed3"]);
    assert_eq!(sandbox.list("runs/reproduce/mnist-5-seed3"), ["1+2", "1+4", "alone", "teacher"]);
    assert_eq!(sandbox.list("results/mnist"), RESULTS);

    let first = rows(&sandbox, "mnist");
    let keys = first.iter().map(|row| (row.normal, row.network.as_str(), row.structure.as_str(), row.steps));
    let expected = [2, 5].into_iter().flat_map(|class| {
        [
            (class, "teacher", "", 20),
            (class, "student-alone", "", 12),
            (class, "student-step1", "1", 10),
            (class, "student", "1+2", 18),
            (class, "student", "1+4", 18),
            (class, "teacher-joint", "1+4", 28),
        ]
    });
    assert_eq!(keys.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    assert!(first.iter().all(|row| row.seed == 3 && row.seconds > 0.0));
    assert!(first.iter().all(|row| row.version == version::VERSION && row.build == version::BUILD));

    // The teacher's own cell reports it, and the others start from the same bytes.
    let report = sandbox.json("runs/reproduce/mnist-2-seed3/1+4/report.json");
    let networks: Vec<_> = report["networks"].as_array().unwrap().iter().map(|network| &network["network"]).collect();
    assert_eq!(networks, ["student-step1", "teacher-joint", "student"]);
    let teacher = sandbox.read("runs/reproduce/mnist-2-seed3/teacher/model.safetensors");
    assert!(teacher == sandbox.read("runs/reproduce/mnist-2-seed3/1+4/teacher.safetensors"));

    // Again: nothing is trained, nothing changes.
    let bytes = || RESULTS.map(|file| sandbox.read(&format!("results/mnist/{file}")));
    let before = bytes();
    let output = succeeds(&sandbox, &[&GRID[..], &["--json"]].concat());
    assert!(!stderr(&output).contains("[1/8]") && !stderr(&output).contains("device"), "{}", stderr(&output));
    assert!(bytes() == before, "taking the cells that are done changed the results");
    let printed: Vec<Row> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, first);

    // A cell without a report is evaluated again, from the networks that it has.
    let report = "runs/reproduce/mnist-5-seed3/1+2/report.json";
    std::fs::remove_file(sandbox.path(report)).unwrap();
    let listed = succeeds(&sandbox, &[&GRID[..], &["--dry-run"]].concat()).stdout;
    let listed = String::from_utf8(listed).unwrap();
    assert!(listed.contains("mnist-5-seed3/1+2: begun") && listed.contains("7 of 8 cells done"), "{listed}");
    succeeds(&sandbox, &GRID);
    assert!(sandbox.path(report).exists());
    assert_eq!(figures(&rows(&sandbox, "mnist")), figures(&first));

    // Other settings are another grid.
    let before = bytes();
    let output = reproduce(&sandbox, &[&GRID[..], &["--set", "training.steps=21"]].concat()).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for named in ["runs/reproduce/mnist-2-seed3/teacher", "training.steps is 20, wanted 21", "--runs"] {
        assert!(said.contains(named), "{said}");
    }
    assert!(bytes() == before);
    // Those of the student have no part in teachers.
    succeeds(&sandbox, &[&GRID[..4], &["--networks", "teacher", "--set", "student.alone.steps=9"]].concat());
}

#[test]
fn an_interrupted_grid_goes_on_to_the_same_figures() {
    const GRID: [&str; 5] = ["--classes=2", "--seeds=0-7", "--networks=teacher", "--runs=kept", "--quiet"];
    let sandbox = Sandbox::new();
    let mut held = Held::start(&reproduce(&sandbox, &GRID), 5);
    held.wait_until(|| sandbox.path("kept/mnist-2-seed0/teacher/report.json").exists());
    held.interrupt();
    let (status, said) = held.finish();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("The same command goes on"), "{said}");
    let done = rows(&sandbox, "mnist");
    assert_eq!(done.len(), 1, "{done:?}");

    succeeds(&sandbox, &GRID);
    let all = rows(&sandbox, "mnist");
    assert_eq!(all[..done.len()], done);
    succeeds(&sandbox, &[&GRID[..3], &["--runs=elsewhere", "--name=whole"]].concat());
    assert_eq!(figures(&all), figures(&rows(&sandbox, "whole")));
}

#[test]
fn studies_write_their_files() {
    const BATCHES: [&str; 9] = [
        "--study=batch-size",
        "--network=student",
        "--classes=2",
        "--seeds=0",
        "--batch-sizes=1,4",
        "--images-seen=8",
        "--equal-steps=4",
        "--runs=runs",
        "--results=tables",
    ];
    let sandbox = Sandbox::new();
    let output = succeeds(&sandbox, &BATCHES);
    let trained = ["alone-batch-1-steps-4", "alone-batch-1-steps-8", "alone-batch-4-steps-2", "alone-batch-4-steps-4"];
    let cells: Vec<_> =
        trained.iter().flat_map(|name| [(*name).to_owned(), format!("{name}-scored-per-image")]).collect();
    assert_eq!(sandbox.list("runs/mnist-2-seed0"), cells);
    let mut files = [&["batch-size.csv", "batch-size.md", "batch-size.svg"], &RESULTS[..]].concat();
    files.sort_unstable();
    assert_eq!(sandbox.list("tables/mnist-batch-size-student"), files);
    let text = String::from_utf8(sandbox.read("tables/mnist-batch-size-student/batch-size.md")).unwrap();
    assert!(text.contains("equal images seen, running") && text.contains("equal steps, per-image"), "{text}");
    assert!(text.contains("sees 8 images") && text.contains("for 4 steps"), "{text}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim_end(), text.trim_end());
    // The same weights, scored in two ways.
    let model = |cell: &str| {
        let path = sandbox.path(&format!("runs/mnist-2-seed0/{cell}/model.safetensors"));
        ModelFile::read(&path).unwrap()
    };
    for pair in cells.chunks_exact(2) {
        let [running, per_image] = [&pair[0], &pair[1]].map(|cell| model(cell));
        assert_eq!([running.statistics, per_image.statistics], [Statistics::Running, Statistics::PerImage]);
        assert!(running.weights.tensors == per_image.weights.tensors);
        let metrics = sandbox.read(&format!("runs/mnist-2-seed0/{}/metrics.jsonl", pair[1]));
        assert!(metrics.is_empty(), "{} was trained", pair[1]);
    }
    let found = Rows::read(&sandbox.path("tables/mnist-batch-size-student/runs.csv")).unwrap();
    let of = |statistics| found.iter().filter(move |row| row.statistics == Some(statistics));
    assert_eq!(of(Statistics::Running).count(), 4);
    for (running, per_image) in of(Statistics::Running).zip(of(Statistics::PerImage)) {
        assert_eq!([running.steps, running.batch_size], [per_image.steps, per_image.batch_size]);
        assert!(running.seconds > 0.0 && running.seconds == per_image.seconds);
        assert!(running.auroc != per_image.auroc, "{} steps: {}", running.steps, running.auroc);
    }
    // A process that was killed before it had the network goes on with it, and does not train one.
    for file in ["model.safetensors", "report.json"] {
        fs::remove_file(sandbox.path(&format!("runs/mnist-2-seed0/{}/{file}", cells[1]))).unwrap();
    }
    succeeds(&sandbox, &BATCHES);
    assert_eq!(Rows::read(&sandbox.path("tables/mnist-batch-size-student/runs.csv")).unwrap(), found);
    assert!(sandbox.read(&format!("runs/mnist-2-seed0/{}/metrics.jsonl", cells[1])).is_empty());
    // Whatever the settings say of statistics.
    succeeds(
        &sandbox,
        &[&BATCHES[..7], &["--results=tables", "--set=student.statistics=\"per-image\"", "--runs=of-images"]].concat(),
    );
    assert_eq!(sandbox.list("of-images/mnist-2-seed0"), cells);
    assert_eq!(Rows::read(&sandbox.path("tables/mnist-batch-size-student/runs.csv")).unwrap().len(), found.len());

    let output = succeeds(&sandbox, &["--study=score", "--networks=student", "--classes=2", "--seeds=0"]);
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("# Score"));
    assert_eq!(sandbox.list("results/mnist"), RESULTS);
}

#[test]
fn studies_of_distillation_share_their_teachers_with_grids() {
    const GRID: [&str; 2] = ["--classes=2", "--seeds=0"];
    let sandbox = Sandbox::new();
    let output = succeeds(&sandbox, &[&GRID[..], &["--study=structures", "--structures=1,3+4"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("# Structures of distillation") && text.contains("| 3+4 "), "{text}");
    assert_eq!(sandbox.list("runs/reproduce/mnist-2-seed0"), ["1", "3+4", "alone", "teacher"]);
    let trained = sandbox.read("runs/reproduce/mnist-2-seed0/teacher/metrics.jsonl");

    let output = succeeds(&sandbox, &[&GRID[..], &["--study=compression", "--widths=0.5,1,2"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("# Compression") && text.contains("teacher's to these"), "{text}");
    let cells = ["1", "1+4", "1+4-width-0.5", "1+4-width-2", "3+4", "alone", "alone-width-0.5", "alone-width-2"];
    assert_eq!(sandbox.list("runs/reproduce/mnist-2-seed0"), [&cells[..], &["teacher"]].concat());
    let channels = |cell: &str| {
        let path = sandbox.path(&format!("runs/reproduce/mnist-2-seed0/{cell}/config.toml"));
        pkdgan::config::Config::read(&path).unwrap().student.encoder.iter().map(|layer| layer[0]).collect::<Vec<_>>()
    };
    let own = channels("alone");
    assert_eq!(channels("1+4-width-2"), own.iter().map(|channels| channels * 2).collect::<Vec<_>>());
    assert_eq!(channels("alone-width-0.5"), own.iter().map(|channels| channels.div_ceil(2)).collect::<Vec<_>>());
    let students = rows(&sandbox, "mnist-compression");
    let sizes: std::collections::BTreeSet<_> =
        students.iter().filter(|row| row.network == "student").map(|row| row.macs).collect();
    assert_eq!(sizes.len(), 3);
    assert!(trained == sandbox.read("runs/reproduce/mnist-2-seed0/teacher/metrics.jsonl"));
}

#[test]
fn a_study_of_the_constraint_trains_teachers_in_five_ways() {
    let sandbox = Sandbox::new();
    let output = succeeds(&sandbox, &["--classes=2", "--seeds=0", "--study=constraint"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("# Constraint on latent vectors"), "{text}");
    let cells =
        ["teacher", "teacher-none", "teacher-none-no-latent-loss", "teacher-tanh", "teacher-unit-rms-no-latent-loss"];
    assert_eq!(sandbox.list("runs/reproduce/mnist-2-seed0"), cells);
    let found = rows(&sandbox, "mnist-constraint");
    let latents: Vec<_> = found.iter().map(|row| row.latents.as_str()).collect();
    assert_eq!(latents, ["none", "none, no latent loss", "tanh", "unit-rms", "unit-rms, no latent loss"]);
    // They are not the same network by another name.
    let aurocs: std::collections::BTreeSet<_> = found.iter().map(|row| row.auroc.to_bits()).collect();
    assert_eq!(aurocs.len(), 5);
    let model = sandbox.path("runs/reproduce/mnist-2-seed0/teacher-tanh/model.safetensors");
    let model = pkdgan::model::ModelFile::read(&model).unwrap();
    assert_eq!(model.architecture.latent_constraint.name(), "tanh");
}

#[test]
fn grids_that_cannot_be_are_refused_before_anything_is_written() {
    let sandbox = Sandbox::new();
    for (more, named) in [
        (&["--classes", "8-11"][..], "0 to 9"),
        (&["--classes", "3-1"], "0-9 or 0,1,4"),
        (&["--structures", "1+5"], "no structure 5"),
        (&["--set=distillation.step2.steps=0", "--structures=1+4"], "distillation.step2.steps"),
        (&["--set=training.seed=1"], "--seeds"),
        (&["--set=data.eval_split=validation"], "data.eval_split"),
        (&["--set=data.judge=validation"], "data.eval_split"),
        (&["--batch-sizes=1,2"], "--study batch-size"),
        (&["--study=batch-size", "--structures=1"], "--structures"),
        (&["--study=batch-size", "--batch-sizes=0-2"], "training.batch_size"),
        (&["--networks=student", "--without-baseline"], "--networks all"),
        (&["--study=structures", "--networks=teacher"], "--study structures"),
        (&["--study=compression", "--structures=1"], "--widths"),
        (&["--study=compression", "--widths=0"], "above 0"),
        (&["--widths=1"], "--study compression"),
        (&["--study=constraint", "--networks=teacher"], "--study constraint"),
    ] {
        let output = reproduce(&sandbox, more).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(named), "{more:?}: {}", stderr(&output));
    }
    let output = reproduce(&sandbox, &["--dry-run", "--classes=1", "--structures=1", "--json"]).output().unwrap();
    let cells: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let stages: Vec<_> = (0..6).map(|cell| cells[cell]["config"]["run"]["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["teacher", "student", "distill", "teacher", "student", "distill"]);
    assert_eq!(cells[2]["config"]["distillation"]["step2"]["steps"], 0);
    assert_eq!(cells[5]["state"], "to do");
    assert!(sandbox.list("runs").is_empty() && sandbox.list("results").is_empty());
}

/// A grid of four cells that take some tenths of a second each.
const SMALL: [&str; 4] = ["--classes=2,5", "--seeds=0", "--structures=1", "--set=training.steps=300"];

/// A grid whose figures are those of one process.
fn as_one_process(sandbox: &Sandbox, name: &str) {
    succeeds(sandbox, &[&SMALL[..], &["--runs=alone", "--name=alone"]].concat());
    let (found, expected) = (rows(sandbox, name), rows(sandbox, "alone"));
    assert_eq!(expected.len(), 6);
    assert_eq!(figures(&found), figures(&expected));
}

/// The process at work on a cell, where there is one.
fn at_work(sandbox: &Sandbox, cell: &str) -> Option<String> {
    let lock = std::fs::File::open(sandbox.path(&format!("runs/reproduce/{cell}/.lock"))).ok()?;
    if lock.try_lock_shared().is_ok() {
        return None;
    }
    let process = String::from_utf8(sandbox.read(&format!("runs/reproduce/{cell}/.lock"))).unwrap();
    Some(process.trim().to_owned()).filter(|process| !process.is_empty())
}

fn status(sandbox: &Sandbox, more: &[&str]) -> serde_json::Value {
    serde_json::from_slice(&succeeds(sandbox, &[more, &["--status", "--json"]].concat()).stdout).unwrap()
}

#[test]
fn several_processes_train_what_one_would() {
    let sandbox = Sandbox::new();
    let output = succeeds(&sandbox, &[&SMALL[..], &["--jobs=2"]].concat());
    let said = stderr(&output);
    assert!(said.contains("2 processes"), "{said}");
    assert!(said.contains("[4/6] mnist class 5 seed 0, teacher: done"), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("mean of classes 2, 5"));
    as_one_process(&sandbox, "mnist");
    let status = status(&sandbox, &SMALL);
    assert_eq!((&status["done"], &status["to_do"]), (&6.into(), &0.into()), "{status}");
}

#[test]
fn a_killed_process_of_several_costs_no_cell() {
    let sandbox = Sandbox::new();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pkdgan"));
    let prepared = reproduce(&sandbox, &[&SMALL[..], &["--jobs=2"]].concat());
    command.args(prepared.get_args()).current_dir(sandbox.path("")).stdout(std::process::Stdio::null());
    let grid = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let victim = loop {
        if let Some(process) = at_work(&sandbox, "mnist-2-seed0/teacher") {
            break process;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert!(std::process::Command::new("kill").args(["-9", &victim]).status().unwrap().success());
    let output = grid.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("process {victim} ended")), "{}", stderr(&output));
    as_one_process(&sandbox, "mnist");
}

#[test]
fn workers_end_with_the_process_that_started_them() {
    let sandbox = Sandbox::new();
    let prepared = reproduce(&sandbox, &[&SMALL[..], &["--jobs=2", "--set=training.steps=100000"]].concat());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pkdgan"));
    command.args(prepared.get_args()).current_dir(sandbox.path("")).stderr(std::process::Stdio::null());
    let mut grid = command.spawn().unwrap();
    let waits = |so: &dyn Fn() -> bool| {
        while !so() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    waits(&|| at_work(&sandbox, "mnist-2-seed0/teacher").is_some());
    grid.kill().unwrap();
    grid.wait().unwrap();
    // They save where they are.
    waits(&|| at_work(&sandbox, "mnist-2-seed0/teacher").is_none());
    assert!(sandbox.path("runs/reproduce/mnist-2-seed0/teacher/checkpoint.safetensors").exists());
}

/// The software driver named twice stands for two GPUs.
#[test]
fn adapters_share_out_a_grid() {
    const GRID: [&str; 4] = ["--classes=2,5", "--seeds=0", "--networks=student", "--set=student.alone.steps=20"];
    let sandbox = Sandbox::new();
    let output = succeeds(&sandbox, &[&GRID[..], &["--adapter=0", "--adapter=0"]].concat());
    assert!(stderr(&output).contains("2 processes"), "{}", stderr(&output));
    let found = rows(&sandbox, "mnist");
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|row| !row.adapter.starts_with("CPU executor")), "{found:?}");
    succeeds(&sandbox, &[&GRID[..], &["--adapter=0", "--runs=alone", "--name=alone"]].concat());
    assert_eq!(figures(&found), figures(&rows(&sandbox, "alone")));
    // A name that leads nowhere ends the process that it is for; the others train on.
    let half = ["--adapter=0", "--adapter=nowhere", "--runs=half", "--name=half"];
    let output = reproduce(&sandbox, &[&GRID[..], &half].concat()).output().unwrap();
    assert!(output.status.success() && stderr(&output).contains("nowhere"), "{}", stderr(&output));
    assert_eq!(figures(&found), figures(&rows(&sandbox, "half")));
}

#[test]
fn shards_share_one_folder() {
    let sandbox = Sandbox::new();
    succeeds(&sandbox, &[&SMALL[..], &["--shard=2/2"]].concat());
    assert_eq!(sandbox.list("runs/reproduce"), ["mnist-5-seed0"]);
    let whole = status(&sandbox, &SMALL);
    assert_eq!((&whole["cells"], &whole["done"], &whole["to_do"]), (&6.into(), &3.into(), &3.into()), "{whole}");
    assert!(whole["seconds_of_work_left"].as_f64().unwrap() > 0.0, "{whole}");
    succeeds(&sandbox, &[&SMALL[..], &["--shard=1/2"]].concat());
    as_one_process(&sandbox, "mnist");
    for shard in ["0/2", "3/2", "2", "a/b"] {
        let output = reproduce(&sandbox, &[&format!("--shard={shard}")]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("write 1/4 for the first of four"), "{}", stderr(&output));
    }
}

#[test]
fn a_cell_that_another_process_has_is_come_back_to() {
    let sandbox = Sandbox::new();
    let mut held = Held::start(&reproduce(&sandbox, &SMALL), 5);
    held.until("waiting after step");
    let running = status(&sandbox, &SMALL);
    assert_eq!((&running["running"], &running["list"][0]["state"]), (&1.into(), &"running".into()), "{running}");
    let second = std::thread::scope(|scope| {
        let second = scope.spawn(|| reproduce(&sandbox, &SMALL).output().unwrap());
        // It trains the others while it waits for that one.
        while !sandbox.path("runs/reproduce/mnist-5-seed0/1/report.json").exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let (status, said) = held.finish();
        assert!(status.success(), "{said}");
        second.join().unwrap()
    });
    assert!(second.status.success(), "{}", stderr(&second));
    as_one_process(&sandbox, "mnist");
}

#[test]
fn a_cell_that_another_process_is_about_to_begin_is_come_back_to() {
    const GRID: [&str; 3] = ["--classes=2,5", "--seeds=0", "--networks=teacher"];
    let sandbox = Sandbox::new();
    let cell = |class| sandbox.path(&format!("runs/reproduce/mnist-{class}-seed0/teacher"));
    std::fs::create_dir_all(cell(2)).unwrap();
    let lock = std::fs::File::create(cell(2).join(".lock")).unwrap();
    lock.lock().unwrap();
    let output = std::thread::scope(|scope| {
        let grid = scope.spawn(|| reproduce(&sandbox, &GRID).output().unwrap());
        while !cell(5).join("report.json").exists() && !grid.is_finished() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        lock.unlock().unwrap();
        grid.join().unwrap()
    });
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(cell(2).join("report.json").exists());
}

#[test]
fn a_cell_whose_numbers_are_at_fault_costs_no_other() {
    const GRID: [&str; 4] = ["--classes=2", "--seeds=0", "--structures=1", "--set=training.steps=50"];
    let sandbox = Sandbox::new();
    let mut held = Held::start(&reproduce(&sandbox, &GRID), 5);
    held.until("waiting after step");
    held.interrupt();
    held.finish();
    // Sums of such weights are infinite.
    let checkpoint = sandbox.path("runs/reproduce/mnist-2-seed0/teacher/checkpoint.safetensors");
    let mut state = Weights::read(&checkpoint).unwrap();
    let first = |name: &str| name.ends_with("encoder1.conv1.weight") && !name.contains("adam");
    let mut weights = state.tensors.iter_mut().filter(|(name, _)| first(name));
    weights.next().unwrap().1.values.fill(3e38);
    drop(weights);
    state.write(&checkpoint).unwrap();
    for more in [&[][..], &["--jobs=2"]] {
        let output = reproduce(&sandbox, &[&GRID[..], more].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("2 of 3 cells failed, the others are done"), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("mnist class 2 seed 0, 1: the network that it starts from failed"),
            "{}",
            stderr(&output)
        );
        let state = status(&sandbox, &GRID);
        assert_eq!((&state["done"], &state["failed"], &state["to_do"]), (&1.into(), &1.into(), &1.into()), "{state}");
        let text = succeeds(&sandbox, &[&GRID[..], &["--status"]].concat()).stdout;
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("failed   mnist class 2 seed 0, teacher") && text.contains("at step"), "{text}");
    }
}

#[test]
fn an_interrupt_after_the_last_step_of_the_last_cell_stops_the_grid() {
    const GRID: [&str; 4] = ["--classes=2", "--seeds=3", "--networks=teacher", "--quiet"];
    let sandbox = Sandbox::new();
    let mut held = Held::start(&reproduce(&sandbox, &GRID), 20);
    held.until("waiting after step 20");
    held.interrupt();
    let (status, said) = held.finish();
    assert_eq!(status.code(), Some(1), "{said}");
    let cell = |file: &str| sandbox.path(&format!("runs/reproduce/mnist-2-seed3/teacher/{file}"));
    assert!(cell("model.safetensors").exists() && !cell("report.json").exists());
    succeeds(&sandbox, &GRID);
    assert!(cell("report.json").exists());
}
