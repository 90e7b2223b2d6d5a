//! One process at a time works on a run.

mod command;

use std::fs;

use command::{Held, Sandbox, TINY, stderr};
use pkdgan::unstable::run::{RunError, RunFile, RunFolder};

#[test]
fn a_second_process_is_refused_with_the_first_ones_id_until_that_is_dead() {
    let sandbox = Sandbox::new();
    let mut first = Held::start(&sandbox.train("run", &["--checkpoint-every=5"]), 5);
    first.wait_until(|| true);
    let other = sandbox.train("run", &[]).args(["--force"]).get_args().map(|a| a.to_owned()).collect::<Vec<_>>();
    let again = sandbox.train("run", &[]).get_args().map(|a| a.to_owned()).collect::<Vec<_>>();
    for arguments in [vec!["train".into(), "--resume".into(), "run".into()], other, again] {
        let output = sandbox.pkdgan(&[]).args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let expected = format!("run: process {} is at work on this run", first.id());
        assert!(stderr(&output).contains(&expected), "{arguments:?}: {}", stderr(&output));
    }
    let id = first.id();
    first.kill();
    // Its lock file is still there, with its id.
    let left = fs::read_to_string(sandbox.path("run/.lock")).unwrap();
    assert_eq!(left.trim(), id.to_string());
    RunFolder::resume(&sandbox.path("run")).unwrap();
}

#[test]
fn who_only_reads_is_not_refused() {
    let sandbox = Sandbox::new();
    sandbox.train("run", &[]).assert().success();
    let held = RunFolder::resume(&sandbox.path("run")).unwrap();
    sandbox.pkdgan(&["eval", "run"]).assert().success();
    let me = std::process::id();
    assert!(matches!(RunFolder::resume(held.path()), Err(RunError::InUse { process: Some(id), .. }) if id == me));
    drop(held);
    // The id of a living process that has no lock is nothing: 1 is always there.
    fs::write(sandbox.path("run/.lock"), "1\n").unwrap();
    sandbox.pkdgan(&["train", "--resume", "run"]).assert().success();
}

#[test]
fn a_cell_that_another_process_works_on_is_waited_for() {
    let sandbox = Sandbox::new();
    let cell = "runs/reproduce/mnist-2-seed3/teacher";
    let held = RunFolder::create(&sandbox.path(cell), false).unwrap();
    let reproduce = || {
        let mut command = sandbox.pkdgan(&["reproduce", "--classes=2", "--seeds=3", "--networks=teacher"]);
        command.args(&TINY[..10]).args(["--set=training.steps=5", "--set=training.batch_size=2"]);
        command
    };
    let mut waiting = Held::start(&reproduce(), 1_000);
    waiting.until("waiting for 1 cell that other processes are at work on");
    assert!(!sandbox.path(cell).join("config.toml").exists());
    drop(held);
    let (status, said) = waiting.finish();
    assert!(status.success(), "{said}");
    assert!(sandbox.path(cell).join("report.json").exists());
}

#[test]
fn what_a_killed_process_left_goes() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("run");
    drop(RunFolder::create(&path, false).unwrap());
    // A beginning that was cut short, before there was a configuration: the same command begins again.
    for file in [RunFile::Teacher, RunFile::Metrics] {
        fs::write(path.join(file.name()), "cut short").unwrap();
    }
    fs::write(path.join(".partial-abc"), "cut short").unwrap();
    assert!(matches!(RunFolder::resume(&path), Err(RunError::Incomplete { .. })));
    drop(RunFolder::create(&path, false).unwrap());
    assert!(sandbox.list("run").is_empty());
    // But not what is somebody's own.
    fs::write(path.join("teacher.txt"), "mine").unwrap();
    assert!(matches!(RunFolder::create(&path, false), Err(RunError::NotEmpty(_))));
    fs::remove_file(path.join("teacher.txt")).unwrap();
    fs::remove_file(path.join(".lock")).unwrap();
    fs::write(path.join("teacher.safetensors"), "mine, never a run's").unwrap();
    assert!(matches!(RunFolder::create(&path, false), Err(RunError::NotEmpty(_))));
    assert_eq!(sandbox.read("run/teacher.safetensors"), b"mine, never a run's");

    sandbox.train("whole", &[]).assert().success();
    fs::write(sandbox.path("whole/.partial-abc"), "cut short").unwrap();
    drop(RunFolder::resume(&sandbox.path("whole")).unwrap());
    assert!(!sandbox.list("whole").contains(&".partial-abc".to_owned()));
}
