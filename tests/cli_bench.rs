//! `pkdgan bench`: figures that a program can read.

mod command;

use std::collections::BTreeSet;

use command::{Sandbox, stderr};
use pkdgan::scoring::ScoringPath;
use pkdgan::unstable::scoring::Figure;

#[test]
fn every_path_is_measured_at_every_batch() {
    let sandbox = Sandbox::new();
    sandbox.train("run", &["--stage", "student"]).assert().success();
    let output = sandbox.pkdgan(&["bench", "run", "--quick", "--json", "--quiet", "--device=gpu"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let values: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for line in values.as_array().unwrap() {
        let keys: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["batch", "images_per_s", "median_us", "network", "p95_us", "p99_us", "path"].into());
    }
    let figures: Vec<Figure> = serde_json::from_value(values).unwrap();
    let lines: Vec<(ScoringPath, usize)> = figures.iter().map(|figure| (figure.path, figure.batch)).collect();
    let all = ScoringPath::ALL.into_iter().flat_map(|path| [1, 8, 64].map(|batch| (path, batch)));
    assert_eq!(lines, all.collect::<Vec<_>>());
    for Figure { network, batch, median_us, p95_us, p99_us, images_per_s, .. } in figures {
        assert_eq!(network, "model");
        assert!(0.0 < median_us && median_us <= p95_us && p95_us <= p99_us);
        let rate = batch as f64 / median_us * 1e6;
        assert!((rate / images_per_s - 1.0).abs() < 1e-9, "{rate} and {images_per_s}");
    }
}

#[test]
fn a_table_is_for_a_person() {
    let sandbox = Sandbox::new();
    sandbox.train("run", &["--steps=1"]).assert().success();
    let arguments = ["bench", "run/model.safetensors", "--quick", "--device", "cpu"];
    let output = sandbox.pkdgan(&arguments).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines[0].starts_with("network") && lines[1].contains(" cpu "), "{table}");
    let output = sandbox.pkdgan(&["bench", "nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("nowhere"));
}
