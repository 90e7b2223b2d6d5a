//! `pkdgan train --images` on folders as inspection data sets have them, and normal pictures to test with.

mod command;

use std::fs;
use std::process::Output;

use command::{Sandbox, TINY, stderr};
use image::{GrayImage, Luma};
use pkdgan::config::Config;
use serde_json::Value;

/// Pictures of a blob whose place goes by a number, from `first` on.
fn pictures(sandbox: &Sandbox, folder: &str, first: u32, count: u32) {
    fs::create_dir_all(sandbox.path(folder)).unwrap();
    for n in first..first + count {
        let (x0, y0) = (10 + n % 5, 10 + n % 9);
        let picture = GrayImage::from_fn(32, 32, |x, y| {
            let distance = x.abs_diff(x0).pow(2) + y.abs_diff(y0).pow(2);
            Luma([255_u32.saturating_sub(2 * distance) as u8])
        });
        picture.save(sandbox.path(&format!("{folder}/{n:03}.png"))).unwrap();
    }
}

/// 30 normal pictures to train on, 6 to test with, and 5 and 4 of two kinds of defects.
fn bottle(sandbox: &Sandbox, folder: &str) {
    pictures(sandbox, &format!("{folder}/train/good"), 0, 30);
    pictures(sandbox, &format!("{folder}/test/good"), 30, 6);
    for (kind, value) in [("broken_large", 40), ("contamination", 90)] {
        let inner = sandbox.path(&format!("{folder}/test/{kind}"));
        fs::create_dir_all(&inner).unwrap();
        for n in 0..if value == 40 { 5 } else { 4 } {
            GrayImage::from_pixel(32, 32, Luma([value + n])).save(inner.join(format!("{n:03}.png"))).unwrap();
        }
    }
    // Masks judge places, and are no pictures of the part.
    pictures(sandbox, &format!("{folder}/ground_truth/broken_large"), 0, 5);
}

fn train(sandbox: &Sandbox, more: &[&str]) -> Output {
    let mut command = sandbox.pkdgan(&["train", "--stage=student", "--group-by=none"]);
    command.args(TINY).args(more).output().unwrap()
}

