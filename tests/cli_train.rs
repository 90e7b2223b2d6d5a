//! `pkdgan train` and what comes of it.

mod command;

use command::{Held, Sandbox, TEST, stderr};
use pkdgan::metrics::auroc;
use pkdgan::model::ModelFile;
use pkdgan::unstable::calibration::tie_bound;
use pkdgan::unstable::run::read_scores;
use pkdgan::unstable::weights::Weights;

const FILES: [&str; 10] = [
    "checkpoint.previous.safetensors",
    "checkpoint.safetensors",
    "config.toml",
    "devices.json",
    "metrics.jsonl",
    "model.safetensors",
    "processes.json",
    "report.html",
    "report.json",
    "scores.csv",
];

#[test]
fn a_run_leaves_every_file_and_agrees_with_itself() {
    let sandbox = Sandbox::new();
    let output = sandbox.train("run", &["--normal", "3", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(sandbox.list("run"), FILES);

    let report = sandbox.json("run/report.json");
    for key in [
        "auroc",
        "average_precision",
        "reconstruction_l1_normal",
        "blank_l1_normal",
        "seconds_total",
        "seconds_per_step",
        "steps",
        "batch_size",
        "seed",
        "adapter",
        "backend",
        "driver",
        "version",
        "macs",
        "params",
        "peak_rss_bytes",
    ] {
        assert!(report.get(key).is_some_and(|value| !value.is_null()), "{key}: {report}");
    }
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, report);

    let scores = read_scores(&sandbox.path("run/scores.csv")).unwrap();
    assert_eq!(scores.len(), TEST);
    let of = |normal: bool| {
        let chosen = scores.iter().filter(|score| (score.label == 3) == normal);
        chosen.map(|score| score.score).collect::<Vec<f32>>()
    };
    assert_eq!(report["auroc"].as_f64(), auroc(&of(true), &of(false)).unwrap());

    let metrics = String::from_utf8(sandbox.read("run/metrics.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    assert_eq!(last["step"], 20);
    assert!(last["reconstruction"].as_f64().unwrap() > 0.0);

    let model = Weights::read(&sandbox.path("run/model.safetensors")).unwrap();
    for (name, shape) in [
        ("encoder1.conv1.weight", &[4, 1, 4, 4][..]),
        ("encoder1.conv1.bias", &[4]),
        ("decoder.deconv1.weight", &[8, 8, 4, 4]),
        ("encoder2.conv2.norm.running_var", &[6]),
        ("discriminator.conv4.weight", &[1, 8, 4, 4]),
    ] {
        assert_eq!(model.tensors[name].shape, shape, "{name}");
    }
    assert!(model.metadata["architecture"].contains("[4,6,8]"));
    assert!(model.metadata["preprocessing"].contains("127.5"));
}

#[test]
fn a_seed_is_a_run_byte_for_byte() {
    let sandbox = Sandbox::new();
    for (out, seed) in [("a", "7"), ("b", "7"), ("c", "8")] {
        sandbox.train(out, &["--seed", seed]).assert().success();
    }
    for file in ["model.safetensors", "scores.csv"] {
        let [a, b, c] = ["a", "b", "c"].map(|run| sandbox.read(&format!("{run}/{file}")));
        assert!(a == b, "{file} differs between runs of one seed");
        assert!(a != c, "{file} is the same for two seeds");
    }
}

#[test]
fn eval_gives_the_reports_figures_and_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.trained("first", &[]);
    let before: Vec<Vec<u8>> = FILES.iter().map(|file| sandbox.read(&format!("first/{file}"))).collect();
    let output = sandbox.pkdgan(&["eval", "first", "--json", "--scores", "again.csv"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let report = sandbox.json("first/report.json");
    for key in ["auroc", "average_precision", "reconstruction_l1_normal", "blank_l1_normal"] {
        assert_eq!(figures[key], report[key], "{key}");
    }
    assert_eq!(sandbox.read("again.csv"), sandbox.read("first/scores.csv"));
    let after: Vec<Vec<u8>> = FILES.iter().map(|file| sandbox.read(&format!("first/{file}"))).collect();
    assert!(before == after, "eval changed the run");
}

#[test]
fn every_network_is_calibrated_on_images_held_out_of_training() {
    let sandbox = Sandbox::new();
    let output = sandbox.train("run", &["--stage=all", "--calibration=0.5"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("2 training images, 2 more held out")
            && said.contains("33.4 %")
            && said.contains("--alpha 0.334"),
        "{said}"
    );
    let networks = sandbox.json("run/report.json")["networks"].as_array().unwrap().clone();
    let names: Vec<_> = networks.iter().map(|network| network["network"].as_str().unwrap()).collect();
    assert_eq!(names, ["teacher", "student-step1", "teacher-joint", "student"]);
    let files = ["teacher", "student-step1", "teacher-joint", "model"];
    let mut held = Vec::new();
    for (network, file) in networks.iter().zip(files) {
        let model = ModelFile::read(&sandbox.path(&format!("run/{file}.safetensors"))).unwrap();
        let calibration = model.calibration.unwrap();
        let threshold = &network["threshold"];
        assert_eq!(calibration.scores().len(), 2);
        assert_eq!((&threshold["images"], &threshold["alpha"]), (&2.into(), &(1.0 / 3.0).into()), "{file}");
        assert_eq!(threshold["threshold"].as_f64().unwrap() as f32, tie_bound(calibration.scores()[1]));
        assert!(threshold["false_alarm_rate"].is_f64() && network["best_f1"]["f1"].is_f64());
        held.push(calibration);
    }
    assert!(held.iter().enumerate().all(|(place, one)| held[..place].iter().all(|other| other != one)));

    let eval = |more: &[&str]| sandbox.pkdgan(&["eval", "run", "--json"]).args(more).output().unwrap();
    let figures: serde_json::Value = serde_json::from_slice(&eval(&[]).stdout).unwrap();
    for key in ["threshold", "best_f1"] {
        assert_eq!(figures[key], networks[3][key], "{key}");
    }
    let figures: serde_json::Value = serde_json::from_slice(&eval(&["--alpha=0.7"]).stdout).unwrap();
    assert_eq!(figures["threshold"]["threshold"].as_f64().unwrap() as f32, tie_bound(held[3].scores()[0]));
    let refused = eval(&["--alpha=0.01"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("at least 99 calibration images"), "{}", stderr(&refused));

    sandbox.train("without", &["--calibration=0"]).assert().success();
    assert!(sandbox.json("without/report.json")["networks"][0]["threshold"].is_null());
}

#[test]
fn the_cpu_executor_trains_to_the_same_scores() {
    let sandbox = Sandbox::new();
    sandbox.train("gpu", &["--steps", "5", "--device", "gpu"]).assert().success();
    sandbox.train("cpu", &["--steps", "5", "--device", "cpu"]).assert().success();
    let [gpu, cpu] = ["gpu", "cpu"].map(|run| read_scores(&sandbox.path(&format!("{run}/scores.csv"))).unwrap());
    for (gpu, cpu) in gpu.iter().zip(&cpu) {
        let error = (gpu.score - cpu.score).abs() / cpu.score.abs();
        assert!(error < 0.02, "image {}: {} and {}", gpu.index, gpu.score, cpu.score);
    }
    let backend = |run: &str| sandbox.json(&format!("{run}/report.json"))["backend"].clone();
    assert_eq!(backend("cpu"), "cpu");
    assert_ne!(backend("gpu"), "cpu");
}

#[test]
fn training_starts_from_given_weights() {
    let sandbox = Sandbox::new();
    sandbox.trained("first", &[]);
    let still = ["--init", "first/model.safetensors", "--steps", "1", "--lr", "1e-9", "--no-shuffle"];
    sandbox.train("second", &still).assert().success();
    let [first, second] =
        ["first", "second"].map(|run| Weights::read(&sandbox.path(&format!("{run}/model.safetensors"))).unwrap());
    for (name, before) in first.tensors.iter().filter(|(name, _)| !name.contains("running")) {
        for (a, b) in before.values.iter().zip(&second.tensors[name].values) {
            assert!((a - b).abs() < 1e-6, "{name}: {a} became {b}");
        }
    }
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_bytes() {
    let sandbox = Sandbox::new();
    let arguments = ["--steps=1500", "--seed=5"];
    sandbox.train("whole", &arguments).assert().success();

    let mut held = Held::start(&sandbox.train("broken", &arguments), 60);
    held.wait_until(|| true);
    held.interrupt();
    let (status, said) = held.finish();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("train --resume broken"), "{said}");
    assert!(!sandbox.list("broken").contains(&"model.safetensors".to_owned()));

    sandbox.pkdgan(&["train", "--resume", "broken"]).assert().success();
    for file in ["model.safetensors", "scores.csv"] {
        let [whole, broken] = ["whole", "broken"].map(|run| sandbox.read(&format!("{run}/{file}")));
        assert!(whole == broken, "{file} differs from that of the run that was not interrupted");
    }
}

#[test]
fn a_run_that_diverges_says_so_and_keeps_a_good_checkpoint() {
    let sandbox = Sandbox::new();
    sandbox.train("first", &["--steps=1"]).assert().success();
    // Weights so large that their products are no numbers.
    let mut model = Weights::read(&sandbox.path("first/model.safetensors")).unwrap();
    model.tensors.get_mut("decoder.deconv2.weight").unwrap().values.fill(3e38);
    model.write(&sandbox.path("large.safetensors")).unwrap();
    let output = sandbox.train("run", &["--init", "large.safetensors"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("at step 1;") && said.contains("checkpoint.safetensors") && said.contains("--lr"), "{said}");
    let checkpoint = Weights::read(&sandbox.path("run/checkpoint.safetensors")).unwrap();
    assert!(checkpoint.tensors.values().flat_map(|tensor| &tensor.values).all(|value| value.is_finite()));
    assert!(!sandbox.list("run").contains(&"report.json".to_owned()));
}

#[test]
fn settings_come_from_recipe_file_and_flags() {
    let sandbox = Sandbox::new();
    sandbox.write("settings.toml", b"[training]\nseed = 11\nlearning_rate = 0.001\n");
    let more = ["--recipe", "paper", "--config", "settings.toml", "--lr", "0.002", "--epochs", "3", "--no-shuffle"];
    sandbox.train("run", &more).assert().success();
    let config = pkdgan::config::Config::read(&sandbox.path("run/config.toml")).unwrap();
    assert_eq!(config.training.seed, 11);
    assert_eq!(config.training.learning_rate, 0.002);
    assert!(!config.training.shuffle);
    // Four training images of a class, in batches of two.
    assert_eq!(config.training.steps, 6);
    assert_eq!(config.scoring.statistics, pkdgan::config::Statistics::PerImage);
    assert_eq!(config.training.weights.latent, 3.0);
}

#[test]
fn an_interrupt_after_the_last_step_stops_too() {
    let sandbox = Sandbox::new();
    let mut held = Held::start(&sandbox.train("run", &["--seed=9"]), 20);
    held.until("waiting after step 20");
    held.interrupt();
    let (status, said) = held.finish();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("stopped in stage teacher after step 20 of 20") && said.contains("--resume run"), "{said}");
    assert!(sandbox.path("run/model.safetensors").exists() && !sandbox.path("run/report.json").exists());
    sandbox.pkdgan(&["train", "--resume", "run"]).assert().success();
    assert!(sandbox.path("run/report.json").exists());
}

#[test]
fn the_report_counts_every_process() {
    let sandbox = Sandbox::new();
    let mut held = Held::start(&sandbox.train("run", &["--checkpoint-every=5"]), 5);
    held.until("waiting after step");
    held.kill();
    let seconds = |name: &str, key: &str| sandbox.json(name)[key].as_f64().unwrap();
    assert_eq!(sandbox.json("run/processes.json")["processes"], 1);
    let first = seconds("run/processes.json", "seconds");
    let mut held = Held::start(&sandbox.pkdgan(&["train", "--resume", "run"]), 5);
    held.until("waiting after step");
    held.interrupt();
    assert_eq!(held.finish().0.code(), Some(1));
    let second = seconds("run/processes.json", "seconds");
    assert!(second > first && first > 0.0, "{first}, {second}");
    let output = sandbox.pkdgan(&["train", "--resume", "run", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(sandbox.json("run/report.json")["processes"], 3);
    assert!(seconds("run/report.json", "seconds_total") > second);
    let page = String::from_utf8(sandbox.read("run/report.html")).unwrap();
    assert!(page.contains(" s by 3 processes"));
    // What cannot be read counts for nothing.
    sandbox.write("run/processes.json", &[0; 40]);
    let output = sandbox.pkdgan(&["train", "--resume", "run"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("earlier processes are not counted"), "{}", stderr(&output));
    assert_eq!(sandbox.json("run/report.json")["processes"], 1);
}

#[test]
fn what_is_removed_while_the_run_goes_on_is_written_again() {
    let sandbox = Sandbox::new();
    sandbox.trained("whole", &["--steps=120"]);
    let mut held = Held::start(&sandbox.train("run", &["--steps=120", "--checkpoint-every=1"]), 60);
    held.until("waiting after step");
    let config = sandbox.read("run/config.toml");
    for file in ["config.toml", "metrics.jsonl", "processes.json"] {
        std::fs::remove_file(sandbox.path(&format!("run/{file}"))).unwrap();
    }
    let (status, said) = held.finish();
    assert!(status.success(), "{said}");
    for file in ["config.toml", "metrics.jsonl"] {
        assert!(said.contains(&format!("{file}: removed while the run goes on")), "{said}");
    }
    assert!(config == sandbox.read("run/config.toml"));
    assert_eq!(sandbox.read("whole/model.safetensors"), sandbox.read("run/model.safetensors"));
    let lines = |run: &str| String::from_utf8(sandbox.read(&format!("{run}/metrics.jsonl"))).unwrap().lines().count();
    assert_eq!(lines("whole"), lines("run"));
}

#[test]
fn a_log_that_is_damaged_behind_the_checkpoint_does_not_stop_a_run() {
    let sandbox = Sandbox::new();
    sandbox.trained("whole", &["--steps=60"]);
    let tails = [&b"\0\0\0\0\n{\"stage\":\"teacher\",\"step\":55}\n"[..], b"{\"stage\":\"tea\n", b"\xff\xfe\n"];
    for (place, tail) in tails.into_iter().enumerate() {
        let run = format!("run{place}");
        let mut held = Held::start(&sandbox.train(&run, &["--steps=60", "--checkpoint-every=1"]), 52);
        held.until("waiting after step");
        held.kill();
        let log = format!("{run}/metrics.jsonl");
        let damaged = [&sandbox.read(&log)[..], tail].concat();
        sandbox.write(&log, &damaged);
        let resume = || sandbox.pkdgan(&["train", "--resume", &run]).output().unwrap();
        let output = resume();
        assert!(output.status.success(), "{place}: {}", stderr(&output));
        assert_eq!(sandbox.read("whole/model.safetensors"), sandbox.read(&format!("{run}/model.safetensors")));
        // Nor where all is trained, and only the report is wanting: then no whole line follows.
        if place > 0 {
            sandbox.write(&log, &[&sandbox.read(&log)[..], tail].concat());
            std::fs::remove_file(sandbox.path(&format!("{run}/report.json"))).unwrap();
            let output = resume();
            assert!(output.status.success(), "{place}: {}", stderr(&output));
        }
    }
}
