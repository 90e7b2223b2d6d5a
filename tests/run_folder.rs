//! The folder of a run and the files in it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use pkdgan::data::Dataset;
use pkdgan::unstable::run::{
    FilesReport, MetricsLog, Report, RunError, RunFile, RunFolder, Score, UnusedFile, peak_rss_bytes, read_metrics,
    read_scores, write_scores, write_whole,
};
use proptest::prelude::*;
use serde::Serialize;
use tempfile::TempDir;

/// The files in a folder but for the lock.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != ".lock");
    names.sort();
    names
}

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    write_whole(&path, |out| out.write_all(b"old and long")).unwrap();
    write_whole(&path, |out| out.write_all(b"new")).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");

    let failed = write_whole(&path, |out| {
        out.write_all(b"half of")?;
        Err(io::Error::other("out of ideas"))
    });
    let message = failed.unwrap_err().to_string();
    assert!(message.contains("file: cannot be written: out of ideas") && !message.contains('\n'), "{message}");
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(names(folder.path()), ["file"]);

    let nowhere = folder.path().join("none").join("file");
    assert!(write_whole(&nowhere, |_| Ok(())).unwrap_err().to_string().contains("none"));
}

#[cfg(unix)]
#[test]
fn written_files_have_the_permissions_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let (whole, plain) = (folder.path().join("whole"), folder.path().join("plain"));
    write_whole(&whole, |_| Ok(())).unwrap();
    fs::write(&plain, "").unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(whole), mode(plain));
}

#[test]
fn a_new_run_takes_a_new_or_empty_folder() {
    let folder = TempDir::new().unwrap();
    RunFolder::create(folder.path(), false).unwrap();
    let run = RunFolder::create(&folder.path().join("deep/er"), false).unwrap();
    assert!(run.path().is_dir());
    assert_eq!(names(run.path()), [""; 0]);
    assert_eq!(run.file(RunFile::Scores), folder.path().join("deep/er/scores.csv"));
}

#[test]
fn a_former_run_is_only_replaced_by_force_and_nothing_else_is_touched() {
    let folder = TempDir::new().unwrap();
    for file in RunFile::ALL {
        fs::write(folder.path().join(file.name()), "former").unwrap();
    }
    fs::write(folder.path().join(".partial-abc"), "cut short").unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    fs::create_dir(folder.path().join("figures")).unwrap();
    let before = names(folder.path());

    let refused = RunFolder::create(folder.path(), false).unwrap_err();
    assert!(matches!(refused, RunError::NotEmpty(_)) && refused.to_string().contains("--force"), "{refused}");
    assert_eq!(names(folder.path()), before);

    RunFolder::create(folder.path(), true).unwrap();
    assert_eq!(names(folder.path()), ["figures", "notes.txt"]);
}

#[test]
fn a_folder_that_cannot_be_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(RunFolder::create(&file, true), Err(RunError::NotAFolder(_))));
    assert!(matches!(RunFolder::create(&file.join("run"), false), Err(RunError::Folder { .. })));
    assert!(matches!(RunFolder::open(&file, &[]), Err(RunError::NotAFolder(_))));
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_written_to_is_refused() {
    // Nobody may make files in /proc, root included.
    let refused = RunFolder::create(Path::new("/proc"), true).unwrap_err();
    assert!(matches!(refused, RunError::Folder { .. }) && refused.to_string().contains("/proc: "), "{refused}");
}

#[test]
fn opening_names_all_that_is_missing() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("config.toml"), "").unwrap();
    let needed = [RunFile::Config, RunFile::Model, RunFile::Checkpoint];
    let message = RunFolder::open(folder.path(), &needed).unwrap_err().to_string();
    assert!(message.contains("lacks model.safetensors and checkpoint.safetensors;"), "{message}");
    RunFolder::open(folder.path(), &[RunFile::Config]).unwrap();
    assert!(matches!(RunFolder::open(&folder.path().join("none"), &[]), Err(RunError::NoFolder(_))));
}

#[derive(Serialize)]
struct Losses {
    stage: &'static str,
    step: u64,
    loss_d: f32,
}

