//! `pkdgan train --images`: pictures of one's own.

mod command;

use std::fs;
use std::path::Path;

use command::{Sandbox, TINY, stderr};
use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
use pkdgan::config::Config;
use pkdgan::data::{Colour, Range};
use pkdgan::model::ModelFile;
use pkdgan::unstable::calibration::tie_bound;
use sha2::{Digest, Sha256};

/// A blob whose place goes by a number.
fn blob(n: u32, width: u32, height: u32) -> GrayImage {
    let (x0, y0) = (width / 3 + n % 5, height / 3 + n % 9);
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
    assert_eq!(reader.headers().unwrap(), vec!["path", "label", "score", "p_value"]);
    let rows = reader.deserialize().map(|row| row.unwrap());
    rows.map(|(path, label, score, p_value): (String, u8, f32, Option<f64>)| {
        assert!(score.is_finite() && p_value.is_none_or(|p_value| p_value > 0.0 && p_value <= 1.0));
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
    assert_eq!(threshold, tie_bound(*calibration.scores().last().unwrap()));

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
    let mut names = sandbox.list("cache/pkdgan/pictures");
    names.retain(|name| name.ends_with(".raw"));
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

/// Pictures of scenes, each `frames` times with a little noise, brighter and darker, in the folder of a scene.
fn scenes(sandbox: &Sandbox, folder: &str, scenes: u32, frames: u32) {
    for scene in 0..scenes {
        fs::create_dir_all(sandbox.path(&format!("{folder}/{scene:02}"))).unwrap();
        let mut noise = 1 + scene;
        let waves = [scene % 7 + 1, scene / 7 + 2, scene % 3 + 1].map(f64::from);
        for frame in 0..frames {
            let light = 0.9 + 0.01 * f64::from(frame);
            let picture = GrayImage::from_fn(64, 64, |x, y| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let [x, y] = [x, y].map(|place| f64::from(place) / 64.0);
                let wave =
                    (6.3 * waves[0] * x).sin() + (6.3 * waves[1] * y + waves[2]).cos() + (9.0 * x * y * waves[2]).sin();
                Luma([(light * (128.0 + 35.0 * wave) + f64::from(noise >> 28) - 8.0) as u8])
            });
            picture.save(sandbox.path(&format!("{folder}/{scene:02}/tile{scene:02}_{frame:02}.png"))).unwrap();
        }
    }
}

#[test]
fn near_copies_are_one_group_and_the_promise_counts_groups() {
    let sandbox = Sandbox::new();
    scenes(&sandbox, "good", 40, 15);
    let output = succeeds(&sandbox, &["--images=good", "--out=run"]);
    let said = stderr(&output);
    // 32 groups of 15 train; of 8 groups one image each is held out.
    for part in [
        "480 training images, 8 more held out",
        "600 normal images are 40 independent groups, the largest of 15 images",
        "112 images of these are not used",
        "8 independent groups cannot promise fewer than 11.2 % false alarms",
        "495 normal images that are no copies",
        "`--alpha 0.112`",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // It is said before training.
    assert!(said.find("cannot promise").unwrap() < said.find("run folder").unwrap(), "{said}");
    let report = sandbox.json("run/report.json");
    let groups = serde_json::json!({
        "group_by": "copies", "pictures": 600, "groups": 40, "largest": 15, "training": 32, "calibration": 8,
        "left_out": 112,
    });
    assert_eq!(report["groups"], groups);
    assert_eq!(report["networks"][0]["threshold"]["images"], 8);
    assert_eq!(report["networks"][0]["threshold"]["alpha"], 1.0 / 9.0);
    assert!(String::from_utf8_lossy(&output.stdout).contains("promises at most 11.12 % false alarms"));
    // Of each group another frame.
    let held: Vec<(String, u8)> = rows(&sandbox, "run/scores.csv");
    let frames: Vec<&str> = held.iter().map(|(path, _)| path.rsplit('/').next().unwrap()).collect();
    let expected =
        ["tile04_00.png", "tile09_01.png", "tile14_02.png", "tile19_03.png", "tile24_04.png", "tile29_05.png"];
    assert_eq!(frames[..6], expected);
    assert!(String::from_utf8(sandbox.read("run/config.toml")).unwrap().contains("group_by = \"copies\""));
    // What it says can be typed: the rate, here and where it is left out.
    for more in [&[][..], &["--alpha=0.112"]] {
        let output = sandbox.pkdgan(&["score", "run", "good/00", "--device=cpu"]).args(more).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stderr(&output).contains("8 calibration images cannot promise"), more.is_empty());
    }
    // Folders and names say the same here; a run without groups counts every file.
    for how in ["folder", "^(tile[0-9]+)_"] {
        let output = succeeds(&sandbox, &["--images=good", "--out=again", "--force", "--group-by", how]);
        assert_eq!(sandbox.read("again/model.safetensors"), sandbox.read("run/model.safetensors"), "{how}");
        assert!(stderr(&output).contains("40 independent groups"), "{how}");
    }
    let output = succeeds(&sandbox, &["--images=good", "--out=files", "--group-by=none"]);
    assert!(stderr(&output).contains("480 training images, 120 more held out"), "{}", stderr(&output));

    // A test on anomalies has groups of its own.
    scenes(&sandbox, "bad", 2, 3);
    let output = succeeds(&sandbox, &["--images=good", "--anomalies=bad", "--out=tested"]);
    assert!(stderr(&output).contains("360 training images, 8 more held out"), "{}", stderr(&output));
    let tested = rows(&sandbox, "tested/scores.csv");
    assert_eq!(tested.iter().filter(|(_, label)| *label == 0).count(), 120);
}

#[test]
fn folders_without_independent_pictures_are_refused_with_a_way_out() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("one")).unwrap();
    for n in 0..120 {
        blob(1, 40, 30).save(sandbox.path(&format!("one/{n}.png"))).unwrap();
    }
    let failed = |more: &[&str], code: i32, part: &str| {
        let output = train(&sandbox, more);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
        assert_eq!(sandbox.list("runs"), Vec::<String>::new());
    };
    failed(&["--images=one"], 1, "120 pictures are 1 independent groups, and at least 2 are needed");
    grey(&sandbox, "good", 30);
    failed(&["--images=good", "--group-by=^(tile"], 2, "says no groups");
    failed(&["--images=good", "--group-by=^tile"], 2, "no group in parentheses");
    failed(&["--images=good", "--group-by=^(tile[0-9]+)_"], 1, "000.png: the name has no group");
    failed(&["--images=good", "--group-by=folder"], 1, "30 pictures are 1 independent groups");
    failed(&["--images=good", "--calibration-images=good"], 1, "keep them apart");
    failed(&["--images=good", "--calibration-images=one", "--calibration=0.1"], 2, "--calibration");
    failed(&["--resume=runs/a", "--group-by=none"], 2, "--group-by");
    // The picture is among the good ones: it says nothing of new ones.
    failed(&["--images=good", "--calibration-images=one"], 1, "one: 150 pictures are 0 independent groups");

    // Ways out that the messages name.
    succeeds(&sandbox, &["--images=one", "--group-by=none", "--out=alike"]);
    grey(&sandbox, "held", 45);
    let output = succeeds(&sandbox, &["--images=good", "--calibration-images=held", "--out=run"]);
    let said = stderr(&output);
    // 30 of the 45 are copies of training pictures.
    for part in ["30 training images, 15 more held out", "75 normal images are 45 independent groups", "6.25 %"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.contains("folder of --calibration-images"), "{said}");
    let scored = rows(&sandbox, "run/scores.csv");
    assert!(scored.len() == 15 && scored.iter().all(|(path, _)| path.contains("/held/")), "{scored:?}");
    fs::create_dir_all(sandbox.path("bad")).unwrap();
    GrayImage::from_pixel(30, 30, Luma([100])).save(sandbox.path("bad/0.png")).unwrap();
    let more = ["--images=good", "--calibration-images=held", "--anomalies=bad", "--out=tested"];
    let output = succeeds(&sandbox, &more);
    let report = sandbox.json("tested/report.json");
    let threshold = &report["networks"][0]["threshold"];
    // The pictures that set the threshold say nothing about it.
    assert!(threshold["false_alarm_rate"].is_null() && threshold["detection_rate"].is_f64(), "{report}");
    assert_eq!(report["groups"]["training"], 30);
    assert!(String::from_utf8_lossy(&output.stdout).contains("of the anomalies found"));
    // A run goes on with the same held-out pictures only.
    let resume_from =
        |more: &[&str]| sandbox.pkdgan(&[&["train", "--resume", "tested"], more].concat()).output().unwrap();
    fs::remove_file(sandbox.path("tested/report.json")).unwrap();
    fs::remove_file(sandbox.path("tested/model.safetensors")).unwrap();
    let resume = || resume_from(&[]);
    fs::rename(sandbox.path("held/044.png"), sandbox.path("held/new.png")).unwrap();
    assert!(stderr(&resume()).contains("not those that the run began with"));
    fs::rename(sandbox.path("held/new.png"), sandbox.path("held/044.png")).unwrap();
    // They may lie elsewhere, if that is said.
    fs::rename(sandbox.path("held"), sandbox.path("elsewhere")).unwrap();
    assert!(stderr(&resume()).contains("held"), "{}", stderr(&resume()));
    let output = resume_from(&["--images=good", "--calibration-images=elsewhere"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = sandbox.pkdgan(&["eval", "run", "--anomalies=elsewhere"]).output().unwrap();
    assert!(stderr(&output).contains("this run has none"), "{}", stderr(&output));
}

#[test]
fn one_picture_many_times_is_normal_on_every_path() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("one")).unwrap();
    for n in 0..120 {
        blob(1, 40, 30).save(sandbox.path(&format!("one/{n}.png"))).unwrap();
    }
    let long = ["--images=one", "--group-by=none", "--set=student.alone.steps=300", "--out=run"];
    for device in ["cpu", "gpu"] {
        succeeds(&sandbox, &[&long[..], &["--force", "--device", device]].concat());
        sandbox.pkdgan(&["export", "run", "--format=safetensors-f16", "--force"]).assert().success();
        for model in ["run", "run/model.f16.safetensors"] {
            for path in ["cpu", "op-by-op", "fused-f32", "fused-f16"] {
                let arguments = ["score", model, "one/0.png", "--device=gpu", "--path", path, "--format=jsonl"];
                let output = sandbox.pkdgan(&arguments).output().unwrap();
                assert!(output.status.success(), "{}", stderr(&output));
                let row: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
                assert_eq!(
                    (&row["p_value"], &row["verdict"]),
                    (&1.0.into(), &"normal".into()),
                    "{path} {model}: {row}"
                );
            }
        }
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
    let more =
        ["--images=deep", "--exclude=old/", "--group-by=none", "--out=run", "--range=auto", "--colour=grey", "-q"];
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
        let [path, _, score, p_value] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let expected: f32 = score.parse().unwrap();
        assert!((0.0..=1.0).contains(&p_value.parse::<f64>().unwrap()), "{row}");
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

#[test]
fn pictures_that_may_be_mirrored_are_seen_so() {
    let sandbox = Sandbox::new();
    grey(&sandbox, "good", 24);
    let images = ["--images=good", "--group-by=none"];
    let mut made = std::collections::BTreeSet::new();
    for (symmetry, mirrored) in [
        (None, [false, false]),
        (Some("left-right"), [true, false]),
        (Some("top-bottom"), [false, true]),
        (Some("both"), [true, true]),
    ] {
        let run = symmetry.unwrap_or("none");
        let flag = symmetry.map(|how| format!("--symmetry={how}"));
        let more: Vec<&str> = images.into_iter().chain(flag.as_deref()).chain(["--out", run]).collect();
        succeeds(&sandbox, &more);
        let augmentation = Config::read(&sandbox.path(&format!("{run}/config.toml"))).unwrap().training.augmentation;
        assert_eq!([augmentation.mirror, augmentation.flip], mirrored, "{run}");
        made.insert(sandbox.read(&format!("{run}/model.safetensors")));
    }
    assert_eq!(made.len(), 4, "each trains another network");
    let output = train(&sandbox, &["--images=good", "--symmetry=sideways"]);
    assert!(
        !output.status.success() && stderr(&output).contains("left-right, top-bottom, both"),
        "{}",
        stderr(&output)
    );
}
