//! Files of a version that had other names for some settings: they load, and mean the same.
//!
//! `tests/fixtures/before-renames/` holds the `config.toml` and the student of a short run by that version.

mod command;

use std::path::Path;

use command::{Sandbox, stderr};
use pkdgan::config::{Config, ConfigError, EvalSplit, Recipe};
use pkdgan::model::ModelFile;
use pkdgan::unstable::config::resolve;

const CONFIG: &str = "tests/fixtures/before-renames/config.toml";

/// Old and new key, with a value that is not the default.
const KEYS: [(&str, &str, &str); 3] = [
    ("data.judge", "data.eval_split", "validation"),
    ("distillation.ask_once", "distillation.precompute_teacher_outputs", "false"),
    ("distillation.weights.latent_again", "distillation.weights.reconstruction_latent", "12.5"),
];

#[test]
fn a_configuration_loads() {
    let config = Config::read(Path::new(CONFIG)).unwrap();
    assert_eq!(config.data.eval_split, EvalSplit::Validation);
    assert!(!config.distillation.precompute_teacher_outputs);
    assert_eq!(config.distillation.weights.reconstruction_latent, 12.5);
    // Over a recipe it is the same.
    assert_eq!(resolve(Recipe::Default, Some(Path::new(CONFIG)), &[]).unwrap(), config);
    // By itself, too, without the layers.
    let text = std::fs::read_to_string(CONFIG).unwrap();
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
    // It is written under the present names.
    let written = config.to_toml().unwrap();
    for (old, new, _) in KEYS {
        let line = |key: &str| format!("\n{} = ", key.rsplit('.').next().unwrap());
        assert!(written.contains(&line(new)) && !written.contains(&line(old)), "{written}");
    }
}

#[test]
fn settings_that_were_added_since_may_be_absent() {
    let own = ["data.dataset=images", "data.images.folder=/photos"].map(str::to_owned);
    let config = resolve(Recipe::Default, None, &own).unwrap();
    let mut table = toml::Table::try_from(&config).unwrap();
    let mut remove = |section: &[&str], key: &str| {
        let section = section.iter().fold(&mut table, |table, name| table[*name].as_table_mut().unwrap());
        section.remove(key).unwrap_or_else(|| panic!("no {key}"));
    };
    remove(&["data", "images"], "cross_file_systems");
    remove(&["training"], "augmentation");
    remove(&["training"], "pseudo_anomalies");
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, toml::to_string(&table).unwrap()).unwrap();
    assert_eq!(Config::read(&path).unwrap(), config);
}

#[test]
fn each_old_key_sets_what_the_new_one_sets() {
    for (old, new, value) in KEYS {
        let set = |key: &str| resolve(Recipe::Default, None, &[format!("{key}={value}")]).unwrap();
        assert_eq!(set(old), set(new), "{old}");
        assert_ne!(set(old), resolve(Recipe::Default, None, &[]).unwrap(), "{old}");
    }
}

#[test]
fn a_file_with_both_keys_is_refused() {
    let sandbox = Sandbox::new();
    let text = std::fs::read_to_string(CONFIG).unwrap();
    for (old, new, value) in KEYS {
        let value =
            if value.parse::<f64>().is_ok() || value == "false" { value.into() } else { format!("\"{value}\"") };
        let [old, new] = [old, new].map(|key| key.rsplit('.').next().unwrap());
        let both = text.replace(&format!("\n{old} = "), &format!("\n{new} = {value}\n{old} = "));
        assert_ne!(both, text);
        sandbox.write("both.toml", both.as_bytes());
        let refused = Config::read(&sandbox.path("both.toml")).unwrap_err();
        assert!(matches!(&refused, ConfigError::UnknownKey { key, .. } if key.ends_with(old)), "{refused}");
    }
}

#[test]
fn a_model_scores_as_it_did() {
    let sandbox = Sandbox::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = |name: &str| root.join(name).display().to_string();
    let [model, first, second] =
        ["tests/fixtures/before-renames/model.safetensors", "web/samples/8.png", "web/samples/0.png"].map(path);
    let output = sandbox.pkdgan(&["score", &model, &first, &second, "--device=cpu"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let calibration = ModelFile::read(Path::new(&model)).unwrap().calibration.unwrap();
    // What that version printed, and p-values since scores that paths round apart are equal.
    let printed = [(2.783_505_4, 0.459_016_4, 0.508_196_7), (2.726_602_3, 0.540_983_6, 0.567_623)];
    for (row, (score, exact, p_value)) in rows.iter().zip(printed) {
        let [found, found_p] = [1, 2].map(|column| row[column].parse::<f64>().unwrap());
        assert!((found - score).abs() < 1e-4 && (found_p - p_value).abs() < 1e-6, "{text}");
        let scores = calibration.scores();
        let at_least = scores.iter().filter(|&&other| f64::from(other) >= found).count();
        let counted = (1 + at_least) as f64 / (scores.len() + 1) as f64;
        assert!((counted - exact).abs() < 1e-6, "{counted}");
    }
    assert_eq!(rows.len(), 2, "{text}");
}