#[test]
fn a_log_goes_on_after_the_step_of_the_checkpoint() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let mut log = MetricsLog::create(&path).unwrap();
    for step in [10, 20, 30, 40] {
        log.append(&Losses { stage: "teacher", step, loss_d: 0.5 }).unwrap();
    }
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(br#"{"step":50,"los"#).unwrap();

    let mut log = MetricsLog::resume(&path, "teacher", 20).unwrap();
    log.append(&Losses { stage: "teacher", step: 21, loss_d: f32::NAN }).unwrap();
    let line = |step: u64, loss: &str| format!("{{\"stage\":\"teacher\",\"step\":{step},\"loss_d\":{loss}}}\n");
    let expected = line(10, "0.5") + &line(20, "0.5") + &line(21, "null");
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);

    MetricsLog::resume(&path, "teacher", 100).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    MetricsLog::resume(&path, "step1", 0).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    MetricsLog::create(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
}

#[test]
fn a_log_that_is_missing_begins_anew_and_a_foreign_one_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("metrics.jsonl");
    MetricsLog::resume(&path, "teacher", 5)
        .unwrap()
        .append(&Losses { stage: "teacher", step: 6, loss_d: 1.0 })
        .unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"stage\":\"teacher\",\"step\":6,\"loss_d\":1.0}\n");

    fs::write(&path, "{\"stage\":\"teacher\",\"step\":1}\nnonsense\n{\"stage\":\"teacher\",\"step\":5}\n").unwrap();
    let message = MetricsLog::resume(&path, "teacher", 5).unwrap_err().to_string();
    assert!(message.contains("metrics.jsonl: line 2: ") && !message.contains('\n'), "{message}");
    // What it says to do helps.
    assert!(message.contains("remove the file"), "{message}");
    fs::remove_file(&path).unwrap();
    MetricsLog::resume(&path, "teacher", 5).unwrap();
}

#[test]
fn damage_behind_the_checkpoint_is_cut_off() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let line = |step: u64| format!("{{\"stage\":\"teacher\",\"step\":{step}}}\n").into_bytes();
    let kept = [line(10), line(20)].concat();
    let long = [b"{\"stage\":\"".to_vec(), vec![b'a'; 100_000], b"\"}\n".to_vec()].concat();
    for (name, tail) in [
        ("zeros and a line", [vec![0; 300], line(30)].concat()),
        ("zeros, a line feed and a line", [vec![0; 300], b"\n".to_vec(), line(30)].concat()),
        ("half a line with a line feed", b"{\"stage\":\"teacher\",\"st\n".to_vec()),
        ("half a line", b"{\"stage\":\"teacher\",\"st".to_vec()),
        ("no UTF-8", b"{\"stage\":\"\xff\xfe\",\"step\":30}\n".to_vec()),
        ("a long line", [long, line(30)].concat()),
        ("nothing", Vec::new()),
    ] {
        fs::write(&path, [&kept[..], &tail].concat()).unwrap();
        let mut log = MetricsLog::resume(&path, "teacher", 20).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(fs::read(&path).unwrap() == kept, "{name}");
        log.append(&Losses { stage: "teacher", step: 30, loss_d: 1.0 }).unwrap();
        assert_eq!(read_metrics(&path).unwrap().len(), 3, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn a_log_without_an_end_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("metrics.jsonl");
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    for error in [MetricsLog::resume(&path, "teacher", 5).map(drop), read_metrics(&path).map(drop)] {
        let message = error.unwrap_err().to_string();
        assert!(message.contains("metrics.jsonl: cannot be read: it is no regular file"), "{message}");
    }
    assert_eq!(MetricsLog::seconds(&path, "teacher"), None);
}

#[test]
fn a_log_that_is_removed_is_written_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let mut log = MetricsLog::create(&path).unwrap();
    for step in 1..4 {
        log.append(&Losses { stage: "teacher", step, loss_d: 0.5 }).unwrap();
        fs::remove_file(&path).unwrap();
        log.sync().unwrap();
    }
    let steps: Vec<u64> = read_metrics(&path).unwrap().iter().map(|line| line.step).collect();
    assert_eq!(steps, [1, 2, 3]);
}

