//! `pkdgan train` with its stages: a teacher, a student, and two steps of distillation.

mod command;

use command::{Held, Sandbox, TEST, stderr};
use pkdgan::config::{Config, Goal, Statistics, Structure};
use pkdgan::model::ModelFile;
use pkdgan::unstable::run::read_scores;
use pkdgan::unstable::weights::Weights;

const FILES: [&str; 15] = [
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
    "student-alone.safetensors",
    "student-step1.safetensors",
    "teacher-joint.safetensors",
    "teacher.safetensors",
    "teacher_scores.csv",
];

#[test]
fn a_whole_run_leaves_every_network_with_its_figures() {
    let sandbox = Sandbox::new();
    let output = sandbox.train("run", &["--stage=all", "--with-baseline", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(sandbox.list("run"), FILES);

    let report = sandbox.json("run/report.json");
    let networks = report["networks"].as_array().unwrap();
    let column = |key: &str| networks.iter().map(|network| network[key].clone()).collect::<Vec<_>>();
    assert_eq!(column("network"), ["teacher", "student-alone", "student-step1", "teacher-joint", "student"]);
    assert_eq!(column("structure"), ["", "", "1", "1+4", "1+4"]);
    assert_eq!(column("steps"), [20, 12, 10, 8, 8]);
    for network in networks {
        assert!(network["seconds"].as_f64().unwrap() > 0.0 && network["latency_seconds"].as_f64().unwrap() > 0.0);
        assert!((0.0..=1.0).contains(&network["auroc"].as_f64().unwrap()), "{network}");
    }
    assert_eq!(networks[0]["ratio"], 1.0);
    let student = networks.last().unwrap();
    for key in ["auroc", "average_precision", "macs", "params", "steps", "batch_size"] {
        assert_eq!(report[key], student[key], "{key}");
    }
    for file in ["run/scores.csv", "run/teacher_scores.csv"] {
        assert_eq!(read_scores(&sandbox.path(file)).unwrap().len(), TEST);
    }

    let model = |name: &str| Weights::read(&sandbox.path(&format!("run/{name}.safetensors"))).unwrap();
    let (teacher, joint, student) = (model("teacher"), model("teacher-joint"), model("model"));
    assert_eq!(student.tensors["encoder1.conv2.weight"].shape, [5, 4, 2, 2]);
    assert_eq!(teacher.tensors["encoder1.conv2.weight"].shape, joint.tensors["encoder1.conv2.weight"].shape);
    assert_ne!(teacher.tensors, joint.tensors);

    let metrics = String::from_utf8(sandbox.read("run/metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let stages: Vec<_> = lines.map(|line| (line["stage"].clone(), line["step"].clone())).collect();
    let expected = [("teacher", 20), ("alone", 12), ("step1", 10), ("step2", 8)];
    assert_eq!(stages, expected.map(|(stage, step)| (stage.into(), step.into())));
    assert!(metrics.lines().nth(2).unwrap().contains("distance_latent_again"));

    for (name, index) in [("teacher", 0), ("student-alone", 1), ("student-step1", 2), ("model", 4)] {
        let file = format!("{name}.safetensors");
        let output = sandbox.pkdgan(&["eval", "run", "--model", &file, "--json"]).output().unwrap();
        let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(figures["auroc"], networks[index]["auroc"], "{name}");
    }
}

#[test]
fn a_given_teacher_is_distilled_by_any_two_structures() {
    let sandbox = Sandbox::new();
    sandbox.trained("first", &["--stage=teacher"]);
    for (first, second) in [(1, 4), (2, 3), (4, 4)] {
        let run = format!("run{first}{second}");
        let steps = [
            format!("--set=distillation.step1.structure={first}"),
            format!("--set=distillation.step2.structure={second}"),
        ];
        sandbox.train(&run, &["--teacher", "first", &steps[0], &steps[1]]).assert().success();
        let config = Config::read(&sandbox.path(&format!("{run}/config.toml"))).unwrap();
        assert_eq!(config.run.stage, Goal::Distill);
        assert_eq!(config.distillation.step1.structure, Structure::try_from(first).unwrap());
        assert_eq!(sandbox.read(&format!("{run}/teacher.safetensors")), sandbox.read("first/model.safetensors"));
        let report = sandbox.json(&format!("{run}/report.json"));
        let networks = report["networks"].as_array().unwrap();
        assert_eq!(networks.last().unwrap()["structure"], format!("{first}+{second}"));
        assert_eq!(networks[0]["auroc"], sandbox.json("first/report.json")["auroc"]);
    }
}

#[test]
fn a_student_alone_and_a_single_step_are_runs_too() {
    let sandbox = Sandbox::new();
    sandbox.train("alone", &["--stage=student"]).assert().success();
    assert_eq!(sandbox.json("alone/report.json")["networks"][0]["network"], "student-alone");
    sandbox.trained("first", &["--stage=teacher"]);
    sandbox.train("one", &["--teacher=first", "--set=distillation.step2.steps=0"]).assert().success();
    let networks = sandbox.json("one/report.json")["networks"].clone();
    assert_eq!((&networks[1]["network"], &networks[1]["structure"]), (&"student".into(), &"1".into()));
    assert!(!sandbox.list("one").contains(&"teacher-joint.safetensors".to_owned()));
}

#[test]
fn stages_are_refused_where_their_teacher_does_not_go_with_them() {
    let sandbox = Sandbox::new();
    sandbox.train("first", &["--stage=teacher", "--steps=1"]).assert().success();
    for (arguments, code, part) in [
        (&["--stage=distill"][..], 2, "--teacher RUN"),
        (&["--stage=teacher", "--teacher=first"], 2, "needs none"),
        (&["--stage=pupil"], 2, "pupil"),
        (&["--teacher=nowhere"], 1, "nowhere"),
        (&["--teacher=first", "--set=network.latents=9"], 2, "`network.latents` = 8"),
    ] {
        let output = sandbox.train("run", arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{arguments:?}: {}", stderr(&output));
        assert!(sandbox.list("run").is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_run_killed_in_any_stage_goes_on_to_the_same_bytes() {
    let sandbox = Sandbox::new();
    let arguments = ["--stage=all", "--with-baseline", "--seed=3", "--steps=60", "--set=distillation.step1.steps=60"];
    sandbox.train("whole", &arguments).assert().success();
    for stage in ["teacher", "alone", "step1", "step2"] {
        let mut held = Held::start(&sandbox.train(stage, &arguments), 5);
        held.wait_until(|| {
            let weights = Weights::read(&sandbox.path(&format!("{stage}/checkpoint.safetensors")));
            weights.is_ok_and(|weights| weights.metadata["stage"] == stage)
        });
        held.kill();
        sandbox.pkdgan(&["train", "--resume", stage]).assert().success();
        for file in FILES.iter().filter(|file| file.ends_with(".safetensors") || file.ends_with(".csv")) {
            if !file.starts_with("checkpoint") {
                let [whole, broken] = ["whole", stage].map(|run| sandbox.read(&format!("{run}/{file}")));
                assert!(whole == broken, "killed in {stage}: {file} differs");
            }
        }
    }
}

#[test]
fn a_teacher_asked_once_teaches_as_one_asked_each_time() {
    let sandbox = Sandbox::new();
    sandbox.trained("first", &["--stage=teacher"]);
    for (run, once) in [("once", "true"), ("each", "false")] {
        let ask = format!("--set=distillation.precompute_teacher_outputs={once}");
        sandbox.train(run, &["--teacher=first", "--set=distillation.step2.steps=0", &ask]).assert().success();
    }
    let [once, each] =
        ["once", "each"].map(|run| Weights::read(&sandbox.path(&format!("{run}/model.safetensors"))).unwrap());
    for (name, once) in &once.tensors {
        for (a, b) in once.values.iter().zip(&each.tensors[name].values) {
            assert!((a - b).abs() < 1e-3 + 1e-2 * b.abs(), "{name}: {a} and {b}");
        }
    }
}

#[test]
fn a_validation_run_leaves_the_test_set_alone() {
    let sandbox = Sandbox::new();
    // Six training images of each class, of which one is held out; a test set that cannot be read.
    sandbox.write("data/mnist/train-images-idx3-ubyte", &command::images(60));
    sandbox.write("data/mnist/train-labels-idx1-ubyte", &command::labels(60));
    sandbox.write("data/mnist/t10k-images-idx3-ubyte", b"not images");
    sandbox.train("run", &["--set=data.eval_split=validation"]).assert().success();
    let scores = read_scores(&sandbox.path("run/scores.csv")).unwrap();
    assert_eq!(scores.iter().map(|score| score.index).collect::<Vec<_>>(), (50..60).collect::<Vec<_>>());
}

/// A teacher by the statistics of each image, in `paper`.
fn paper() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.trained("paper", &["--recipe=paper", "--set=training.norm_epsilon=3e-5"]);
    sandbox
}

#[test]
fn a_given_teacher_is_used_as_its_file_says() {
    let sandbox = paper();
    let said = ["--set=scoring.statistics=per-image", "--set=training.norm_epsilon=3e-5", "--normal=8"];
    sandbox.train("silent", &["--teacher=paper"]).assert().success();
    sandbox.train("said", &[&["--teacher=paper"], &said[..]].concat()).assert().success();
    for file in ["config.toml", "model.safetensors", "scores.csv", "teacher_scores.csv", "teacher-joint.safetensors"] {
        let [silent, said] = ["silent", "said"].map(|run| sandbox.read(&format!("{run}/{file}")));
        assert!(silent == said, "{file} differs");
    }
    let config = Config::read(&sandbox.path("silent/config.toml")).unwrap();
    assert_eq!(config.scoring.statistics, Statistics::PerImage);
    assert_eq!((config.training.norm_epsilon, config.student.statistics), (3e-5, Statistics::Running));
    assert_eq!(sandbox.json("silent/report.json")["networks"][0]["auroc"], sandbox.json("paper/report.json")["auroc"]);
    // The student learns from what that teacher says, which is not what it says by running averages.
    let mut other = ModelFile::read(&sandbox.path("paper/model.safetensors")).unwrap();
    other.statistics = Statistics::Running;
    other.write(&sandbox.path("other.safetensors")).unwrap();
    sandbox.train("other", &["--teacher=other.safetensors"]).assert().success();
    assert_ne!(sandbox.read("other/model.safetensors"), sandbox.read("silent/model.safetensors"));
}

#[test]
fn settings_that_contradict_a_given_model_are_refused_by_name() {
    let sandbox = paper();
    sandbox.write("settings.toml", b"[scoring]\nstatistics = \"running\"\n");
    let file = "paper/model.safetensors";
    for (more, key) in [
        ("--normal=3", "`data.normal` = 8, and the settings say 3"),
        ("--dataset=fashion-mnist", "`data.dataset` = \"mnist\""),
        ("--images=data", "`data.dataset` = \"mnist\""),
        ("--set=scoring.statistics=running", "`scoring.statistics` = \"per-image\""),
        ("--config=settings.toml", "`scoring.statistics` = \"per-image\""),
        ("--set=training.norm_epsilon=1e-5", "`training.norm_epsilon` = 0.00003"),
        ("--set=network.generator=[4,6,9]", "`network.generator` = [4, 6, 8]"),
        ("--set=network.discriminator=[4,6,9]", "`network.discriminator` = [4, 6, 8]"),
    ] {
        for given in ["--teacher=paper", "--init=paper/model.safetensors"] {
            let output = sandbox.train("run", &[given, more]).output().unwrap();
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{given} {more}: {said}");
            assert!(said.contains(file) && said.contains(key), "{given} {more}: no {key} in {said}");
            assert!(!sandbox.path("run").exists(), "{given} {more}");
        }
    }
    // A student is no teacher, and a teacher no student.
    sandbox.trained("alone", &["--stage=student"]);
    let student = "alone/model.safetensors";
    for (arguments, key) in [
        (&["--teacher", student][..], "`network.generator` = [[4, 4, 4, 0], [5, 2, 2, 0]]"),
        (&["--stage=student", "--init", file], "`student.discriminator` = [4, 6, 8]"),
    ] {
        let output = sandbox.train("run", arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(key), "{}", stderr(&output));
    }
}

#[test]
fn initial_weights_are_used_as_their_file_says() {
    let sandbox = paper();
    sandbox.train("run", &["--init=paper/model.safetensors", "--steps=1"]).assert().success();
    let config = Config::read(&sandbox.path("run/config.toml")).unwrap();
    assert_eq!((config.scoring.statistics, config.training.norm_epsilon), (Statistics::PerImage, 3e-5));
    // A file that says nothing is taken for what the settings say.
    let mut bare = Weights::read(&sandbox.path("paper/model.safetensors")).unwrap();
    bare.metadata.clear();
    bare.tensors.remove("calibration.scores");
    bare.write(&sandbox.path("bare.safetensors")).unwrap();
    sandbox.train("bare", &["--init=bare.safetensors", "--steps=1", "--normal=3"]).assert().success();
    let config = Config::read(&sandbox.path("bare/config.toml")).unwrap();
    assert_eq!((config.scoring.statistics, config.training.norm_epsilon), (Statistics::Running, 1e-5));
}

#[test]
fn a_run_folder_whose_settings_contradict_its_models_is_refused_by_name() {
    let sandbox = paper();
    let config = String::from_utf8(sandbox.read("paper/config.toml")).unwrap();
    sandbox.train("run", &["--teacher=paper", "--set=distillation.step2.steps=0"]).assert().success();
    let distilled = String::from_utf8(sandbox.read("run/config.toml")).unwrap();
    let refused = |arguments: &[&str], file: &str, key: &str| {
        let output = sandbox.pkdgan(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        let said = stderr(&output);
        assert!(said.contains(file) && said.contains(key), "{arguments:?}: {said}");
    };
    assert!(config.contains("normal = 8\n"));
    sandbox.write("paper/config.toml", config.replace("normal = 8\n", "normal = 3\n").as_bytes());
    for command in ["eval", "report"] {
        refused(&[command, "paper"], "paper/model.safetensors", "`data.normal` = 8, and the settings say 3");
    }

    // As runs of earlier versions may be.
    for file in ["model.safetensors", "report.json", "checkpoint.safetensors", "checkpoint.previous.safetensors"] {
        let _ = std::fs::remove_file(sandbox.path("run").join(file));
    }
    let running = distilled.replacen("statistics = \"per-image\"", "statistics = \"running\"", 1);
    assert_ne!(running, distilled);
    sandbox.write("run/config.toml", running.as_bytes());
    refused(&["train", "--resume", "run"], "run/teacher.safetensors", "`scoring.statistics` = \"per-image\"");
    sandbox.write("run/config.toml", distilled.as_bytes());
    sandbox.pkdgan(&["train", "--resume", "run"]).assert().success();
}
