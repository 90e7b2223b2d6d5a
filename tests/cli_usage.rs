//! What the binary says: help, tables, and clear refusals that leave nothing behind.

mod command;

use command::{Sandbox, images, labels, stderr};
use pkdgan::unstable::version;
use pkdgan::unstable::weights::Weights;

/// Runs a training that must fail with this code, name each of these on stderr, and write nothing.
fn refused(sandbox: &Sandbox, more: &[&str], code: i32, named: &[&str]) {
    let output = sandbox.train("out/run", more).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{more:?}: {said}");
    for name in named {
        assert!(said.contains(name), "{more:?} should name `{name}`: {said}");
    }
    assert!(sandbox.list("out").is_empty(), "{more:?} left {:?}", sandbox.list("out"));
}

#[test]
fn broken_data_files_are_named() {
    const TRAIN_IMAGES: &str = "data/mnist/train-images-idx3-ubyte";
    const TRAIN_LABELS: &str = "data/mnist/train-labels-idx1-ubyte";
    let cases: [(&str, Vec<u8>); 5] = [
        (TRAIN_IMAGES, images(40)[..2_000].to_vec()),
        (TRAIN_IMAGES, [images(40), vec![0; 3]].concat()),
        (TRAIN_IMAGES, labels(40)),
        (TRAIN_LABELS, labels(39)),
        (TRAIN_LABELS, [&labels(40)[..47], &[12]].concat()),
    ];
    for (file, bytes) in cases {
        let sandbox = Sandbox::new();
        sandbox.write(file, &bytes);
        refused(&sandbox, &[], 1, &[file]);
    }
    let sandbox = Sandbox::new();
    refused(
        &sandbox,
        &["--data-dir", "elsewhere"],
        1,
        &["elsewhere/mnist/train-images-idx3-ubyte", "pkdgan data fetch mnist"],
    );
}

#[test]
fn settings_that_cannot_be_are_usage_errors() {
    let sandbox = Sandbox::new();
    refused(&sandbox, &["--normal", "11"], 2, &["data.normal", "0 to 9"]);
    refused(&sandbox, &["--set", "training.learning_rat=1"], 2, &["training.learning_rate"]);
    refused(&sandbox, &["--steps", "0"], 2, &["training.steps"]);
    refused(&sandbox, &["--recipe", "cake"], 2, &["default", "paper"]);
    refused(&sandbox, &["--no-such-flag"], 2, &["--no-such-flag"]);
    refused(&sandbox, &["--device", "cpu", "--adapter", "0"], 2, &["--adapter"]);
    refused(&sandbox, &["--resume", "out/run"], 2, &["--resume"]);
    sandbox.write("settings.toml", b"[training]\nsede = 1\n");
    refused(&sandbox, &["--config", "settings.toml"], 2, &["settings.toml", "seed"]);
}

