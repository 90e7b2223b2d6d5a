//! `pkdgan train --images`: pictures of one's own.

mod command;

use std::fs;
use std::path::Path;

use command::{Sandbox, TINY, stderr};
use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
use pkdgan::config::Config;
use pkdgan::data::{Colour, Range};
use pkdgan::model::ModelFile;

/// A blob whose place goes by a number.
fn blob(n: u32, width: u32, height: u32) -> GrayImage {
    let (x0, y0) = (width / 3 + n % 5, height / 3 + n % 7);
    GrayImage::from_fn(width, height, |x, y| {
        let distance = x.abs_diff(x0).pow(2) + y.abs_diff(y0).pow(2);
        Luma([255_u32.saturating_sub(2 * distance) as u8])
    })
}

/// Grey pictures in a folder of the sandbox.
fn grey(sandbox: &Sandbox, folder: &str, count: u32) {
    fs::create_dir_all(sandbox.path(folder)).unwrap();
    for n in 0..count {
        blob(n, 40, 30).save(sandbox.path(&format!("{folder}/{n:03}.png"))).unwrap();
    }
}

/// A tiny student by itself.
fn train(sandbox: &Sandbox, more: &[&str]) -> std::process::Output {
    let mut command = sandbox.pkdgan(&["train", "--stage=student"]);
    command.args(TINY).args(more).output().unwrap()
}

