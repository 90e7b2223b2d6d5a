//! What a model file says of itself, and that PyTorch rebuilds a model by it, with the code in `docs/model-files.md`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pkdgan::config::{LatentConstraint, Statistics};
use pkdgan::model::{ModelFile, WeightsError};
use pkdgan::scoring::{Detector, DetectorOptions, ScoringPath};
use pkdgan::unstable::weights::Weights;
use serde_json::{Value, json};
use tempfile::TempDir;

fn student() -> ModelFile {
    ModelFile::read(Path::new("tests/data/student/model.safetensors")).unwrap()
}

/// The student in a file of the present format.
fn written() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    student().write(&path).unwrap();
    (folder, path)
}

#[test]
fn the_metadata_describe_every_layer_and_the_score() {
    let (_folder, path) = written();
    let metadata = Weights::read(&path).unwrap().metadata;
    assert_eq!(metadata["format"], "pkdgan-ede-gan-4");
    let said = |key: &str| serde_json::from_str::<Value>(&metadata[key]).unwrap();
    let expected = json!({
        "layer": ["name", "kind", "stride", "padding", "norm", "activation", "slope"],
        "encoder": [
            ["conv1", "conv", 4, 0, false, "leaky_relu", 0.2],
            ["conv2", "conv", 2, 0, true, "leaky_relu", 0.2],
            ["conv3", "conv", 1, 0, false, "none"],
        ],
        "decoder": [
            ["deconv1", "conv_transpose", 1, 0, true, "relu"],
            ["deconv2", "conv_transpose", 2, 0, true, "relu"],
            ["deconv3", "conv_transpose", 4, 0, false, "tanh"],
        ],
        "discriminator": [
            ["conv1", "conv", 2, 1, false, "leaky_relu", 0.2],
            ["conv2", "conv", 2, 1, true, "leaky_relu", 0.2],
            ["conv3", "conv", 2, 1, true, "leaky_relu", 0.2],
            ["conv4", "conv", 1, 0, false, "none"],
        ],
    });
    assert_eq!(said("networks"), expected);
    assert_eq!(said("score")["z1"], "unit_rms(encoder1(x))");
    assert_eq!(said("score")["score"], "sqrt(sum((z1 - z2)^2))");
    assert_eq!(said("score")["least_norm"], 1e-6);
    let p_value = "(1 + count(max(1.01 * c, c + 0.005) >= score)) / (1 + count(c)), c = calibration.scores";
    assert_eq!(said("score")["p_value"], p_value);
}

#[test]
fn what_holds_latent_vectors_is_said_and_read_back() {
    let (_folder, path) = written();
    let mut model = student();
    for (constraint, last) in [(LatentConstraint::Tanh, "tanh"), (LatentConstraint::None, "none")] {
        model.architecture.latent_constraint = constraint;
        model.write(&path).unwrap();
        let metadata = Weights::read(&path).unwrap().metadata;
        let said = |key: &str| serde_json::from_str::<Value>(&metadata[key]).unwrap();
        assert_eq!(said("architecture")["latent_constraint"], constraint.name());
        assert_eq!(said("networks")["encoder"][2], json!(["conv3", "conv", 1, 0, false, last]));
        assert_eq!(said("score")["z1"], "encoder1(x)");
        assert_eq!(said("score")["unit_rms"], Value::Null);
        assert_eq!(ModelFile::read(&path).unwrap().architecture.latent_constraint, constraint);
    }
    // The usual one goes without saying: earlier programs read the file too.
    model.architecture.latent_constraint = LatentConstraint::UnitRms;
    model.write(&path).unwrap();
    assert!(!Weights::read(&path).unwrap().metadata["architecture"].contains("constraint"));
}

#[test]
fn version_2_says_that_scores_are_compared_exactly() {
    let (_folder, path) = written();
    let mut weights = Weights::read(&path).unwrap();
    weights.metadata.insert("format".into(), "pkdgan-ede-gan-2".into());
    let mut score: Value = serde_json::from_str(&weights.metadata["score"]).unwrap();
    let score = score.as_object_mut().unwrap();
    let text = "(1 + count(calibration.scores >= score)) / (1 + count(calibration.scores))";
    score.insert("p_value".into(), text.into());
    weights.metadata.insert("score".into(), json!(score).to_string());
    weights.write(&path).unwrap();
    let read = ModelFile::read(&path).unwrap();
    assert_eq!(read.weights.tensors, student().weights.tensors);
    // Version 3 says more.
    weights.metadata.insert("format".into(), "pkdgan-ede-gan-3".into());
    weights.write(&path).unwrap();
    assert!(ModelFile::read(&path).unwrap_err().to_string().contains("`score.p_value`"));
}

