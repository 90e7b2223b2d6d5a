//! Versions of file formats: what pkdgan 0.1 wrote is read, and what a newer one wrote is refused in plain words.
//!
//! `tests/data/format-1` was written by the program before files said their version; see its README.

mod command;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use command::{Sandbox, stderr};
use pkdgan::model::ModelFile;
use pkdgan::unstable::cache::KernelCache;
use pkdgan::unstable::engine::Measurements;
use pkdgan::unstable::run::{Score, read_scores};
use pkdgan::unstable::train::{Checkpoint, Stage};
use pkdgan::unstable::weights::{Weights, WeightsError};
use serde_json::Value;

const MODEL: &str = "run/model.safetensors";
const CHECKPOINT: &str = "run/checkpoint.safetensors";
const CONFIG: &str = "run/config.toml";
const CACHE: &str = "cache/pkdgan/kernels.json";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/format-1").join(name)
}

/// A sandbox with the old run in `run` and the old cache in the cache folder.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("run")).unwrap();
    for entry in fs::read_dir(fixture("run")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), sandbox.path("run").join(entry.file_name())).unwrap();
    }
    fs::create_dir_all(sandbox.path("cache/pkdgan")).unwrap();
    fs::copy(fixture("kernels.json"), sandbox.path(CACHE)).unwrap();
    sandbox
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    sandbox.pkdgan(arguments).output().unwrap()
}

fn succeeds(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let output = run(sandbox, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    output
}

/// Checks that a command fails, names the file, and says what to do.
fn refused(sandbox: &Sandbox, arguments: &[&str], file: &str) {
    let output = run(sandbox, arguments);
    let said = stderr(&output);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {said}");
    for part in [&format!("{file}: written by a newer pkdgan (format "), "update pkdgan"] {
        assert!(said.contains(part), "{arguments:?}: no {part:?} in {said}");
    }
}

/// Other processors round otherwise.
fn assert_close(got: &[Score], expected: &[Score]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert_eq!((got.index, got.label), (expected.index, expected.label));
        assert!((got.score - expected.score).abs() <= 1e-4 * expected.score.abs(), "{got:?}, not {expected:?}");
    }
}

/// Says in the metadata of a weight file that it has this format.
fn set_format(path: &Path, format: &str) {
    let mut weights = Weights::read(path).unwrap();
    weights.metadata.insert("format".into(), format.into());
    weights.write(path).unwrap();
}

#[test]
fn an_old_model_scores_as_it_did() {
    let sandbox = sandbox();
    let model = ModelFile::read(&sandbox.path(MODEL)).unwrap();
    assert!(model.calibration.is_some());
    succeeds(
        &sandbox,
        &["score", MODEL, "data/mnist/t10k-images-idx3-ubyte", "--output", "scores.csv", "--threshold=0"],
    );
    let mut rows = csv::Reader::from_path(sandbox.path("scores.csv")).unwrap();
    let rows: Vec<f32> = rows.records().map(|row| row.unwrap()[1].parse().unwrap()).collect();
    let expected = read_scores(&fixture("run/scores.csv")).unwrap();
    let got: Vec<Score> = rows
        .iter()
        .zip(&expected)
        .map(|(&score, &Score { index, label, .. })| Score { index, label, score, p_value: None })
        .collect();
    assert_eq!(rows.len(), expected.len());
    assert_close(&got, &expected);
    // Written again, it is of the present format.
    model.write(&sandbox.path("again.safetensors")).unwrap();
    let format = |path: &Path| Weights::read(path).unwrap().metadata["format"].clone();
    assert_eq!(format(&fixture("run/model.safetensors")), "pkdgan-ede-gan-1");
    assert_eq!(format(&sandbox.path("again.safetensors")), "pkdgan-ede-gan-4");
    assert_eq!(ModelFile::read(&sandbox.path("again.safetensors")).unwrap().metadata(), model.metadata());
}