fn succeeds(sandbox: &Sandbox, more: &[&str]) -> std::process::Output {
    let output = train(sandbox, more);
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

fn rows(sandbox: &Sandbox, file: &str) -> Vec<(String, u8)> {
    let mut reader = csv::Reader::from_path(sandbox.path(file)).unwrap();
    assert_eq!(reader.headers().unwrap(), vec!["path", "label", "score"]);
    let rows = reader.deserialize().map(|row| row.unwrap());
    rows.map(|(path, label, score): (String, u8, f32)| {
        assert!(score.is_finite());
        (path, label)
    })
    .collect()
}

#[test]
fn a_folder_of_many_kinds_ends_in_a_threshold() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("parts/monday/early")).unwrap();
    for n in 0..30 {
        let (folder, kind) = [("parts", "png"), ("parts/monday", "jpg"), ("parts/monday/early", "bmp")][n as usize % 3];
        let picture = blob(n, 40 + n, 60 - n);
        let picture: DynamicImage = match kind {
            "png" => picture.into(),
            _ => RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
                let value = picture.get_pixel(x, y).0[0];
                Rgb([value, value / 2, 255 - value])
            })
            .into(),
        };
        picture.save(sandbox.path(&format!("{folder}/{n:02}.{kind}"))).unwrap();
    }
    // One of 31 files.
    fs::write(sandbox.path("parts/notes.dat"), "no picture").unwrap();
    // What is not counted among them.
    fs::write(sandbox.path("parts/Thumbs.db"), "no picture").unwrap();
    for n in 0..30 {
        fs::write(sandbox.path(&format!("parts/{n:02}.json")), "{}").unwrap();
    }
    let output = succeeds(&sandbox, &["--images", "parts"]);
    let said = stderr(&output);
    for part in ["notes.dat: no picture", "24 training images", "6 more held out", "14.3 %", "495 normal images"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    for part in ["own images", "6 normal images held out", "promises at most 14.29 % false alarms"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }

    let run = "runs/parts-default-seed0";
    let report = sandbox.json(&format!("{run}/report.json"));
    assert_eq!((&report["dataset"], &report["auroc"]), (&"images".into(), &serde_json::Value::Null));
    let files = &report["files"];
    assert_eq!((&files["unreadable"], &files["sidecars"], &files["excluded"]), (&1.into(), &30.into(), &0.into()));
    assert_eq!(files["listed"].as_array().unwrap().len(), 31);
    assert!(files["listed"].to_string().contains("notes.dat"), "{files}");
    assert!(
        said.trim_end().ends_with("report.json lists them") && said.contains("1 cannot be read, 30 beside pictures")
    );
    let network = &report["networks"][0];
    assert_eq!(network["threshold"]["images"], 6);
    for (object, key) in [(network, "auroc"), (network, "best_f1"), (&network["threshold"], "detection_rate")] {
        assert!(object.get(key).is_some_and(serde_json::Value::is_null), "{key}: {report}");
    }
    let (error, blank) = (&network["reconstruction_l1_normal"], &network["blank_l1_normal"]);
    assert!(error.as_f64().unwrap() > 0.0 && blank.as_f64().unwrap() > 0.0);
    // Those held out, every fifth in the order of their names: nothing else was scored.
    let scored = rows(&sandbox, &format!("{run}/scores.csv"));
    assert_eq!(scored.len(), 6);
    assert!(
        scored.iter().all(|(path, label)| *label == 0 && Path::new(path).is_absolute() && Path::new(path).exists())
    );

    let config = Config::read(&sandbox.path(&format!("{run}/config.toml"))).unwrap();
    assert_eq!(config.data.images.as_ref().unwrap().colour, Colour::Rgb);
    let model = ModelFile::read(&sandbox.path(&format!("{run}/model.safetensors"))).unwrap();
    assert_eq!((model.preprocessing, model.architecture.channels), (config.preprocessing(), 3));
    let calibration = model.calibration.unwrap();
    assert_eq!(calibration.scores().len(), 6);
    let threshold = network["threshold"]["threshold"].as_f64().unwrap() as f32;
    assert_eq!(threshold, *calibration.scores().last().unwrap());

    // Scored again, from elsewhere too.
    let output = sandbox.pkdgan(&["eval", run, "--json", "--alpha", "0.5"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures["reconstruction_l1_normal"], *error);
    assert_eq!(figures["threshold"]["alpha"], 0.5);
    let output = sandbox.pkdgan(&["eval", run, "--alpha", "0.01"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("at least 99 calibration images"), "{}", stderr(&output));
}

#[test]
fn anomalous_pictures_judge_with_normal_ones_that_did_nothing_else() {
    let sandbox = Sandbox::new();
    grey(&sandbox, "good", 40);
    fs::create_dir_all(sandbox.path("bad")).unwrap();
    for n in 0..7 {
        GrayImage::from_pixel(30, 30, Luma([100 + n])).save(sandbox.path(&format!("bad/{n}.bmp"))).unwrap();
    }
    let more = ["--images", "good", "--anomalies", "bad", "--fit=crop", "--out=run", "--json"];
    let output = succeeds(&sandbox, &more);
    assert!(stderr(&output).contains("24 training images, 8 more held out"), "{}", stderr(&output));
    let report = sandbox.json("run/report.json");
    assert!((0.0..=1.0).contains(&report["auroc"].as_f64().unwrap()));
    let network = &report["networks"][0];
    assert!(network["best_f1"]["f1"].as_f64().unwrap() > 0.0);
    assert!(network["threshold"]["detection_rate"].is_f64());
    let scored = rows(&sandbox, "run/scores.csv");
    let count =
        |wanted: u8, part: &str| scored.iter().filter(|(path, label)| *label == wanted && path.contains(part)).count();
    assert_eq!((scored.len(), count(0, "good"), count(1, "bad")), (15, 8, 7));
    let config = Config::read(&sandbox.path("run/config.toml")).unwrap();
    assert_eq!(config.data.images.unwrap().colour, Colour::Grey);

    fs::create_dir_all(sandbox.path("good/bad")).unwrap();
    blob(0, 9, 9).save(sandbox.path("good/bad/x.png")).unwrap();
    let output = train(&sandbox, &["--images", "good", "--anomalies", "good/bad", "--out=other"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("keep them apart"), "{}", stderr(&output));
}

#[test]
fn a_run_goes_on_with_the_same_pictures_only() {
    let sandbox = Sandbox::new();
    grey(&sandbox, "good", 25);
    succeeds(&sandbox, &["--images", "good", "--out=run"]);
    let model = sandbox.read("run/model.safetensors");
    let scores = sandbox.read("run/scores.csv");
    let resume = |from: &str| {
        fs::remove_file(sandbox.path("run/model.safetensors")).unwrap_or_default();
        let path = sandbox.path("run");
        let mut command = sandbox.pkdgan(&["train", "--resume", path.to_str().unwrap()]);
        command.current_dir(sandbox.path(from)).output().unwrap()
    };
    let output = resume("data");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(sandbox.read("run/model.safetensors") == model && sandbox.read("run/scores.csv") == scores);
    // Its settings serve a run with other pictures too.
    blob(99, 40, 30).save(sandbox.path("good/new.png")).unwrap();
    succeeds(&sandbox, &["--config", "run/config.toml", "--out=another"]);
    fs::remove_file(sandbox.path("good/new.png")).unwrap();
    // Another name is another picture.
    fs::rename(sandbox.path("good/003.png"), sandbox.path("good/3.png")).unwrap();
    let output = resume("");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("not those that the run began with"), "{}", stderr(&output));
    fs::rename(sandbox.path("good/3.png"), sandbox.path("good/003.png")).unwrap();
    assert!(resume("").status.success());
}

#[test]
fn larger_sides_have_more_layers() {
    let sandbox = Sandbox::new();
    grey(&sandbox, "good", 20);
    let output = sandbox.pkdgan(&["model", "--images", "good", "--size", "64", "--colour=grey", "--json"]).output();
    let figures: serde_json::Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let network = |name: &str| {
        let mut networks = figures["networks"].as_array().unwrap().iter();
        networks.find(|network| network["name"] == name).cloned().unwrap()
    };
    assert_eq!(network("teacher.encoder1")["layers"].as_array().unwrap().len(), 5);
    assert_eq!(network("teacher.decoder")["layers"][4]["output"], serde_json::json!([1, 64, 64]));
    assert_eq!(network("student.encoder1")["layers"].as_array().unwrap().len(), 4);
    // 48x32x32x16 + 96x16x16x48x16 + 192x8x8x96x16 + 192x4x4x192x16 + 48x192x16.
    assert_eq!(network("teacher.encoder1")["macs"], 786_432 + 18_874_368 + 18_874_368 + 9_437_184 + 147_456);

    let more = [
        "--images=good",
        "--size=64",
        "--out=run",
        "--set=network.generator=[4,6,8,8]",
        "--set=network.discriminator=[4,6,8,8]",
        "--set=student.discriminator=[2,3,4,4]",
    ];
    succeeds(&sandbox, &more);
    let model = ModelFile::read(&sandbox.path("run/model.safetensors")).unwrap();
    assert_eq!((model.architecture.side, model.architecture.channels), (64, 1));
    assert_eq!((model.preprocessing.height, model.preprocessing.side), (64, 64));
}

#[test]
fn what_cannot_be_trained_on_is_said_before_anything_is_written() {
    let sandbox = Sandbox::new();
    grey(&sandbox, "good", 19);
    let failed = |more: &[&str], code: i32, part: &str| {
        let output = train(&sandbox, more);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
        assert_eq!(sandbox.list("runs"), Vec::<String>::new());
    };
    failed(&["--images", "good"], 1, "19 pictures that can be used, and at least 20");
    failed(&["--images", "nowhere"], 1, "nowhere: no such folder");
    grey(&sandbox, "good", 20);
    fs::write(sandbox.path("good/a.png"), "text").unwrap();
    fs::write(sandbox.path("good/b.png"), "").unwrap();
    failed(&["--images", "good"], 1, "2 of 22 files");
    failed(&["--images", "good", "--normal", "3"], 2, "--normal");
    failed(&["--images", "good", "--size", "50"], 2, "data.side");
    failed(&["--images", "good", "--fit", "squeeze"], 2, "crop, pad or stretch");
    failed(&["--size", "64"], 2, "--images");
    let help = sandbox.pkdgan(&["train", "--help"]).output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for part in
        ["--images <DIR>", "--anomalies <DIR>", "--size <PIXELS>", "--fit <FIT>", "--colour <COLOUR>", "20 the least"]
    {
        assert!(help.contains(part), "{part}: {help}");
    }
}

#[test]
fn a_run_says_what_it_left_out_however_quiet_and_keeps_range_and_patterns() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("deep/old")).unwrap();
    for n in 0..24_u32 {
        // Twelve of sixteen bits.
        let picture: image::ImageBuffer<Luma<u16>, _> =
            image::ImageBuffer::from_fn(40, 30, |x, y| Luma([((3 * x * y + 7 * n) % 4_096) as u16]));
        picture.save(sandbox.path(&format!("deep/{n:02}.png"))).unwrap();
    }
    image::RgbaImage::from_pixel(40, 30, image::Rgba([9, 9, 9, 100])).save(sandbox.path("deep/clear.png")).unwrap();
    blob(0, 40, 30).save(sandbox.path("deep/old/0.png")).unwrap();
    fs::write(sandbox.path("deep/a.json"), "{}").unwrap();
    let last = "files not used: 1 beside pictures, 1 excluded";
    let output = succeeds(&sandbox, &["--images=deep", "--exclude=old/", "--out=full"]);
    let said = stderr(&output);
    for part in ["24 pictures use no more than 12 of their 16 bits", "1 picture has transparent pixels", last] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let more = ["--images=deep", "--exclude=old/", "--out=run", "--range=auto", "--colour=grey", "-q"];
    let output = succeeds(&sandbox, &more);
    let said = stderr(&output);
    assert!(said.lines().last().unwrap().starts_with(last) && said.lines().count() <= 2, "{said}");
    let config = Config::read(&sandbox.path("run/config.toml")).unwrap();
    let images = config.data.images.unwrap();
    assert_eq!((images.range, images.exclude), (Range::Bits(12), vec!["old/".to_owned()]));
    let model = ModelFile::read(&sandbox.path("run/model.safetensors")).unwrap();
    assert_eq!(model.preprocessing.range, Range::Bits(12));
    let metadata = model.metadata();
    let said: serde_json::Value = serde_json::from_str(&metadata["preprocessing"]).unwrap();
    assert_eq!(said["range"], "12-bit");
    assert!(said["grey"].as_str().unwrap().contains("0.212648 R + 0.715179 G + 0.072173 B"), "{said}");
    let files = &sandbox.json("run/report.json")["files"];
    assert_eq!(
        (&files["sixteen_bit"], &files["bits_used"], &files["transparent"]),
        (&24.into(), &12.into(), &1.into())
    );
    // Scoring does as training did.
    let alone = sandbox.pkdgan(&["eval", "run", "--include=0?.png", "--scores=-"]).output().unwrap();
    assert!(alone.status.success(), "{}", stderr(&alone));
    let evaluated: Vec<String> =
        String::from_utf8(alone.stdout.clone()).unwrap().lines().skip(1).map(str::to_owned).collect();
    assert!(!evaluated.is_empty() && stderr(&alone).contains("AUROC"), "{evaluated:?}");
    for row in evaluated {
        let (path, rest) = row.split_once(',').unwrap();
        let expected: f32 = rest.split_once(',').unwrap().1.parse().unwrap();
        let output = sandbox.pkdgan(&["score", "run", path, "--threshold=1e9", "--path=cpu"]).output().unwrap();
        let scored = String::from_utf8(output.stdout).unwrap();
        let score: f32 = scored.lines().nth(1).unwrap().split(',').nth(1).unwrap().parse().unwrap();
        assert!((score - expected).abs() <= 1e-4 * expected, "{path}: {score} and {expected}");
    }
    let output = succeeds(&sandbox, &["--images=deep", "--exclude=old", "--out=json", "--progress=json"]);
    let said = stderr(&output);
    let done: serde_json::Value =
        serde_json::from_str(said.lines().rfind(|line| line.starts_with('{')).unwrap()).unwrap();
    assert_eq!((&done["event"], &done["left_out"], &done["unreadable"]), (&"done".into(), &2.into(), &0.into()));
}
