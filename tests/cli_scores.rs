//! What images are scored by: `train --score`, `score --score`, and what says no to some kinds.

mod command;

use std::fs;
use std::path::Path;

use command::{Sandbox, TINY, stderr, textured};
use pkdgan::model::{ModelFile, ScoreKind};
use serde_json::Value;

/// A sandbox with 40 good pictures and 4 spoilt ones, and a student that was trained on the good ones into `runs`.
fn trained(more: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (folder, first, count) in [("good", 0, 40), ("new/good", 40, 4), ("new/spoilt", 44, 4)] {
        fs::create_dir_all(sandbox.path(folder)).unwrap();
        for n in first..first + count {
            let file = sandbox.path(&format!("{folder}/{n:03}.png"));
            textured(n, folder == "new/spoilt").save(file).unwrap();
        }
    }
    let mut command = sandbox.pkdgan(&["train", "--stage=student", "--images=good", "--group-by=none", "--out=run"]);
    let output = command.args(TINY).args(more).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    sandbox
}

/// The rows of `score`.
fn rows(sandbox: &Sandbox, more: &[&str]) -> Vec<Value> {
    let output = sandbox.pkdgan(&["score", "run", "new", "--format=jsonl"]).args(more).output().unwrap();
    assert!(output.status.success(), "{more:?}: {}", stderr(&output));
    output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn scores(rows: &[Value]) -> Vec<f64> {
    rows.iter().map(|row| row["score"].as_f64().unwrap()).collect()
}

/// Whether all scores are equal but for rounding.
fn close(one: &[f64], other: &[f64]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| (a - b).abs() <= 1e-3 * (1.0 + b.abs()))
}

#[test]
fn a_model_scores_by_every_kind_on_every_path() {
    let sandbox = trained(&[]);
    let model = ModelFile::read(&sandbox.path("run/model.safetensors")).unwrap();
    // Of own pictures, with some held out, by what told painted defects best; and that is not the latent distance here.
    let favoured = model.normality.as_ref().and_then(|normality| normality.favoured()).expect("own pictures");
    assert_eq!(model.score, favoured);
    assert_ne!(favoured, ScoreKind::Latent);
    let mut all = Vec::new();
    for kind in ScoreKind::ALL {
        let by = format!("--score={kind}");
        let cpu = rows(&sandbox, &[&by, "--path=cpu"]);
        assert_eq!(cpu.len(), 8);
        for row in &cpu {
            let p_value = row["p_value"].as_f64().unwrap();
            assert!(p_value > 0.0 && p_value <= 1.0, "{row}");
        }
        for path in ["op-by-op", "fused-f32"] {
            let other = rows(&sandbox, &[&by, &format!("--path={path}")]);
            assert!(close(&scores(&other), &scores(&cpu)), "{kind} on {path}: {other:?} {cpu:?}");
        }
        all.push(scores(&cpu));
    }
    assert!((1..5).all(|one| (0..one).all(|other| !close(&all[one], &all[other]))), "{all:?}");
    assert!(close(&scores(&rows(&sandbox, &[])), &all[favoured.index()]));
    assert!(close(&scores(&rows(&sandbox, &["--score=auto"])), &all[favoured.index()]));
    // A spot that no training picture has is far from the usual at its place.
    let [good, spoilt] = all[ScoreKind::Features.index()].split_at(4).into();
    let worst = good.iter().copied().fold(0.0, f64::max);
    assert!(spoilt.iter().all(|&score| score > 2.0 * worst), "{good:?} {spoilt:?}");
    // Maps need reconstructions, whatever the score.
    let mapped = rows(&sandbox, &["--score=features", "--save-maps=maps"]);
    assert!(close(&scores(&mapped), &all[ScoreKind::Features.index()]));

    // The report goes by the same score, and compares them all.
    let report = sandbox.json("run/report.json");
    assert_eq!(report["networks"][0]["score"], favoured.name());
    let detectors = report["sensitivity"]["detectors"].as_array().unwrap();
    let kinds: Vec<_> = detectors.iter().filter_map(|detector| detector["score"].as_str()).collect();
    assert_eq!(kinds, ScoreKind::ALL.map(ScoreKind::name));
    // It is the best by the mean of local defects and changes of the whole image, and more than a little better than the
    // combined score; else it is that.
    let figure = |detector: &Value, name: &str| detector[name].as_f64().unwrap();
    for detector in detectors {
        let mean = (figure(detector, "local_auroc") + figure(detector, "whole_auroc")) / 2.0;
        assert!((figure(detector, "auroc") - mean).abs() < 1e-12, "{detector}");
    }
    let area = |kind: ScoreKind| figure(detectors.iter().find(|of| of["score"] == kind.name()).unwrap(), "auroc");
    let best = ScoreKind::BASE.into_iter().max_by(|a, b| area(*a).total_cmp(&area(*b))).unwrap();
    let better = area(best) > area(ScoreKind::Combined) + 0.005;
    assert_eq!(favoured, if better { best } else { ScoreKind::Combined });

    // What computes the latent distance alone says so, and what helps.
    let export =
        |more: &[&str]| sandbox.pkdgan(&["export", "run", "--format=onnx", "--force"]).args(more).output().unwrap();
    let refused = export(&[]);
    let said = stderr(&refused);
    assert!(
        !refused.status.success() && said.contains(&format!("`{favoured}`")) && said.contains("--score latent"),
        "{said}"
    );
    assert!(export(&["--score=latent"]).status.success());
    let refused = sandbox.pkdgan(&["serve-web", "--model=run", "--port=0"]).output().unwrap();
    let said = stderr(&refused);
    assert!(!refused.status.success() && said.contains("--score latent"), "{said}");
    let half = ["export", "run", "--format=safetensors-f16", "--score=latent", "--out=half.safetensors"];
    assert!(sandbox.pkdgan(&half).output().unwrap().status.success());
    let half = ModelFile::read(&sandbox.path("half.safetensors")).unwrap();
    assert_eq!(half.score, ScoreKind::Latent);
    // It holds what its own score takes.
    assert!(half.normality.is_none());
}

