//! `pkdgan train --images`: pictures of one's own.

mod command;

use std::fs;
use std::path::Path;

use command::{Sandbox, TINY, stderr};
use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
use pkdgan::config::Config;
use pkdgan::data::Colour;
use pkdgan::model::ModelFile;
use sha2::{Digest, Sha256};

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
    fs::write(sandbox.path("parts/Thumbs.db"), "no picture").unwrap();
    let output = succeeds(&sandbox, &["--images", "parts"]);
    let said = stderr(&output);
    for part in ["Thumbs.db: no PNG", "24 training images", "6 more held out", "14.3 %", "495 normal images"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    for part in ["own images", "6 normal images held out", "promises at most 14.29 % false alarms"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }

    let run = "runs/parts-default-seed0";
    let report = sandbox.json(&format!("{run}/report.json"));
    assert_eq!((&report["dataset"], &report["auroc"]), (&"images".into(), &serde_json::Value::Null));
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

/// Pictures of three equal values a pixel, which a run decodes in another way once it knows that they are grey.
fn colourless(sandbox: &Sandbox, folder: &str, count: u32) {
    fs::create_dir_all(sandbox.path(folder)).unwrap();
    for n in 0..count {
        DynamicImage::from(blob(n, 40, 30)).to_rgb8().save(sandbox.path(&format!("{folder}/{n:03}.png"))).unwrap();
    }
}

fn resume(sandbox: &Sandbox, more: &[&str]) -> std::process::Output {
    fs::remove_file(sandbox.path("run/model.safetensors")).unwrap_or_default();
    sandbox.pkdgan(&[&["train", "--resume", "run"], more].concat()).output().unwrap()
}

#[test]
fn pictures_that_were_replaced_under_their_names_are_noticed() {
    let sandbox = Sandbox::new();
    colourless(&sandbox, "good", 25);
    succeeds(&sandbox, &["--images", "good", "--out=run"]);
    let model = sandbox.read("run/model.safetensors");
    let first = sandbox.read("good/000.png");
    sandbox.write("good/000.png", &sandbox.read("good/001.png"));
    let output = resume(&sandbox, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("not those that the run began with"), "{}", stderr(&output));
    let output = sandbox.pkdgan(&["eval", "run", "--model=checkpoint.safetensors"]).output().unwrap();
    assert!(stderr(&output).contains("not those that the run began with"), "{}", stderr(&output));
    // The same pixels in another file are the same picture.
    let again = image::load_from_memory(&first).unwrap().to_luma8();
    again.save_with_format(sandbox.path("good/000.png"), image::ImageFormat::Bmp).unwrap();
    let output = resume(&sandbox, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(sandbox.read("run/model.safetensors") == model);

    // A run of an earlier version knows names alone.
    let mut names = Sha256::new();
    names.update(25_u64.to_le_bytes());
    for n in 0..25 {
        names.update(7_u64.to_le_bytes());
        names.update(format!("{n:03}.png"));
    }
    names.update(0_u64.to_le_bytes());
    let names: String = names.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let config = String::from_utf8(sandbox.read("run/config.toml")).unwrap();
    let digest = Config::read(&sandbox.path("run/config.toml")).unwrap().data.images.unwrap().digest;
    assert_eq!(digest.len(), names.len());
    sandbox.write("run/config.toml", config.replace(&digest, &names).as_bytes());
    let output = resume(&sandbox, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(sandbox.read("run/model.safetensors") == model);
}

#[test]
fn pictures_that_were_moved_are_given_anew() {
    let sandbox = Sandbox::new();
    grey(&sandbox, "good", 25);
    grey(&sandbox, "bad", 3);
    succeeds(&sandbox, &["--images", "good", "--anomalies", "bad", "--out=run"]);
    let [model, report] = ["run/model.safetensors", "run/report.json"].map(|file| sandbox.read(file));
    fs::create_dir(sandbox.path("moved")).unwrap();
    for folder in ["good", "bad"] {
        fs::rename(sandbox.path(folder), sandbox.path(&format!("moved/{folder}"))).unwrap();
    }
    let output = resume(&sandbox, &[]);
    assert!(!output.status.success() && stderr(&output).contains("no such folder"), "{}", stderr(&output));
    let moved = ["--images=moved/good", "--anomalies=moved/bad"];
    let output = resume(&sandbox, &moved);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(sandbox.read("run/model.safetensors") == model);
    let eval = |more: &[&str]| sandbox.pkdgan(&[&["eval", "run", "--json"], more].concat()).output().unwrap();
    let output = eval(&moved);
    assert!(output.status.success(), "{}", stderr(&output));
    let [figures, report]: [serde_json::Value; 2] =
        [&output.stdout, &report].map(|text| serde_json::from_slice(text).unwrap());
    assert_eq!(figures["auroc"], report["auroc"]);
    sandbox.pkdgan(&[&["report", "run"], &moved[..]].concat()).assert().success();

    // Others are not taken for them.
    let output = eval(&["--images=moved/bad", "--anomalies=moved/good"]);
    assert!(!output.status.success(), "{}", stderr(&output));
    grey(&sandbox, "others", 24);
    blob(50, 40, 30).save(sandbox.path("others/024.png")).unwrap();
    let output = eval(&["--images=others", "--anomalies=moved/bad"]);
    assert!(stderr(&output).contains("not those that the run began with"), "{}", stderr(&output));
    // A data set has no folder of pictures.
    sandbox.trained("digits", &[]);
    let output = sandbox.pkdgan(&["eval", "digits", "--images=moved/good"]).output().unwrap();
    assert!(stderr(&output).contains("--images is for runs on pictures of your own"), "{}", stderr(&output));
}

/// The kept file of decoded pictures, with what tells it from one that is made anew.
#[cfg(unix)]
fn kept(sandbox: &Sandbox) -> Option<(std::path::PathBuf, u64)> {
    use std::os::unix::fs::MetadataExt;
    let names = sandbox.list("cache/pkdgan/pictures");
    assert!(names.len() <= 1, "{names:?}");
    let path = sandbox.path(&format!("cache/pkdgan/pictures/{}", names.first()?));
    let inode = fs::metadata(&path).unwrap().ino();
    Some((path, inode))
}

#[cfg(unix)]
#[test]
fn many_decoded_pictures_are_kept_until_one_of_them_changes() {
    let sandbox = Sandbox::new();
    colourless(&sandbox, "good", 100);
    let small = ["--images=good", "--out=run", "--force"];
    succeeds(&sandbox, &small);
    assert_eq!(kept(&sandbox), None, "a few are decoded faster than found");
    let large = [
        "--images=good",
        "--out=run",
        "--force",
        "--size=128",
        "--set=network.generator=[2,2,2,2,2]",
        "--set=network.discriminator=[2,2,2,2,2]",
        "--set=student.discriminator=[2,2,2,2,2]",
        "--set=student.alone.steps=2",
    ];
    // A picture that was changed a moment ago could be changed again without a sign of it.
    sandbox.write("good/000.png", &sandbox.read("good/001.png"));
    succeeds(&sandbox, &large);
    assert_eq!(kept(&sandbox), None);
    let settle = || std::thread::sleep(std::time::Duration::from_secs(5));
    settle();
    succeeds(&sandbox, &large);
    let first = kept(&sandbox).expect("a kept file");
    let model = sandbox.read("run/model.safetensors");
    // The second run takes it, and so does one that has found out that the pictures are grey.
    succeeds(&sandbox, &large);
    assert!(sandbox.read("run/model.safetensors") == model);
    assert!(resume(&sandbox, &[]).status.success());
    assert!(sandbox.read("run/model.safetensors") == model);
    assert_eq!(kept(&sandbox).as_ref(), Some(&first));

    // A damaged one is made again: here the last byte says what became of the last picture.
    let mut bytes = fs::read(&first.0).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&first.0, &bytes).unwrap();
    succeeds(&sandbox, &large);
    let second = kept(&sandbox).expect("a kept file");
    assert_ne!(second.1, first.1);
    assert!(sandbox.read("run/model.safetensors") == model);

    // Another picture under the name, of the same length and with the old time of writing.
    let path = sandbox.path("good/005.png");
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    let config = sandbox.read("run/config.toml");
    sandbox.write("good/005.png", &sandbox.read("good/006.png"));
    fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
    assert_eq!(resume(&sandbox, &[]).status.code(), Some(1));
    settle();
    succeeds(&sandbox, &large);
    assert_ne!(kept(&sandbox).expect("a kept file").1, second.1);
    assert!(sandbox.read("run/config.toml") != config);

    // Without a folder to keep them in they are decoded all the same.
    sandbox.write("file", b"");
    let output = sandbox.pkdgan(&["eval", "run"]).env("PKDGAN_CACHE", sandbox.path("file")).output().unwrap();
    assert!(output.status.success() && stderr(&output).contains("PKDGAN_CACHE"), "{}", stderr(&output));
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