fn succeeds(sandbox: &Sandbox, more: &[&str]) -> Output {
    let output = train(sandbox, more);
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

/// How many pictures of each label, and the paths.
fn scored(sandbox: &Sandbox, file: &str) -> ([usize; 2], Vec<String>) {
    let mut reader = csv::Reader::from_path(sandbox.path(file)).unwrap();
    let rows: Vec<(String, u8, f32)> = reader.deserialize().map(Result::unwrap).collect();
    let of = |label: u8| rows.iter().filter(|(_, one, _)| *one == label).count();
    ([of(0), of(1)], rows.into_iter().map(|(path, ..)| path).collect())
}

#[test]
fn a_folder_in_the_layout_of_an_inspection_set_is_taken_so() {
    let sandbox = Sandbox::new();
    bottle(&sandbox, "bottle");
    let output = succeeds(&sandbox, &["--images", "bottle"]);
    let said = stderr(&output);
    let layout = "bottle train/good trains, test/good and the other folders of test judge; masks under ground_truth judge places";
    assert!(said.contains(layout) && said.contains("15 to evaluate on"), "{said}");
    // Of 30 normal pictures a fifth sets the threshold, and none is spent on the test.
    assert!(said.contains("24 training images, 6 more held out"), "{said}");
    // The run is named after the part.
    let run = "runs/bottle-default-seed0";
    let (counts, paths) = scored(&sandbox, &format!("{run}/scores.csv"));
    assert_eq!(counts, [6, 9]);
    assert!(paths.iter().all(|path| path.contains("/bottle/test/")), "{paths:?}");
    assert!(paths[..6].iter().all(|path| path.contains("/test/good/")), "{paths:?}");
    let report = sandbox.json(&format!("{run}/report.json"));
    let threshold = &report["networks"][0]["threshold"];
    assert!(threshold["false_alarm_rate"].is_f64() && threshold["detection_rate"].is_f64(), "{report}");
    // What it finds of painted defects, beside simple detectors on the same pixels; they see the anomalous ones too.
    let found = &report["sensitivity"];
    assert_eq!(found["images"], 6);
    let detectors = found["detectors"].as_array().unwrap();
    let names: Vec<&str> = detectors.iter().map(|detector| detector["detector"].as_str().unwrap()).collect();
    // The network by each kind of score.
    assert_eq!(names[..5], ["student-alone"; 5]);
    assert_eq!(names[5..], ["nearest-neighbour", "pca"]);
    for detector in detectors {
        assert_eq!(detector["defects"].as_array().unwrap().len(), 60);
        let shares = ["auroc", "found", "anomalies_auroc"].map(|key| detector[key].as_f64().unwrap());
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{detector}");
    }
    // Plain pictures are nothing like a blob: the simple detectors tell them all.
    assert!(detectors[5..].iter().all(|simple| simple["anomalies_auroc"] == 1.0), "{found}");
    // Of the anomalous ones five have masks; the others are named.
    let places = &report["localization"];
    assert_eq!([&places["masks"], &places["normal"], &places["unusable"]], [5, 6, 4]);
    let network = &places["networks"][0];
    assert_eq!(network["network"], "student-alone");
    for key in ["pixel_auroc", "maximum_on_defect", "defect_area"] {
        assert!((0.0..=1.0).contains(&network[key].as_f64().unwrap()), "{places}");
    }
    assert!(said.contains("of 9 anomalous images 4 have no mask") && said.contains("contamination/000.png"), "{said}");
    // The network's heat maps point at painted defects too; simple detectors have none.
    let painted = &detectors[0]["localization"];
    assert!(painted["pixel_auroc"].is_f64() && detectors[0]["defects"][0]["localization"].is_object(), "{found}");
    assert!(detectors[1..].iter().all(|simple| simple.get("localization").is_none()), "{found}");
    let page = String::from_utf8(sandbox.read(&format!("{run}/report.html"))).unwrap();
    assert!(page.contains("id=\"places\"") && page.contains("point at 5 defects"));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("heat maps of student-alone beside 5 masks: pixel AUROC"), "{stdout}");
    assert!(
        stdout.contains("defects painted into 6 normal images") && stdout.contains("nearest-neighbour"),
        "{stdout}"
    );
    let images = Config::read(&sandbox.path(&format!("{run}/config.toml"))).unwrap().data.images.unwrap();
    assert!(images.folder.ends_with("bottle/train/good") && images.anomalies.ends_with("bottle/test"), "{images:?}");
    assert!(images.test_normal.ends_with("bottle/test/good"), "{images:?}");

    // Moved as a whole, one flag tells.
    let scores = sandbox.read(&format!("{run}/scores.csv"));
    fs::rename(sandbox.path("bottle"), sandbox.path("moved")).unwrap();
    for place in ["moved", "moved/train/good"] {
        let output = sandbox.pkdgan(&["eval", run, "--images", place, "--scores=again.csv"]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let (counts, paths) = scored(&sandbox, "again.csv");
        assert_eq!(counts, [6, 9]);
        assert!(paths.iter().all(|path| path.starts_with("moved/test/")), "{paths:?}");
    }
    let before = format!("{}/", sandbox.path("bottle").display());
    let renamed = String::from_utf8(scores).unwrap().replace(&before, "moved/");
    assert_eq!(renamed.as_bytes(), sandbox.read("again.csv"));

    // So does an evaluation later, of the pictures that it is about.
    let evaluated = |more: &[&str]| -> Value {
        let mut command = sandbox.pkdgan(&["eval", run, "--images", "moved", "--json"]);
        let output = command.args(more).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["localization"].take()
    };
    let again = evaluated(&[]);
    assert_eq!([&again["masks"], &again["normal"], &again["unusable"]], [5, 6, 4]);
    for key in ["pixel_auroc", "maximum_on_defect", "defect_area"] {
        assert_eq!(again["networks"][0][key], network[key], "{key}");
    }
    let some = evaluated(&["--exclude=contamination", "--exclude=000.png", "--exclude=03?.png"]);
    assert_eq!([&some["masks"], &some["normal"], &some["unusable"]], [4, 0, 0]);
    let output = sandbox.pkdgan(&["eval", run, "--images", "moved"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(stdout.contains("heat maps of model beside 5 masks: pixel AUROC"), "{stdout}");
    assert!(stderr(&output).contains("4 have no mask"), "{}", stderr(&output));
}

#[test]
fn normal_pictures_to_test_with_spare_those_that_train() {
    let sandbox = Sandbox::new();
    bottle(&sandbox, "b");
    pictures(&sandbox, "good", 0, 30);
    let output = succeeds(&sandbox, &["--images=good", "--anomalies=b/test/contamination", "--out=spent"]);
    assert!(stderr(&output).contains("18 training images, 6 more held out"), "{}", stderr(&output));
    let more = ["--images=good", "--anomalies=b/test", "--test-normal=b/test/good", "--out=spared"];
    let output = succeeds(&sandbox, &more);
    assert!(stderr(&output).contains("24 training images, 6 more held out"), "{}", stderr(&output));
    assert_eq!(scored(&sandbox, "spared/scores.csv").0, [6, 9]);
    // Folders that are named stay as they are named.
    let more = ["--images=b", "--anomalies=b/test/contamination", "--out=named"];
    let output = succeeds(&sandbox, &more);
    assert!(stderr(&output).contains("b train/good trains"), "{}", stderr(&output));
    assert_eq!(scored(&sandbox, "named/scores.csv").0, [6, 4]);

    let failed = |more: &[&str], code: i32, part: &str| {
        let output = train(&sandbox, more);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
    };
    failed(&["--images=good", "--test-normal=b/test/good"], 2, "--anomalies");
    failed(&["--images=good", "--anomalies=b/test/good", "--test-normal=b/test/good"], 1, "keep them apart");
    failed(&["--images=good", "--anomalies=b/test/good", "--test-normal=b/test"], 1, "keep them apart");
    failed(&["--images=good", "--anomalies=b/test", "--test-normal=good"], 1, "used for nothing else");
    assert_eq!(sandbox.list("runs"), Vec::<String>::new());
}

#[test]
fn folders_of_defects_are_no_normal_pictures() {
    let sandbox = Sandbox::new();
    bottle(&sandbox, "b");
    pictures(&sandbox, "b/test/good", 40, 20);
    let output = train(&sandbox, &["--images=b/test"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    for part in ["test/broken_large", "--anomalies", "--exclude"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(sandbox.list("runs"), Vec::<String>::new());
    // A run that an earlier version began goes on: its settings say which pictures they are.
    fs::rename(sandbox.path("b/test"), sandbox.path("b/was")).unwrap();
    for (kind, name) in [("broken_large", "x1"), ("contamination", "x2")] {
        fs::rename(sandbox.path(&format!("b/was/{kind}")), sandbox.path(&format!("b/was/{name}"))).unwrap();
    }
    succeeds(&sandbox, &["--images=b/was", "--out=old"]);
    for (kind, name) in [("broken_large", "x1"), ("contamination", "x2")] {
        fs::rename(sandbox.path(&format!("b/was/{name}")), sandbox.path(&format!("b/was/{kind}"))).unwrap();
    }
    fs::rename(sandbox.path("b/was"), sandbox.path("b/test")).unwrap();
    let output = sandbox.pkdgan(&["eval", "old", "--images=b/test"]).output().unwrap();
    // Not refused for the name: other names are other pictures.
    assert!(stderr(&output).contains("not those that the run began with"), "{}", stderr(&output));

    // The ways out that it names.
    succeeds(&sandbox, &["--images=b/test", "--exclude=broken_large", "--exclude=contamination", "--out=run"]);
    fs::rename(sandbox.path("b/test/broken_large"), sandbox.path("away")).unwrap();
    fs::rename(sandbox.path("b/test/contamination"), sandbox.path("more")).unwrap();
    succeeds(&sandbox, &["--images=b/test", "--anomalies=away", "--out=tested"]);
}