#[test]
fn training_says_what_to_score_by() {
    let sandbox = trained(&["--score=neighbour"]);
    assert_eq!(ModelFile::read(&sandbox.path("run/model.safetensors")).unwrap().score, ScoreKind::Neighbour);
    assert_eq!(sandbox.json("run/report.json")["networks"][0]["score"], "neighbour");
    // The rows of the evaluation are those of `score`.
    let mut reader = csv::Reader::from_path(sandbox.path("run/scores.csv")).unwrap();
    let evaluated: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let path = evaluated[0][0].to_owned();
    let output = sandbox.pkdgan(&["score", "run", &path, "--format=jsonl", "--path=cpu"]).output().unwrap();
    let row: Value = serde_json::from_slice(&output.stdout).unwrap();
    let wanted: f64 = evaluated[0][2].parse().unwrap();
    assert!((row["score"].as_f64().unwrap() - wanted).abs() <= 1e-3 * wanted, "{row} {wanted}");

    let refused = sandbox.train("none", &["--score=features", "--calibration=0"]).output().unwrap();
    let said = stderr(&refused);
    assert!(!refused.status.success() && said.contains("scoring.score") && said.contains("held out"), "{said}");
    let refused = sandbox.train("none", &["--score=best"]).output().unwrap();
    let said = stderr(&refused);
    assert!(!refused.status.success() && said.contains("unknown score `best`"), "{said}");
}

#[test]
fn a_model_of_before_has_the_latent_distance_alone() {
    let sandbox = Sandbox::new();
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/student/model.safetensors");
    let image = sandbox.path("a.png");
    textured(0, false).save(&image).unwrap();
    for kind in ["features", "auto"] {
        let by = format!("--score={kind}");
        let arguments = ["score", old.to_str().unwrap(), "a.png", &by];
        let output = sandbox.pkdgan(&arguments).output().unwrap();
        let said = stderr(&output);
        assert!(
            !output.status.success() && said.contains("the model lacks") && said.contains("train it again"),
            "{said}"
        );
    }
    let output = sandbox.pkdgan(&["score", old.to_str().unwrap(), "a.png", "--score=latent"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_damaged_model_of_normality_is_refused() {
    let sandbox = trained(&[]);
    let path = sandbox.path("run/model.safetensors");
    let good = ModelFile::read(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    // Written again it is the same file.
    let again = sandbox.path("again.safetensors");
    good.write(&again).unwrap();
    assert_eq!(fs::read(&again).unwrap(), bytes);

    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let damaged = |change: &dyn Fn(&mut Value, &mut Vec<u8>)| {
        let (mut header, mut data) = (header.clone(), bytes[8 + length..].to_vec());
        // Without its checksum, which would catch the rest.
        header["__metadata__"].as_object_mut().unwrap().remove("sha256");
        change(&mut header, &mut data);
        let header = serde_json::to_vec(&header).unwrap();
        [&(header.len() as u64).to_le_bytes(), &header[..], &data].concat()
    };
    let refused = |what: &str, change: &dyn Fn(&mut Value, &mut Vec<u8>)| {
        let error = ModelFile::from_bytes(&damaged(change), Path::new("bad.safetensors")).unwrap_err().to_string();
        assert!(error.contains("bad.safetensors") && error.contains(what), "{what}: {error}");
    };
    assert!(ModelFile::from_bytes(&damaged(&|_, _| ()), Path::new("bad.safetensors")).is_ok());
    let number = |header: &Value, name: &str| header[name]["data_offsets"][0].as_u64().unwrap() as usize;
    for name in ["normality.latents", "normality.feature_means", "normality.feature_whitening", "normality.scores"] {
        refused(name, &|header, data| {
            let at = number(header, name);
            data[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        });
        refused(name, &|header, _| {
            let shape = header[name]["shape"].as_array_mut().unwrap();
            shape.insert(0, 1.into());
        });
    }
    refused("normality.scores", &|header, data| {
        let at = number(header, "normality.scores");
        data[at..at + 4].copy_from_slice(&(-1.0_f32).to_le_bytes());
    });
    let metadata = |key: &'static str, value: &'static str| {
        move |header: &mut Value, _: &mut Vec<u8>| header["__metadata__"][key] = value.into()
    };
    refused("scored_by", &metadata("scored_by", "luck"));
    refused("normality", &metadata("normality", "{}"));
    refused("normality", &metadata("normality", r#"{"scores":["latent"],"features":"encoder1.conv1"}"#));
    // A kind that takes more than the file has.
    let mut bare = good.clone();
    bare.normality = None;
    bare.write(&again).unwrap();
    let error = ModelFile::read(&again).unwrap_err().to_string();
    assert!(error.contains("scored_by") && error.contains("again.safetensors"), "{error}");
}
