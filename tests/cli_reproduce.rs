//! `pkdgan reproduce`: grids, going on with them, and studies.

mod command;

use assert_cmd::Command;
use command::{Held, Sandbox, TINY, stderr};
use pkdgan::unstable::results::{Row, Rows};

const RESULTS: [&str; 6] = ["runs.csv", "score.csv", "score.md", "score.svg", "table.csv", "table.md"];

/// `pkdgan reproduce` of tiny networks.
fn reproduce(sandbox: &Sandbox, more: &[&str]) -> Command {
    let mut command = sandbox.pkdgan(&["reproduce", "--device=cpu", "--set=training.steps=20"]);
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
        ]
    });
    assert_eq!(keys.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    assert!(first.iter().all(|row| row.seed == 3 && row.seconds > 0.0));

    // The teacher's own cell reports it, and the others start from the same bytes.
    let report = sandbox.json("runs/reproduce/mnist-2-seed3/1+4/report.json");
    let networks: Vec<_> = report["networks"].as_array().unwrap().iter().map(|network| &network["network"]).collect();
    assert_eq!(networks, ["student-step1", "student"]);
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
    let cells = ["alone-batch-1-steps-4", "alone-batch-1-steps-8", "alone-batch-4-steps-2", "alone-batch-4-steps-4"];
    assert_eq!(sandbox.list("runs/mnist-2-seed0"), cells);
    let mut files = [&["batch-size.csv", "batch-size.md", "batch-size.svg"], &RESULTS[..]].concat();
    files.sort_unstable();
    assert_eq!(sandbox.list("tables/mnist-batch-size-student"), files);
    let text = String::from_utf8(sandbox.read("tables/mnist-batch-size-student/batch-size.md")).unwrap();
    assert!(text.contains("the statistics of each image in training and scoring at batch sizes below 4"), "{text}");
    assert!(text.contains("sees 8 images") && text.contains("for 4 steps"), "{text}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim_end(), text.trim_end());
    for (cell, statistics) in cells.iter().zip(["per-image", "per-image", "running", "running"]) {
        let path = sandbox.path(&format!("runs/mnist-2-seed0/{cell}/config.toml"));
        let config = toml::Table::try_from(pkdgan::config::Config::read(&path).unwrap()).unwrap();
        assert_eq!(config["student"]["statistics"].as_str(), Some(statistics));
    }

    let output = succeeds(&sandbox, &["--study=score", "--networks=student", "--classes=2", "--seeds=0"]);
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("# Score"));
    assert_eq!(sandbox.list("results/mnist"), RESULTS);
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
