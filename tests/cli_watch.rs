//! `pkdgan watch`: pictures arrive, rows appear.

mod command;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use command::{Held, Sandbox, stderr};
use image::{GrayImage, ImageFormat, Luma};
use pkdgan::model::ModelFile;
use pkdgan::unstable::calibration::Calibration;
use serde_json::Value;

/// How long a test waits for what must come, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A row.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
struct Row {
    path: String,
    score: Option<f32>,
    p_value: Option<f64>,
    verdict: Option<String>,
    error: Option<String>,
}

/// A sandbox with a student in `model`, calibrated by these scores, and a folder `in`.
fn calibrated(scores: Option<Vec<f32>>) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.trained("run", &["--stage", "student"]);
    let mut model = ModelFile::read(&sandbox.path("run/model.safetensors")).unwrap();
    model.calibration = scores.map(|scores| Calibration::new(scores).unwrap());
    model.write(&sandbox.path("model")).unwrap();
    fs::create_dir(sandbox.path("in")).unwrap();
    sandbox
}

fn sandbox() -> Sandbox {
    calibrated(Some((1..=150).map(|place| place as f32 / 50.0).collect()))
}

/// A PNG file like no other: a blob and some noise.
fn picture(index: usize) -> Vec<u8> {
    let [x0, y0] = [index % 20 + 4, index / 20 % 20 + 4];
    let mut noise = index as u32;
    let picture = GrayImage::from_fn(28, 28, |x, y| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let distance = (x as usize).abs_diff(x0).pow(2) + (y as usize).abs_diff(y0).pow(2);
        Luma([(220 - (12 * distance).min(220)) as u8 + (noise >> 27) as u8])
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn pictures(sandbox: &Sandbox, count: usize) {
    for index in 0..count {
        sandbox.write(&format!("in/{index:04}.png"), &picture(index));
    }
}

fn once(sandbox: &Sandbox, more: &[&str], code: i32) -> Output {
    let arguments = ["watch", "model", "in", "-o", "rows", "--once"];
    let output = sandbox.pkdgan(&[&arguments[..], more].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    output
}

fn start(sandbox: &Sandbox, more: &[&str]) -> Held {
    let mut held = Held::start(&sandbox.pkdgan(&[&["watch", "model", "in", "-o", "rows"], more].concat()), 1);
    held.until("watching in");
    held
}

fn csv(bytes: &[u8]) -> Vec<Row> {
    csv::Reader::from_reader(bytes).deserialize().map(Result::unwrap).collect()
}

fn rows(sandbox: &Sandbox) -> Vec<Row> {
    csv(&sandbox.read("rows"))
}

/// Rows so far; one may be half written.
fn count(sandbox: &Sandbox) -> usize {
    let bytes = sandbox.read("rows");
    bytes.iter().filter(|&&byte| byte == b'\n').count().saturating_sub(1)
}

fn wait(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        sleep(Duration::from_millis(20));
    }
}

/// The events of a command.
fn events(output: &str) -> Vec<Value> {
    output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Copies 100 pictures a second for half a minute into `in`, in every way that there is.
fn copy(folder: &Path) -> Vec<PathBuf> {
    const PICTURES: usize = 3000;
    let (folder, beside) = (folder.join("in"), folder.join("beside"));
    fs::create_dir_all(&beside).unwrap();
    let (start, mut paths) = (Instant::now(), Vec::new());
    // What is only half there.
    let mut halves: VecDeque<(Instant, File, Vec<u8>)> = VecDeque::new();
    for index in 0..PICTURES {
        let bytes = picture(index);
        let name = format!("{index:04}.png");
        let path = match index % 10 {
            3 => {
                let inner = folder.join(format!("sub{}/inner", index / 200));
                fs::create_dir_all(&inner).unwrap();
                inner.join(&name)
            }
            4 if index % 100 == 4 => folder.join(format!("moved{index}")).join(&name),
            _ => folder.join(&name),
        };
        match index % 10 {
            0 => {
                let mut file = File::create(&path).unwrap();
                let (first, second) = bytes.split_at(bytes.len() / 2);
                file.write_all(first).unwrap();
                halves.push_back((Instant::now() + Duration::from_millis(300), file, second.to_vec()));
            }
            1 => {
                fs::write(folder.join(format!(".{name}")), &bytes).unwrap();
                fs::rename(folder.join(format!(".{name}")), &path).unwrap();
            }
            2 => {
                fs::write(beside.join(&name), &bytes).unwrap();
                fs::rename(beside.join(&name), &path).unwrap();
            }
            4 if index % 100 == 4 => {
                // A folder that has it already.
                let made = beside.join(format!("moved{index}"));
                fs::create_dir(&made).unwrap();
                fs::write(made.join(&name), &bytes).unwrap();
                fs::rename(&made, path.parent().unwrap()).unwrap();
            }
            _ => fs::write(&path, &bytes).unwrap(),
        }
        paths.push(path);
        let next = start + Duration::from_millis(10) * (index as u32 + 1);
        while halves.front().is_some_and(|(due, ..)| *due <= next || index + 1 == PICTURES) {
            let (_, mut file, rest) = halves.pop_front().unwrap();
            file.write_all(&rest).unwrap();
        }
        sleep(next.saturating_duration_since(Instant::now()));
    }
    paths
}

#[test]
fn no_picture_is_lost_or_scored_twice_whatever_kills_the_watch() {
    let sandbox = sandbox();
    // Long, so that a slow machine calls no half a failure.
    let arguments = ["--settle=10", "--poll=2"];
    let mut watch = start(&sandbox, &arguments);
    let folder = sandbox.path("");
    let copying = spawn(move || copy(&folder));
    for (rows, pause) in [(300, 0), (1200, 500), (2100, 2000)] {
        wait("rows", || count(&sandbox) >= rows);
        watch.kill();
        sleep(Duration::from_millis(pause));
        watch = start(&sandbox, &arguments);
    }
    let mut expected: Vec<String> = copying
        .join()
        .unwrap()
        .iter()
        .map(|path| path.strip_prefix(sandbox.path("")).unwrap().to_str().unwrap().to_owned())
        .collect();
    wait("all rows", || count(&sandbox) >= expected.len());
    watch.interrupt();
    let (status, said) = watch.finish();
    assert!(status.success(), "{said}");
    assert!(said.contains("3000 pictures scored, 0 failed, 0 waiting"), "{said}");

    let mut rows = rows(&sandbox);
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    expected.sort();
    assert_eq!(rows.iter().map(|row| &row.path).collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    let scored = sandbox.pkdgan(&["score", "model", "in"]).output().unwrap();
    assert!(scored.status.success(), "{}", stderr(&scored));
    let mut scored = csv(&scored.stdout);
    scored.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(rows == scored);
}

#[test]
fn a_row_that_was_cut_short_is_written_again() {
    let sandbox = sandbox();
    pictures(&sandbox, 12);
    for format in ["--format=csv", "--format=jsonl"] {
        once(&sandbox, &[format], 0);
        let whole = sandbox.read("rows");
        let lines = |bytes: &[u8]| -> Vec<String> {
            let mut lines: Vec<_> = std::str::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect();
            lines[usize::from(format.contains("csv"))..].sort();
            lines
        };
        for len in [0, 1, 30, whole.len() / 2, whole.len() - 1] {
            sandbox.write("rows", &whole[..len]);
            let said = stderr(&once(&sandbox, &[format], 0));
            assert_eq!(said.contains("cut short"), !whole[..len].ends_with(b"\n") && len > 0, "{len}: {said}");
            assert_eq!(lines(&sandbox.read("rows")), lines(&whole), "{len}");
        }
        // Nothing is new.
        once(&sandbox, &[format], 0);
        assert_eq!(lines(&sandbox.read("rows")), lines(&whole));
        fs::remove_file(sandbox.path("rows")).unwrap();
    }
}

#[test]
fn a_half_that_stays_is_a_failure_and_the_whole_another_picture() {
    let sandbox = sandbox();
    let mut watch = start(&sandbox, &["--settle=0.3"]);
    let bytes = picture(0);
    let mut file = File::create(sandbox.path("in/a.png")).unwrap();
    file.write_all(&bytes[..bytes.len() / 2]).unwrap();
    wait("a failure", || count(&sandbox) == 1);
    file.write_all(&bytes[bytes.len() / 2..]).unwrap();
    drop(file);
    wait("a score", || count(&sandbox) == 2);
    watch.interrupt();
    let (status, said) = watch.finish();
    assert!(status.success() && said.contains("1 pictures scored, 1 failed"), "{said}");
    let rows = rows(&sandbox);
    assert!(rows.iter().all(|row| row.path == "in/a.png"), "{rows:?}");
    assert!(rows[0].error.as_ref().unwrap().contains("damaged") && rows[0].score.is_none(), "{rows:?}");
    assert!(rows[1].error.is_none() && rows[1].score.is_some(), "{rows:?}");
    once(&sandbox, &[], 0);
    assert_eq!(count(&sandbox), 2);
}

#[test]
fn what_is_no_picture_fails_once_and_what_lies_beside_pictures_never() {
    let sandbox = sandbox();
    pictures(&sandbox, 3);
    for name in ["in/broken.png", "in/empty.png", "in/notes.txt", "in/.hidden.png", "in/Thumbs.db"] {
        sandbox.write(name, if name.contains("empty") { b"" } else { b"no picture" });
    }
    fs::create_dir(sandbox.path("in/old")).unwrap();
    sandbox.write("in/old/0.png", &picture(9));
    let said = stderr(&once(&sandbox, &["--settle=0.1", "--exclude=old/", "--format=jsonl"], 1));
    assert!(said.contains("error: in/broken.png: ") && said.contains("error: in/empty.png: "), "{said}");
    let rows: Vec<Value> = String::from_utf8(sandbox.read("rows"))
        .unwrap()
        .lines()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    let failed: Vec<_> =
        rows.iter().filter(|row| !row["error"].is_null()).map(|row| row["path"].as_str().unwrap()).collect();
    assert_eq!((rows.len(), failed), (5, vec!["in/broken.png", "in/empty.png"]));
    assert!(rows.iter().all(|row| row["modified"].as_str().unwrap().ends_with('Z') && row["size"].is_u64()));
    // The second time nothing is new, so nothing fails.
    let said = stderr(&once(&sandbox, &["--settle=0.1", "--exclude=old/", "--format=jsonl"], 0));
    assert!(!said.contains("error"), "{said}");
    assert_eq!(String::from_utf8(sandbox.read("rows")).unwrap().lines().count(), 5);
}

#[test]
fn a_picture_written_anew_is_another_and_the_same_is_not() {
    let sandbox = sandbox();
    pictures(&sandbox, 2);
    once(&sandbox, &[], 0);
    let modified = fs::metadata(sandbox.path("in/0000.png")).unwrap().modified().unwrap();
    let set =
        |time| File::options().append(true).open(sandbox.path("in/0000.png")).unwrap().set_modified(time).unwrap();
    sandbox.write("in/0000.png", &picture(0));
    set(modified);
    once(&sandbox, &[], 0);
    assert_eq!(count(&sandbox), 2);
    set(modified + Duration::from_millis(10));
    once(&sandbox, &[], 0);
    assert_eq!(count(&sandbox), 3);
    // What went has its row still.
    fs::remove_file(sandbox.path("in/0001.png")).unwrap();
    once(&sandbox, &[], 0);
    assert_eq!(
        rows(&sandbox).iter().map(|row| &row.path[..]).collect::<Vec<_>>(),
        ["in/0000.png", "in/0001.png", "in/0000.png"]
    );
}

#[test]
fn the_system_tells_of_pictures_that_come_and_the_old_may_be_left_out() {
    let sandbox = sandbox();
    pictures(&sandbox, 3);
    // No look at all files helps; the rows lie in the folder.
    let more = ["--poll=1000", "--new-only", "--exclude=no*", "--output=in/rows.jsonl", "--format=jsonl"];
    let mut held = Held::start(&sandbox.pkdgan(&[&["watch", "model", "in"][..], &more].concat()), 1);
    held.until("watching in");
    sandbox.write("in/no.png", &picture(7));
    sandbox.write("in/new.png", &picture(8));
    fs::write(sandbox.path("beside.png"), picture(9)).unwrap();
    fs::rename(sandbox.path("beside.png"), sandbox.path("in/moved.png")).unwrap();
    wait("two rows", || String::from_utf8(sandbox.read("in/rows.jsonl")).unwrap().lines().count() == 2);
    // In a folder that comes.
    fs::create_dir_all(sandbox.path("in/deep/er")).unwrap();
    sandbox.write("in/deep/er/a.png", &picture(10));
    wait("three rows", || String::from_utf8(sandbox.read("in/rows.jsonl")).unwrap().lines().count() == 3);
    held.interrupt();
    let (status, said) = held.finish();
    assert!(status.success() && said.contains("3 pictures scored, 0 failed"), "{said}");
    for path in ["in/new.png", "in/moved.png", "in/deep/er/a.png"] {
        assert!(String::from_utf8(sandbox.read("in/rows.jsonl")).unwrap().contains(path), "{path}");
    }
}

#[cfg(unix)]
#[test]
fn sigterm_ends_it_and_so_does_a_folder_that_goes() {
    let sandbox = sandbox();
    let watch = start(&sandbox, &[]);
    let killed = std::process::Command::new("kill").arg(watch.id().to_string()).status().unwrap();
    assert!(killed.success());
    let (status, said) = watch.finish();
    assert_eq!(status.code(), Some(0), "{said}");
    let watch = start(&sandbox, &[]);
    fs::rename(sandbox.path("in"), sandbox.path("gone")).unwrap();
    let (status, said) = watch.finish();
    assert!(status.code() == Some(1) && said.contains("error: in: the folder is gone"), "{said}");
    let output = sandbox.pkdgan(&["watch", "model", "in", "-o", "other"]).output().unwrap();
    assert!(
        output.status.code() == Some(1) && stderr(&output).contains("in: cannot be watched"),
        "{}",
        stderr(&output)
    );
    assert!(!sandbox.path("other").exists());
}

#[test]
fn rows_of_others_are_refused() {
    let sandbox = sandbox();
    pictures(&sandbox, 2);
    once(&sandbox, &[], 0);
    let before = sandbox.read("rows");
    let refused = |arguments: &[&str], part: &str| {
        let output = sandbox.pkdgan(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
        assert!(sandbox.read("rows") == before);
    };
    let watch = |more: &[&'static str]| [&["watch", "model", "in", "-o", "rows", "--once"], more].concat();
    refused(&watch(&["--format=jsonl"]), "rows, line 1: ");
    fs::create_dir(sandbox.path("else")).unwrap();
    refused(&["watch", "model", "else", "-o", "rows", "--once"], "the row of in/0000.png is of another folder");
    let held = start(&sandbox, &[]);
    refused(&watch(&[]), "another process adds to it");
    held.kill();
    let mut model = ModelFile::read(&sandbox.path("model")).unwrap();
    model.calibration = Some(Calibration::new(vec![1.0; 500]).unwrap());
    model.write(&sandbox.path("model")).unwrap();
    refused(&watch(&[]), "the row of in/0000.png is of a model with another calibration");
    refused(&["watch", "model", "in", "-o", "in", "--once"], "in: cannot be written");
}

#[test]
fn the_share_and_drift_are_told_and_rows_bring_them_back() {
    let sandbox = sandbox();
    pictures(&sandbox, 450);
    // Calibrated by the very pictures; then by scores that are lower than all.
    let scored = csv(&sandbox.pkdgan(&["score", "model", "in"]).output().unwrap().stdout);
    let scores: Vec<f32> = scored.iter().map(|row| row.score.unwrap()).collect();
    for (scores, drifts) in [(scores.clone(), false), (scores.iter().map(|score| score / 10.0).collect(), true)] {
        let _ = fs::remove_file(sandbox.path("rows"));
        let mut model = ModelFile::read(&sandbox.path("model")).unwrap();
        model.calibration = Some(Calibration::new(scores).unwrap());
        model.write(&sandbox.path("model")).unwrap();
        let said = stderr(&once(&sandbox, &["--progress=json", "--alpha=0.1"], 0));
        let told = events(&said);
        let done = told.last().unwrap();
        assert_eq!(
            (&done["event"], &done["scored"], &done["failed"]),
            (&"done".into(), &450.into(), &0.into()),
            "{done}"
        );
        // Three windows of 200, and one of 400.
        assert_eq!((&done["drift_tests"], &done["alpha"]), (&3.into(), &0.1.into()), "{done}");
        let anomalous = rows(&sandbox).iter().filter(|row| row.verdict.as_deref() == Some("anomalous")).count();
        assert_eq!(done["anomalous"], anomalous, "{done}");
        let number = |name: &str| done[name].as_f64().unwrap();
        assert!(number("share_low") <= number("share") && number("share") <= number("share_high"), "{done}");
        assert_eq!(number("share"), anomalous as f64 / 450.0);
        assert_eq!(done["above_alpha"], drifts, "{done}");
        let drift = told.iter().find(|event| event["event"] == "drift");
        assert_eq!((drift.is_some(), said.contains("warning: drift: ")), (drifts, drifts), "{said}");
        if let Some(drift) = drift {
            assert_eq!(
                (&drift["direction"], &drift["first"], &drift["last"]),
                (&"higher".into(), &1.into(), &200.into())
            );
            assert_eq!(done["first_drift"]["last"], 200, "{done}");
        } else {
            assert!(done["first_drift"].is_null() && said.lines().all(|line| line.starts_with('{')), "{said}");
        }
        // The next process knows all of that.
        let again = stderr(&once(&sandbox, &["--progress=json", "--alpha=0.1"], 0));
        let mut again = events(&again).pop().unwrap();
        again["pictures_per_second"] = done["pictures_per_second"].clone();
        assert_eq!(again, *done);
    }
}

#[test]
fn without_calibration_and_without_a_file_rows_come_on_standard_output() {
    let sandbox = calibrated(None);
    pictures(&sandbox, 3);
    let from = |more: &[&str]| {
        let output = sandbox.pkdgan(&[&["watch", "model", "in", "--once"], more].concat()).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        csv(&output.stdout)
    };
    let rows = from(&[]);
    assert!(rows.len() == 3 && rows.iter().all(|row| row.p_value.is_none() && row.verdict.is_none()), "{rows:?}");
    let rows = from(&["--threshold=-1", "--output=-"]);
    assert!(rows.len() == 3 && rows.iter().all(|row| row.verdict.as_deref() == Some("anomalous")), "{rows:?}");
    let output = sandbox.pkdgan(&["watch", "model", "in", "--alpha=0.1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn people_hear_how_it_went() {
    let sandbox = sandbox();
    pictures(&sandbox, 5);
    let said = stderr(&once(&sandbox, &[], 0));
    for part in [
        "5 pictures scored, 0 failed, 0 waiting",
        " anomalous, ",
        "promised of normal ones: 1 % at most",
        "no drift in 0 tests",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = stderr(&once(&sandbox, &["--quiet"], 0));
    assert!(said.is_empty(), "{said}");
}