#[test]
fn a_model_of_another_format_is_refused() {
    let sandbox = sandbox();
    let path = sandbox.path(MODEL);
    let mut weights = Weights::read(&path).unwrap();
    let format = weights.metadata.remove("format").unwrap();
    weights.write(&path).unwrap();
    let error = ModelFile::read(&path).unwrap_err().to_string();
    assert!(error.contains("no `format` in its metadata"), "{error}");
    set_format(&path, &format);
    ModelFile::read(&path).unwrap();

    for (format, message) in [
        ("pkdgan-ede-gan-x", "`x` is no version"),
        ("pkdgan-ede-gan--1", "`-1` is no version"),
        ("pkdgan-ede-gan-0", "metadata `format`: `pkdgan-ede-gan-0`"),
        ("pkdgan-checkpoint-1", "metadata `format`: `pkdgan-checkpoint-1`"),
        ("pt", "metadata `format`: `pt`"),
    ] {
        set_format(&path, format);
        let error = ModelFile::read(&path).unwrap_err();
        assert!(matches!(&error, WeightsError::Damaged { .. }) && error.to_string().contains(message), "{error}");
    }
    set_format(&path, "pkdgan-ede-gan-5");
    let images = "data/mnist/t10k-images-idx3-ubyte";
    for arguments in [
        &["score", MODEL, images][..],
        &["score", "run", images],
        &["eval", "run"],
        &["export", "run", "--format=onnx"],
        &["bench", "run"],
        &["tune", "run", "--device=gpu"],
        &["train", "--init", MODEL, "--out=new"],
        &["train", "--teacher", MODEL, "--out=new"],
        &["train", "--teacher=run", "--out=new"],
        &["serve-web", "--port=0", "--model", MODEL],
    ] {
        refused(&sandbox, arguments, MODEL);
    }
    assert!(!sandbox.path("new").exists());
}