#[test]
fn what_a_file_says_is_believed_or_refused_by_name() {
    let (_folder, path) = written();
    let refused = |change: &dyn Fn(&mut Weights), part: &str| {
        let mut weights = Weights::read(&path).unwrap();
        change(&mut weights);
        let changed = path.with_file_name("changed.safetensors");
        weights.write(&changed).unwrap();
        let error = ModelFile::read(&changed).unwrap_err();
        assert!(matches!(error, WeightsError::Damaged { .. }) && error.to_string().contains(part), "{error}");
    };
    let replace = |key: &'static str, old: &'static str, new: &'static str| {
        move |weights: &mut Weights| {
            let text = weights.metadata.get_mut(key).unwrap();
            assert!(text.contains(old), "{text}");
            *text = text.replacen(old, new, 1);
        }
    };
    refused(&replace("networks", "0.2", "0.01"), "`networks.discriminator.0.6` is 0.01, and this program computes 0.2");
    refused(&replace("networks", "\"tanh\"", "\"sigmoid\""), "`networks.decoder.2.5` is \"sigmoid\"");
    refused(&replace("score", "unit_rms(encoder1(x))", "encoder1(x)"), "`score.z1` is \"encoder1(x)\"");
    refused(&replace("score", "(z1 - z2)^2", "abs(z1 - z2)"), "`score.score` is");
    for key in ["networks", "score"] {
        refused(
            &|weights| {
                weights.metadata.remove(key).unwrap();
            },
            &format!("no `{key}`"),
        );
    }
    // Of the first version, nothing need be said; what is said holds there too.
    let first = |weights: &mut Weights| {
        weights.metadata.insert("format".into(), "pkdgan-ede-gan-1".into());
    };
    refused(
        &|weights| {
            first(weights);
            replace("networks", "\"relu\"", "\"none\"")(weights);
        },
        "`networks.decoder.0.5`",
    );
    let mut weights = Weights::read(&path).unwrap();
    first(&mut weights);
    weights.metadata.retain(|key, _| !["networks", "score"].contains(&key.as_str()));
    weights.write(&path).unwrap();
    assert_eq!(ModelFile::read(&path).unwrap().metadata(), student().metadata());
}

#[test]
fn a_model_whose_layers_do_not_fit_is_written_and_not_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut model = student();
    model.architecture.encoder[0].stride = 0;
    model.write(&path).unwrap();
    let error = ModelFile::read(&path).unwrap_err().to_string();
    assert!(error.contains("metadata `architecture`: [8, 4, 0, 0] on 32 x 32 pixels"), "{error}");
}

/// Bytes of pictures of 28 x 28 pixels: discs of several places and sizes.
fn pictures(count: usize) -> Vec<u8> {
    let pixel = |n: usize, y: usize, x: usize| {
        let distance = (y.abs_diff(8 + n % 11)).pow(2) + (x.abs_diff(9 + n % 7)).pow(2);
        255_usize.saturating_sub((2 + n % 5) * distance) as u8
    };
    (0..count).flat_map(|n| (0..28 * 28).map(move |place| pixel(n, place / 28, place % 28))).collect()
}

#[test]
#[ignore = "takes a Python with torch and safetensors, named by PKDGAN_PYTHON (python3 otherwise)"]
fn the_documented_code_scores_as_this_program() {
    const COUNT: usize = 40;
    let page = fs::read_to_string("docs/model-files.md").unwrap();
    let code = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let script = format!(
        "{code}\n\nimport sys\npixels = torch.frombuffer(bytearray(open(sys.argv[2], 'rb').read()), dtype=torch.uint8)\n\
         print(json.dumps(Model(sys.argv[1]).score(pixels.reshape(-1, 1, 28, 28).float()).tolist()))\n"
    );
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let bytes = pictures(COUNT);
    fs::write(path("script.py"), script).unwrap();
    fs::write(path("pixels"), &bytes).unwrap();

    let mut padded = Vec::new();
    for picture in bytes.chunks(28 * 28) {
        let mut square = vec![-1.0; 32 * 32];
        for (y, row) in picture.chunks(28).enumerate() {
            for (x, &value) in row.iter().enumerate() {
                square[(y + 2) * 32 + x + 2] = f32::from(value) / 127.5 - 1.0;
            }
        }
        padded.extend(square);
    }
    for (statistics, constraint) in [
        (Statistics::Running, LatentConstraint::UnitRms),
        (Statistics::PerImage, LatentConstraint::UnitRms),
        (Statistics::Running, LatentConstraint::Tanh),
        (Statistics::Running, LatentConstraint::None),
    ] {
        let mut model = student().statistics(statistics);
        model.architecture.latent_constraint = constraint;
        model.write(&path("model.safetensors")).unwrap();
        let python = std::env::var_os("PKDGAN_PYTHON").unwrap_or_else(|| "python3".into());
        let mut command = Command::new(python);
        let output =
            command.arg(path("script.py")).arg(path("model.safetensors")).arg(path("pixels")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs: Vec<f32> = serde_json::from_slice(&output.stdout).unwrap();
        let options = DetectorOptions::default().path(ScoringPath::Cpu);
        let ours = Detector::choose(&model, COUNT, &options).unwrap().0.score(&padded).unwrap();
        assert_eq!(theirs.len(), COUNT);
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((ours - theirs).abs() <= 1e-4 * ours.abs(), "{statistics:?}: {ours} here, {theirs} in PyTorch");
        }
        let spread =
            ours.iter().fold(0_f32, |most, score| most.max(*score)) / ours.iter().fold(f32::MAX, |a, &b| a.min(b));
        assert!(spread > 1.1, "scores that hardly differ say little");
    }
}
