//! What is seen of a run while it goes.

mod command;

use std::process::Output;

use command::{Sandbox, stderr};
use serde_json::Value;

#[test]
fn progress_is_shown_on_terminals_only_unless_asked_for() {
    let sandbox = Sandbox::new();
    let output = sandbox.train("run", &["--steps=200", "--device=cpu"]).output().unwrap();
    let said = stderr(&output);
    assert!(said.contains("device: ") && said.contains("written: run"), "{said}");
    assert!(!said.contains("/s, ") && !said.contains('\r'), "{said}");
    // No advice to do what is done.
    assert!(!said.contains("`--device cpu`"), "{said}");
    let output = sandbox.train("again", &["--quiet"]).output().unwrap();
    let said = stderr(&output);
    assert!(said.lines().all(|line| line.starts_with("warning: ")), "{said}");
}

#[test]
fn machines_hear_of_every_stage() {
    let sandbox = Sandbox::new();
    let arguments = ["--stage=all", "--progress=json", "--evaluate-every=10", "--json"];
    let output = sandbox.train("run", &arguments).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    let (events, others): (Vec<_>, Vec<_>) = said.lines().partition(|line| line.starts_with('{'));
    assert!(others.iter().all(|line| line.starts_with("warning: ")), "{others:?}");
    let events: Vec<Value> = events.into_iter().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let of = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();

    let begun: Vec<_> = of("begin").iter().map(|event| (event["stage"].clone(), event["steps"].clone())).collect();
    assert_eq!(
        begun,
        [("teacher", 20), ("step1", 10), ("step2", 8)].map(|(stage, steps)| (stage.into(), steps.into()))
    );
    for stage in ["teacher", "step1", "step2"] {
        let steps: Vec<_> = of("step").into_iter().filter(|event| event["stage"] == stage).collect();
        let last = steps.last().unwrap();
        assert_eq!(last["step"], last["steps"], "{last}");
        assert!(last["steps_per_second"].as_f64().unwrap() > 0.0 && last["seconds_left"] == 0.0, "{last}");
        assert!(last["losses"].as_object().unwrap().values().all(|loss| loss.as_f64().unwrap().is_finite()), "{last}");
    }
    let first = of("first_step");
    assert_eq!((first.len(), &first[0]["stage"], &first[0]["step"]), (1, &"teacher".into(), &1.into()));
    assert!(first[0]["seconds"].as_f64().unwrap() > 0.0, "{}", first[0]);
    let evaluations: Vec<_> =
        of("evaluation").iter().map(|event| (event["stage"].clone(), event["step"].clone())).collect();
    assert_eq!(
        evaluations,
        [("teacher", 10), ("teacher", 20), ("step1", 10)].map(|(stage, step)| (stage.into(), step.into()))
    );
    assert_eq!(of("scoring").last().unwrap()["image"], 30);
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["folder"]), (&"done".into(), &"run".into()));
    // stdout is the report's alone.
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["auroc"], last["auroc"]);
}

#[test]
fn evaluations_on_the_way_are_logged_and_change_nothing() {
    let sandbox = Sandbox::new();
    let arguments = ["--stage=all", "--steps=130", "--seed=4"];
    sandbox.train("without", &arguments).assert().success();
    sandbox.train("with", &[&arguments[..], &["--evaluate-every=30"]].concat()).assert().success();
    for file in ["teacher.safetensors", "model.safetensors", "scores.csv"] {
        let [without, with] = ["without", "with"].map(|run| sandbox.read(&format!("{run}/{file}")));
        assert!(without == with, "{file} differs");
    }
    let log = String::from_utf8(sandbox.read("with/metrics.jsonl")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let evaluations: Vec<_> = lines.iter().filter(|line| line.get("auroc").is_some()).collect();
    // Stages of fewer steps have none.
    assert_eq!(evaluations.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(), [30, 60, 90, 120]);
    assert!(
        evaluations
            .iter()
            .all(|line| line["stage"] == "teacher" && (0.0..=1.0).contains(&line["auroc"].as_f64().unwrap()))
    );

    // After the last step a periodic evaluation sees what the evaluation does: so few images are all looked at.
    sandbox.train("end", &["--steps=60", "--evaluate-every=30"]).assert().success();
    let log = String::from_utf8(sandbox.read("end/metrics.jsonl")).unwrap();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["auroc"], sandbox.json("end/report.json")["auroc"]);

    let output = sandbox.train("none", &["--evaluate-every=0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn training_begins_with_an_estimate_of_all_stages() {
    let sandbox = Sandbox::new();
    let arguments = ["--stage=all", "--steps=300", "--device=cpu"];
    let json = [&arguments[..], &["--progress=json", "--checkpoint-every=100"]].concat();
    let events = |output: &Output| -> Vec<Value> {
        stderr(output).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let place = |events: &[Value], name: &str| events.iter().position(|event| event["event"] == name);
    let output = sandbox.train("run", &json).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let told = events(&output);
    let estimate = place(&told, "estimate").unwrap_or_else(|| panic!("no estimate: {}", stderr(&output)));
    assert!(estimate < place(&told, "begin").unwrap());
    let stages = told[estimate]["stages"].as_array().unwrap();
    let names: Vec<_> = stages.iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    assert_eq!(names, ["teacher", "step1", "step2"]);
    let seconds = |told: &Value| told["seconds"].as_f64().unwrap();
    assert!(stages.iter().all(|stage| seconds(stage) > 0.0));
    let sum: f64 = stages.iter().map(seconds).sum();
    assert!((sum - seconds(&told[estimate])).abs() < 1e-6 * sum, "{}", told[estimate]);

    // It changes no result; who wants to hear nothing does not wait for it.
    let quiet = sandbox.train("quiet", &[&arguments[..], &["--quiet"]].concat()).output().unwrap();
    assert!(quiet.status.success() && !stderr(&quiet).contains("training will take"), "{}", stderr(&quiet));
    for file in ["teacher.safetensors", "model.safetensors", "scores.csv"] {
        let [run, quiet] = ["run", "quiet"].map(|run| sandbox.read(&format!("{run}/{file}")));
        assert!(run == quiet, "{file} differs");
    }

    // On resume it is about what is left.
    for file in ["model.safetensors", "teacher-joint.safetensors", "student-step1.safetensors", "report.json"] {
        let _ = std::fs::remove_file(sandbox.path(&format!("run/{file}")));
    }
    let output = sandbox.pkdgan(&["train", "--resume", "run", "--device=cpu"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    // Few steps are left.
    assert!(!stderr(&output).contains("training will take"), "{}", stderr(&output));
    let output = sandbox.train("said", &arguments).output().unwrap();
    let said = stderr(&output);
    assert!(said.contains("training will take about ") && said.contains(" (teacher "), "{said}");
}
