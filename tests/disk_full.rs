//! A disk that is full: a clear error, nothing lost, and the run goes on once there is room.
#![cfg(target_os = "linux")]

mod command;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use command::{Held, Mounted, Sandbox, stderr};

/// The files that a failure must leave as they are.
const KEPT: [&str; 5] =
    ["checkpoint.safetensors", "checkpoint.previous.safetensors", "config.toml", "model.safetensors", "scores.csv"];

/// What keeps the process from writing.
enum Limit {
    /// No file may be longer than so many blocks of 512 bytes.
    Blocks(usize),
    /// The folder is a file system of its own, with so many pages of 4 KiB left.
    Pages(u64),
}

/// Leaves so many pages of the file system in a folder.
fn fill(folder: &Path, pages: u64) {
    let mut filler = fs::File::create(folder.join("filler")).unwrap();
    let mut len: u64 = 0;
    while filler.write_all(&[0; 4096]).is_ok() {
        len += 4096;
    }
    filler.set_len(len.checked_sub(4096 * pages).expect("a file system with that many pages")).unwrap();
}

/// Goes on with the run in `folder` under a limit.
fn resume(sandbox: &Sandbox, folder: &str, limit: &Limit) -> Output {
    let binary = assert_cmd::cargo::cargo_bin("pkdgan");
    let mut command = match limit {
        // A write beyond the limit sends a signal, which ends a process that does nothing about it.
        Limit::Blocks(blocks) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")]).arg(binary);
            shell
        }
        Limit::Pages(pages) => {
            fill(&sandbox.path("small"), *pages);
            Command::new(binary)
        }
    };
    command.args(["train", "--checkpoint-every=10", "--resume", folder]).current_dir(sandbox.path(""));
    command.env_remove("PKDGAN_DATA").env_remove("RUST_LOG").output().unwrap()
}

/// Checks that going on fails at `file` and changes nothing, and that it works once there is room.
fn check(sandbox: &Sandbox, folder: &str, file: &str, limit: &Limit) {
    let kept = || KEPT.map(|file| fs::read(sandbox.path(folder).join(file)).ok());
    let before = kept();
    let output = resume(sandbox, folder, limit);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{file}: {said}");
    let reason = if matches!(limit, Limit::Blocks(_)) { "File too large" } else { "No space left on device" };
    for part in [format!("{file}: cannot be written: {reason}").as_str(), "has room"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    let after = kept();
    for ((name, before), after) in KEPT.iter().zip(before).zip(after) {
        // Scores that were written before the report failed are whole.
        assert!(before == after || (*name == "scores.csv" && before.is_none()), "{file}: {name} changed");
    }
    let partial = sandbox.list(folder).into_iter().find(|name| name.starts_with(".partial"));
    assert_eq!(partial, None, "{file}: left over");
    assert!(!sandbox.path(folder).join("report.json").exists());

    let _ = fs::remove_file(sandbox.path("small/filler"));
    let output = sandbox.pkdgan(&["train", "--resume", folder]).output().unwrap();
    assert!(output.status.success(), "{file}: {}", stderr(&output));
    for file in ["model.safetensors", "scores.csv"] {
        let [whole, run] = ["whole", folder].map(|run| sandbox.read(&format!("{run}/{file}")));
        assert!(whole == run, "{file} differs");
    }
}

/// Trains until there are two checkpoints, and kills the process.
fn interrupted(sandbox: &Sandbox, folder: &str) {
    let mut held = Held::start(&sandbox.train(folder, &["--steps=300", "--checkpoint-every=10"]), 25);
    held.wait_until(|| true);
    held.kill();
    assert!(sandbox.path(folder).join("checkpoint.previous.safetensors").exists());
}

/// All failures in a folder, by limits for the checkpoint, the scores and the report.
fn check_all(sandbox: &Sandbox, folder: &str, [checkpoint, scores, report]: [Limit; 3]) {
    interrupted(sandbox, folder);
    check(sandbox, folder, "checkpoint.safetensors", &checkpoint);
    // Of the report's two files, the page is the first.
    for (file, limit) in [("scores.csv", scores), ("report.html", report)] {
        for file in ["scores.csv", "report.html", "report.json"] {
            fs::remove_file(sandbox.path(folder).join(file)).unwrap();
        }
        check(sandbox, folder, file, &limit);
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let sandbox = sandbox();
    check_all(&sandbox, "limited", [Limit::Blocks(40), Limit::Blocks(0), Limit::Blocks(1)]);
}

/// A real full disk; the limit above fails the same calls anywhere.
#[test]
#[ignore = "mounts a tmpfs, which takes root"]
fn a_full_file_system_loses_nothing() {
    let sandbox = sandbox();
    let _small = Mounted::new(sandbox.path("small"));
    check_all(&sandbox, "small/run", [Limit::Pages(8), Limit::Pages(0), Limit::Pages(1)]);
}

/// A sandbox with a run `whole` that was never interrupted.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.trained("whole", &["--steps=300"]);
    // The scores of 30 images fit a block of 512 bytes, the report's page fits neither that nor a page of memory.
    assert!(sandbox.read("whole/scores.csv").len() <= 512 && sandbox.read("whole/report.html").len() > 4096);
    sandbox
}

#[test]
#[ignore = "mounts a tmpfs, which takes root"]
fn pictures_that_a_disk_has_no_room_for_are_refused_before_anything_is_written() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("good")).unwrap();
    for n in 0..60 {
        image::RgbImage::from_pixel(9, 9, image::Rgb([n, 2 * n, 0]))
            .save(sandbox.path(&format!("good/{n}.png")))
            .unwrap();
    }
    let small = sandbox.path("small");
    let _mounted = Mounted::new(small.clone());
    // 60 x 48 KiB decoded, where 2 MiB are free.
    let networks = ["network.generator", "network.discriminator", "student.discriminator"];
    let widths = networks.map(|network| format!("--set={network}=[2,2,2,2,2]"));
    let sizes = ["--images=good", "--size=128", "--stage=teacher", "--steps=1"];
    let more = [&sizes[..], &widths.each_ref().map(String::as_str)].concat();
    let train = |cache: &Path| sandbox.train("run", &more).env("PKDGAN_CACHE", cache).output().unwrap();
    let output = train(&small);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("take 3 MiB, and 2 MiB are free") && said.contains("PKDGAN_CACHE"), "{said}");
    assert!(!sandbox.path("run").exists());
    // What it says helps.
    let output = train(&sandbox.path("large"));
    assert!(output.status.success(), "{}", stderr(&output));
}