#[test]
fn the_version_tells_builds_apart() {
    let output = Sandbox::new().pkdgan(&["--version"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let build = said.strip_prefix(&format!("pkdgan {} (", env!("CARGO_PKG_VERSION")));
    let build = build.and_then(|rest| rest.strip_suffix(")\n")).unwrap_or_else(|| panic!("{said}"));
    assert_eq!(build, version::BUILD);
    // The tests are built in a repository.
    let commit = build.trim_end_matches("-modified");
    assert!(commit.len() >= 12 && commit.chars().all(|c| c.is_ascii_hexdigit()), "{build}");
}

#[test]
fn a_class_without_images_is_refused() {
    let sandbox = Sandbox::new();
    let few = |label: u8| if label == 8 { 7 } else { label };
    let mut bytes = labels(40);
    bytes[8..].iter_mut().for_each(|label| *label = few(*label));
    sandbox.write("data/mnist/train-labels-idx1-ubyte", &bytes);
    refused(&sandbox, &[], 1, &["class 8"]);
}

#[test]
fn foreign_weights_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("w.safetensors", b"not weights");
    refused(&sandbox, &["--init", "w.safetensors"], 1, &["w.safetensors"]);
    refused(&sandbox, &["--init", "missing.safetensors"], 1, &["missing.safetensors"]);
    // A good file of another network.
    sandbox.train("other", &["--set=network.latents=9", "--steps=1"]).assert().success();
    refused(&sandbox, &["--init", "other/model.safetensors"], 2, &["other/model.safetensors", "`network.latents` = 9"]);
    // The same without what describes it.
    let mut bare = Weights::read(&sandbox.path("other/model.safetensors")).unwrap();
    bare.metadata.clear();
    bare.write(&sandbox.path("bare.safetensors")).unwrap();
    refused(&sandbox, &["--init", "bare.safetensors"], 1, &["bare.safetensors", "encoder1.conv4.weight"]);
    let whole = sandbox.read("other/model.safetensors");
    sandbox.write("cut.safetensors", &whole[..whole.len() - 5]);
    refused(&sandbox, &["--init", "cut.safetensors", "--set=network.latents=9"], 1, &["cut.safetensors"]);
}

#[test]
fn an_unknown_adapter_is_answered_with_those_there_are() {
    let sandbox = Sandbox::new();
    refused(&sandbox, &["--adapter", "no such card"], 1, &["no such card", "pkdgan devices"]);
    refused(&sandbox, &["--adapter", "99"], 1, &["99", "pkdgan devices"]);
    refused(&sandbox, &["--adapter", "0", "--adapter", "0"], 2, &["`score` and `reproduce` share out"]);
}

#[test]
fn a_run_folder_is_not_overwritten_unasked() {
    let sandbox = Sandbox::new();
    sandbox.train("run", &["--steps=2"]).assert().success();
    let before = sandbox.read("run/report.json");
    let output = sandbox.train("run", &["--steps=3"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--force"), "{}", stderr(&output));
    assert_eq!(sandbox.read("run/report.json"), before);
    sandbox.train("run", &["--steps=3", "--force"]).assert().success();
    assert_eq!(sandbox.json("run/report.json")["steps"], 3);

    sandbox.write("file", b"");
    let output = sandbox.train("file/run", &["--steps=2"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("file/run"), "{}", stderr(&output));
}

#[test]
fn a_folder_that_is_no_run_is_refused() {
    let sandbox = Sandbox::new();
    for (arguments, named) in [
        (&["eval", "nowhere"][..], "nowhere"),
        (&["eval", "data"], "config.toml"),
        (&["train", "--resume", "data"], "config.toml"),
    ] {
        let output = sandbox.pkdgan(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains(named), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn model_counts_the_published_figures() {
    let sandbox = Sandbox::new();
    let output = sandbox.pkdgan(&["model", "--json"]).output().unwrap();
    assert!(output.status.success());
    let model: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let networks = model["networks"].as_array().unwrap();
    let names: Vec<&str> = networks.iter().map(|network| network["name"].as_str().unwrap()).collect();
    let of = |label: &str| ["encoder1", "decoder", "encoder2", "discriminator"].map(|name| format!("{label}.{name}"));
    assert_eq!(names, [of("teacher"), of("student")].concat());
    let macs = |index: usize| networks[index]["macs"].as_u64().unwrap();
    // 16x16x48x16 + 8x8x96x48x16 + 4x4x192x96x16 + 48x192x16; the decoder mirrors it.
    let encoder = 196_608 + 4_718_592 + 4_718_592 + 147_456;
    assert_eq!([macs(0), macs(1), macs(2)], [encoder; 3]);
    for network in networks {
        let layers = network["layers"].as_array().unwrap();
        let sum: u64 = layers.iter().map(|layer| layer["macs"].as_u64().unwrap()).sum();
        assert_eq!(network["macs"].as_u64(), Some(sum));
    }
    let ratio = model["ratios"]["teacher_to_student_macs"].as_f64().unwrap();
    assert!((ratio - 29_343_744.0 / 70_656.0).abs() < 1e-6, "{ratio}");
    let table = sandbox.pkdgan(&["model"]).output().unwrap();
    assert!(String::from_utf8(table.stdout).unwrap().contains("29.34 M multiply-accumulates"));
    let table = sandbox.pkdgan(&["model", "--dataset", "cifar-10"]).output().unwrap();
    assert!(String::from_utf8(table.stdout).unwrap().contains("26.73:1"));
}

#[test]
fn devices_lists_adapters() {
    let sandbox = Sandbox::new();
    let output = sandbox.pkdgan(&["devices"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("0  "));
    let output = sandbox.pkdgan(&["devices", "--json"]).output().unwrap();
    let adapters: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(adapters[0]["name"].is_string() && adapters[0]["backend"].is_string());
    // Every WebGPU adapter allows as much.
    assert!(adapters[0]["limits"]["maxComputeInvocationsPerWorkgroup"].as_u64().unwrap() >= 256);
    assert!(adapters[0]["features"].is_array());
}

#[test]
fn a_report_says_what_a_maintainer_asks() {
    let sandbox = Sandbox::new();
    let report = |arguments: &[&str]| {
        let mut command = sandbox.pkdgan(arguments);
        let output = command.env("RAYON_NUM_THREADS", "2").env("A_SECRET", "hidden").output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = report(&["devices", "--report"]);
    assert!(text.starts_with(&format!("pkdgan {} (", env!("CARGO_PKG_VERSION"))), "{text}");
    for part in
        ["system: ", "cpu: CPU executor, 2 threads", "RAYON_NUM_THREADS=2", "0  ", "maxBufferSize: ", "features: "]
    {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert!(text.contains("trial: as expected"), "{text}");
    assert!(!text.contains("hidden"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&report(&["devices", "--report", "--json"])).unwrap();
    let trial = &json["adapters"][0]["trial"]["computed"];
    assert_eq!(trial["as_expected"], true, "{json:#}");
    assert!(trial["difference"].as_f64().unwrap() < 1e-4, "{json:#}");
    // Another driver's file that leads nowhere is said, not fatal.
    let mut command = sandbox.pkdgan(&["devices", "--report"]);
    let output =
        command.env("VK_DRIVER_FILES", "/nowhere.json").env("VK_ICD_FILENAMES", "/nowhere.json").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("adapters: 0") && text.contains("VK_DRIVER_FILES=/nowhere.json"),
        "{text}"
    );
}

#[test]
fn help_teaches_by_example() {
    let sandbox = Sandbox::new();
    for arguments in [&["--help"][..], &["train", "--help"]] {
        let output = sandbox.pkdgan(arguments).output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains("Examples:\n  pkdgan train"));
    }
    assert_eq!(sandbox.pkdgan(&[]).output().unwrap().status.code(), Some(2));
}

#[test]
fn shells_complete_every_command() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = sandbox.pkdgan(&["completions", shell]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let script = String::from_utf8(output.stdout).unwrap();
        for word in ["train", "reproduce", "report", "evaluate-every", "device"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(sandbox.pkdgan(&["completions", "ksh"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn every_command_has_a_manual_page() {
    let sandbox = Sandbox::new();
    sandbox.pkdgan(&["man", "share/man1"]).assert().success();
    let pages = sandbox.list("share/man1");
    for page in ["pkdgan.1", "pkdgan-train.1", "pkdgan-report.1", "pkdgan-data-fetch.1"] {
        assert!(pages.contains(&page.to_owned()), "{page} is not in {pages:?}");
    }
    let page = String::from_utf8(sandbox.read("share/man1/pkdgan-train.1")).unwrap();
    assert!(page.starts_with(".ie") && page.contains(".TH pkdgan-train 1"), "{page}");
    assert!(page.contains("batch\\-size") && page.contains("Examples:"), "{page}");
    sandbox.write("file", b"");
    let output = sandbox.pkdgan(&["man", "file"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("file: manual pages cannot be written there"), "{}", stderr(&output));
}

#[test]
fn a_cause_is_said_once() {
    let sandbox = Sandbox::new();
    let said = stderr(&sandbox.train("run", &["--config", "none.toml"]).output().unwrap());
    assert_eq!(said.matches("os error 2").count(), 1, "{said}");
    assert!(said.contains("none.toml: ") && said.contains("; name an existing TOML file"), "{said}");
}

#[test]
fn too_many_steps_are_refused_with_advice_that_helps() {
    let sandbox = Sandbox::new();
    let steps = "--steps=20000000";
    refused(&sandbox, &[steps], 1, &["stage teacher has 20000000 steps; at most 16777216"]);
    // Before the stages in front of it are trained.
    let later = ["--stage=all", "--set=distillation.step2.steps=20000000"];
    refused(&sandbox, &later, 1, &["stage step2 has 20000000 steps"]);
    // As many as can be counted, on an adapter whose buffers are too small for their learning rates.
    let output =
        sandbox.train("run", &["--steps=1000000", "--device=gpu"]).env("PKDGAN_FAULT", "limit=1048576").output();
    let output = output.unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("the variables `teacher.schedule` needs ") && said.contains("train for fewer steps"),
        "{said}"
    );
    assert!(!said.contains("smaller network") && !said.contains("--resume"), "{said}");
    assert!(!sandbox.path("run").exists());
}

/// Reading this file of Linux fails as a broken disk does.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fails_under_a_configuration_is_no_wrong_usage() {
    let sandbox = Sandbox::new();
    let said = sandbox.pkdgan(&["train", "--config", "/proc/self/mem"]).assert().code(1).get_output().stderr.clone();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("/proc/self/mem: ") && said.contains("os error 5"), "{said}");
}