#[test]
fn a_model_that_says_what_cannot_be_is_refused_with_the_key() {
    let sandbox = sandbox();
    let path = sandbox.path(MODEL);
    let whole = Weights::read(&path).unwrap();
    let change = |key: &str, from: &str, to: &str| {
        let mut weights = whole.clone();
        let text = weights.metadata.get_mut(key).unwrap();
        assert!(text.contains(from), "{text}");
        *text = text.replace(from, to);
        weights
    };
    let mut negative = whole.clone();
    negative.tensors.get_mut("calibration.scores").unwrap().values[0] = -0.5;
    let mapped = |size: [usize; 2], mean: f32, deviation: f32, maxima: Vec<f32>| {
        let mut weights = whole.clone();
        let places = size[0] * size[1];
        weights.insert("map.mean", &size, vec![mean; places]);
        weights.insert("map.deviation", &size, vec![deviation; places]);
        weights.insert("map.maxima", &[maxima.len()], maxima);
        weights
    };
    mapped([28, 28], 0.1, 0.1, vec![1.0, 2.0]).write(&path).unwrap();
    assert!(ModelFile::read(&path).unwrap().map_scale.is_some());
    let mut part = mapped([28, 28], 0.1, 0.1, vec![1.0]);
    part.tensors.remove("map.mean").unwrap();
    let mut variance = whole.clone();
    variance.tensors.get_mut("encoder1.conv2.norm.running_var").unwrap().values[0] = -1.0;
    let epsilon = "\"norm_epsilon\":";
    for (weights, parts) in [
        (change("architecture", epsilon, "\"norm_epsilon\":-"), ["`architecture`", "`norm_epsilon` is -"]),
        (change("architecture", epsilon, "\"norm_epsilon\":0.0,\"was\":"), ["`architecture`", "`norm_epsilon` is 0"]),
        (
            change("preprocessing", "value / 127.5 - 1", "value / 255"),
            ["`preprocessing`", "`pixels` is \"value / 255\""],
        ),
        (change("preprocessing", "centred, with -1", "top left"), ["`preprocessing`", "`padding` is \"top left\""]),
        (negative, ["`calibration.scores`", "-0.5"]),
        (variance, ["`encoder1.conv2.norm.running_var`", "-1 is no variance"]),
        (mapped([28, 28], 0.1, -0.1, vec![1.0]), ["`map.*`", "deviation is not above 0"]),
        (mapped([28, 28], 0.1, 0.0, vec![1.0]), ["`map.*`", "deviation is not above 0"]),
        (mapped([28, 28], f32::NAN, 0.1, vec![1.0]), ["`map.*`", "not finite"]),
        (mapped([28, 28], 0.1, 0.1, vec![2.0, 1.0]), ["`map.*`", "ascending"]),
        (mapped([28, 28], 0.1, 0.1, vec![]), ["`map.*`", "there is none"]),
        (mapped([28, 27], 0.1, 0.1, vec![1.0]), ["`map.mean`", "[28, 27]"]),
        (part, ["`map.mean`", ""]),
    ] {
        weights.write(&path).unwrap();
        let said = stderr(&run(&sandbox, &["score", MODEL, "data/mnist/t10k-images-idx3-ubyte"]));
        for part in parts.into_iter().chain([MODEL]) {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
    }
}

#[test]
fn a_model_of_another_class_is_not_evaluated() {
    let sandbox = sandbox();
    let config = String::from_utf8(sandbox.read(CONFIG)).unwrap();
    let normal = config.lines().find(|line| line.starts_with("normal = ")).unwrap().to_owned();
    sandbox.write(CONFIG, config.replace(&normal, "normal = 3").as_bytes());
    let output = run(&sandbox, &["eval", "run"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in [MODEL, "`data.normal` = 8", "the settings say 3"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

#[test]
fn an_old_run_is_read_and_goes_on() {
    let sandbox = sandbox();
    assert!(!String::from_utf8(sandbox.read(CONFIG)).unwrap().contains("format"));
    let output = succeeds(&sandbox, &["eval", "run", "--json", "--scores=again.csv"]);
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        (figures["auroc"].as_f64().unwrap() - sandbox.json("run/report.json")["auroc"].as_f64().unwrap()).abs() < 0.02
    );
    assert_close(&read_scores(&sandbox.path("again.csv")).unwrap(), &read_scores(&fixture("run/scores.csv")).unwrap());
    succeeds(&sandbox, &["report", "run"]);

    // From its last checkpoint, whose state is that after the last step.
    let checkpoint = Checkpoint::read(&sandbox.path(CHECKPOINT)).unwrap();
    assert_eq!(checkpoint.stage, Stage::Teacher);
    for file in ["model.safetensors", "report.json", "scores.csv"] {
        fs::remove_file(sandbox.path("run").join(file)).unwrap();
    }
    let output = succeeds(&sandbox, &["train", "--resume", "run"]);
    assert!(!stderr(&output).contains("anew"), "{}", stderr(&output));
    let tensors = |path: &Path| ModelFile::read(path).unwrap().weights.tensors;
    assert_eq!(tensors(&sandbox.path(MODEL)), tensors(&fixture("run/model.safetensors")));
}

#[test]
fn a_new_run_says_its_format() {
    let sandbox = Sandbox::new();
    sandbox.train("run", &["--steps=2", "--device=cpu"]).assert().success();
    let config = String::from_utf8(sandbox.read(CONFIG)).unwrap();
    assert!(config.starts_with("format = 1\n\n[run]\n"), "{config}");
    assert_eq!(Weights::read(&sandbox.path(MODEL)).unwrap().metadata["format"], "pkdgan-ede-gan-4");
    assert_eq!(Weights::read(&sandbox.path(CHECKPOINT)).unwrap().metadata["format"], "pkdgan-checkpoint-1");
}

#[test]
fn a_newer_run_is_refused() {
    let sandbox = sandbox();
    let old = String::from_utf8(sandbox.read(CONFIG)).unwrap();
    // What is new in it may be anything.
    sandbox.write(CONFIG, format!("format = 2\n{old}\n[dreams]\nsheep = 7\n").as_bytes());
    for file in ["report.json", "model.safetensors"] {
        sandbox.write(&format!("run/{file}"), b"of another kind");
    }
    let before = sandbox.list("run");
    for arguments in [
        &["eval", "run"][..],
        &["score", "run", "data/mnist/t10k-images-idx3-ubyte"],
        &["export", "run", "--format=onnx"],
        &["report", "run"],
        &["bench", "run"],
        &["train", "--resume", "run"],
        &["train", "--teacher=run", "--out=new"],
        &["train", "--config", CONFIG, "--out=new"],
    ] {
        refused(&sandbox, arguments, CONFIG);
    }
    assert_eq!(sandbox.list("run"), before);
    assert!(!sandbox.path("new").exists());

    for wrong in ["\"two\"", "-1", "1.5"] {
        sandbox.write(CONFIG, format!("format = {wrong}\n{old}").as_bytes());
        let said = stderr(&run(&sandbox, &["eval", "run"]));
        assert!(said.contains(CONFIG) && said.contains(&format!("`format` is {wrong}")), "{said}");
    }
    sandbox.write(CONFIG, format!("format = 1\n{old}").as_bytes());
    succeeds(&sandbox, &["train", "--config", CONFIG, "--out=new"]);
}

#[test]
fn a_newer_checkpoint_is_refused_and_stays() {
    for newer in [&["checkpoint"][..], &["checkpoint.previous"], &["checkpoint", "checkpoint.previous"]] {
        let sandbox = sandbox();
        for name in newer {
            set_format(&sandbox.path(&format!("run/{name}.safetensors")), "pkdgan-checkpoint-2");
        }
        if newer == ["checkpoint.previous"] {
            fs::remove_file(sandbox.path(CHECKPOINT)).unwrap();
        }
        for file in ["model.safetensors", "report.json", "scores.csv"] {
            fs::remove_file(sandbox.path("run").join(file)).unwrap();
        }
        let bytes = || newer.iter().map(|name| sandbox.read(&format!("run/{name}.safetensors"))).collect::<Vec<_>>();
        let before = bytes();
        refused(&sandbox, &["train", "--resume", "run"], &format!("run/{}.safetensors", newer[0]));
        assert!(bytes() == before);
        assert!(!sandbox.path(MODEL).exists());
    }
}

#[test]
fn an_old_cache_is_read_and_a_newer_one_neither_used_nor_lost() {
    let sandbox = sandbox();
    let cache = KernelCache::new(&sandbox.path("cache/pkdgan"));
    let old = cache.read();
    let list: Value = sandbox.json(CACHE);
    assert!(!list[0]["convolutions"].as_object().unwrap().is_empty());
    assert_eq!(serde_json::to_value(&old).unwrap(), list);
    cache.write(&old).unwrap();
    assert_eq!(sandbox.json(CACHE)["format"], 2);
    assert_eq!(cache.read(), old);

    let newer = br#"{"format": 3, "devices": {"by": "another key"}}"#;
    sandbox.write(CACHE, newer);
    assert_eq!(cache.read(), Measurements::default());
    let train = sandbox.train("new", &["--steps=1", "--device=gpu"]).output().unwrap();
    let said = stderr(&train);
    assert!(train.status.success(), "{said}");
    assert!(said.contains("kernels.json: written by a newer pkdgan") && said.contains("taken for empty"), "{said}");
    refused(&sandbox, &["tune", "run", "--device=gpu"], CACHE);
    // Whether the warning is seen goes by its target and level; a filter that is none counts for nothing.
    for (filter, seen) in
        [("off", false), ("error", false), ("pkdgan::cache=warn", true), ("wgpu=info", false), ("a=b", true)]
    {
        let mut train = sandbox.train("new", &["--steps=1", "--device=gpu", "--force"]);
        let said = stderr(&train.env("RUST_LOG", filter).output().unwrap());
        assert_eq!(said.contains("taken for empty"), seen, "{filter}: {said}");
    }
    assert_eq!(sandbox.read(CACHE), newer);
}