#[test]
fn damaged_scores_are_refused_by_line() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("scores.csv");
    write_scores(&path, &[Score { index: 0, label: 7, score: 0.1, p_value: None }]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "index,label,score,p_value\n0,7,0.1,\n");
    write_scores(&path, &[]).unwrap();
    assert_eq!(read_scores(&path).unwrap(), []);
    // Files of earlier versions have no p-values.
    let p_value = Some(0.25);
    for (text, expected) in [
        ("index,label,score\n5,7,0.5\n", Score { index: 5, label: 7, score: 0.5, p_value: None }),
        ("path,label,score\na.png,1,0.5\n", Score { index: 0, label: 1, score: 0.5, p_value: None }),
        ("index,label,score,p_value\n5,7,0.5,0.25\n", Score { index: 5, label: 7, score: 0.5, p_value }),
        ("path,label,score,p_value\na.png,1,0.5,0.25\n", Score { index: 0, label: 1, score: 0.5, p_value }),
    ] {
        fs::write(&path, text).unwrap();
        assert_eq!(read_scores(&path).unwrap(), [expected]);
    }
    for (text, part) in [
        ("", "header"),
        ("index,score,label\n", "header"),
        ("index,label,score\n0,7,0.1\n1,300,0.5\n", "line: 3"),
        ("index,label,score\n0,7\n", "line: 2"),
        ("index,label,score\n0,7,much\n", "line: 2"),
        ("index,label,score,p_value\n0,7,0.5,much\n", "line: 2"),
        ("index,label,score,more\n0,7,0.5,1\n", "header"),
    ] {
        fs::write(&path, text).unwrap();
        let message = read_scores(&path).unwrap_err().to_string();
        assert!(message.contains("scores.csv: ") && message.contains(part) && !message.contains('\n'), "{message}");
    }
    assert!(matches!(read_scores(&folder.path().join("none")), Err(RunError::Read { .. })));
}

proptest! {
    #[test]
    fn scores_read_back_to_the_bit(values in prop::collection::vec((any::<u8>(), -1e30_f32..1e30, any::<bool>()), 0..40)) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("scores.csv");
        let rows = values.into_iter().enumerate();
        let score = |(index, (label, score, calibrated)): (usize, (u8, f32, bool))| {
            let p_value = calibrated.then_some(f64::from(label.max(1)) / 257.0);
            Score { index: index as u32, label, score, p_value }
        };
        let scores: Vec<_> = rows.map(score).collect();
        write_scores(&path, &scores).unwrap();
        prop_assert_eq!(read_scores(&path).unwrap(), scores);
    }
}

fn report() -> Report {
    Report {
        auroc: Some(0.9658),
        average_precision: Some(0.994),
        reconstruction_l1_normal: 0.08,
        blank_l1_normal: 0.29,
        seconds_total: 12.5,
        processes: 2,
        seconds_per_step: 0.008,
        steps: 1_500,
        batch_size: 8,
        seed: 3,
        adapter: "llvmpipe".into(),
        backend: "vulkan".into(),
        driver: "Mesa".into(),
        tuned_kernels: 2,
        build: "0123456789ab".into(),
        version: "0.1.0".into(),
        macs: 29_300_000,
        params: 1_500_000,
        peak_rss_bytes: None,
        dataset: Dataset::FashionMnist.into(),
        normal: 8,
        groups: None,
        files: Some(FilesReport {
            unreadable: 1,
            sidecars: 2,
            excluded: 3,
            listed: vec![UnusedFile { path: "a.png".into(), why: "empty file".into() }],
            transparent: 4,
            first_of_several: 5,
            sixteen_bit: 6,
            bits_used: 12,
        }),
        sensitivity: None,
        localization: None,
        networks: Vec::new(),
    }
}

#[test]
fn a_report_reads_back() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("report.json");
    let mut report = report();
    report.write(&path).unwrap();
    assert_eq!(Report::read(&path).unwrap(), report);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"auroc\": 0.9658,") && text.contains("\"dataset\": \"fashion-mnist\","), "{text}");
    assert!(text.contains("\"peak_rss_bytes\": null,") && text.ends_with("}\n"), "{text}");

    report.auroc = Some(f64::NAN);
    assert!(matches!(report.write(&path), Err(RunError::NotFinite { key: "auroc", .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    fs::write(&path, text.replace("\"steps\"", "\"stops\"")).unwrap();
    let message = Report::read(&path).unwrap_err().to_string();
    assert!(message.contains("report.json: ") && message.contains("`steps`"), "{message}");
}

#[cfg(target_os = "linux")]
#[test]
fn peak_memory_grows_with_use() {
    let before = peak_rss_bytes().unwrap();
    let block = std::hint::black_box(vec![1_u8; 256 << 20]);
    let after = peak_rss_bytes().unwrap();
    drop(block);
    assert!(after >= 256 << 20 && after > before, "{before} then {after}");
}
