//! Files: those of the program's own follow no link and leave nothing behind, those of others are read up to a bound.
#![cfg(target_os = "linux")]

mod command;

use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use command::{Held, Mounted, Sandbox, TEST, TINY, images, stderr};
use image::{GrayImage, Luma};
use pkdgan::data::PictureError;
use pkdgan::model::ModelFile;
use pkdgan::unstable::data::files_below;
use pkdgan::unstable::run::{EventFile, RunError, RunFolder, write_whole};
use pkdgan::unstable::stream::Sources;

/// A length that no reader may hold.
const HUGE: u64 = 3 << 30;
/// Address space that is enough for everything but that, in KiB.
const ENOUGH: u64 = 2_000_000;

/// A sandbox with a trained student in `run` and a picture `0.png`.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.trained("run", &["--stage=student", "--device=cpu"]);
    let pixels = images(TEST)[16..][..784].to_vec();
    GrayImage::from_raw(28, 28, pixels).unwrap().save(sandbox.path("0.png")).unwrap();
    sandbox
}

/// The binary, prepared in a shell by `before`.
fn shell(sandbox: &Sandbox, before: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{before} \"$0\" \"$@\"")).arg(env!("CARGO_BIN_EXE_pkdgan")).args(arguments);
    command.current_dir(sandbox.path("")).env("PKDGAN_CACHE", sandbox.path("cache/pkdgan"));
    command.env_remove("PKDGAN_DATA").env_remove("RUST_LOG").output().unwrap()
}

/// The binary with little memory, which must end with this code and say all of that.
fn bounded(sandbox: &Sandbox, arguments: &[&str], code: i32, parts: &[&str]) {
    let output = shell(sandbox, &format!("ulimit -v {ENOUGH}; exec"), arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{arguments:?}: no {part:?} in {said}");
    }
    assert!(said.len() < 20_000, "{arguments:?}: {} bytes", said.len());
}

/// Makes a file of the run as long as no reader may hold; the disk holds none of that.
fn lengthen(sandbox: &Sandbox, name: &str) {
    File::options().write(true).open(sandbox.path(name)).unwrap().set_len(HUGE).unwrap();
}

#[test]
fn links_in_a_run_folder_are_not_followed() {
    let sandbox = sandbox();
    sandbox.write("victim", b"precious\n");
    let victim = sandbox.path("victim");
    fs::remove_file(sandbox.path("run/.lock")).unwrap_or_default();
    symlink(&victim, sandbox.path("run/.lock")).unwrap();
    let output = sandbox.pkdgan(&["train", "--resume", "run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("run/.lock: it is a symbolic link"), "{}", stderr(&output));
    let error = RunFolder::create(&sandbox.path("run"), true).unwrap_err();
    assert!(matches!(error, RunError::Folder { .. }), "{error}");
    fs::remove_file(sandbox.path("run/.lock")).unwrap();

    // Of these the run makes its own.
    for name in ["metrics.jsonl", "processes.json", "report.json", "scores.csv", "report.html"] {
        let path = sandbox.path(&format!("run/{name}"));
        let before = fs::read(&path).unwrap();
        sandbox.write("victim", &before);
        fs::remove_file(&path).unwrap();
        symlink(&victim, &path).unwrap();
        sandbox.pkdgan(&["train", "--resume", "run"]).assert().success();
        assert_eq!(sandbox.read("victim"), before, "{name}");
        assert!(!path.is_symlink(), "{name}");
    }
    // TensorBoard's file is named by the time and the step.
    sandbox.write("victim", b"precious\n");
    let events = sandbox.path("events");
    fs::create_dir(&events).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for second in now..now + 20 {
        symlink(&victim, events.join(format!("events.out.tfevents.{second:010}.00000007.pkdgan"))).unwrap();
    }
    EventFile::create(&events, 7).unwrap();
    assert_eq!(sandbox.read("victim"), b"precious\n");
}

#[test]
fn manual_pages_follow_no_link() {
    let sandbox = Sandbox::new();
    sandbox.write("victim", b"precious\n");
    fs::create_dir(sandbox.path("man")).unwrap();
    symlink(sandbox.path("victim"), sandbox.path("man/pkdgan-train.1")).unwrap();
    sandbox.pkdgan(&["man", "man"]).assert().success();
    assert_eq!(sandbox.read("victim"), b"precious\n");
    assert!(String::from_utf8(sandbox.read("man/pkdgan-train.1")).unwrap().contains("evaluate\\-every"));
    assert!(sandbox.list("man").contains(&"pkdgan-data-fetch.1".to_owned()), "{:?}", sandbox.list("man"));
}

#[test]
fn no_file_takes_the_place_of_a_device_or_a_pipe() {
    let sandbox = Sandbox::new();
    let pipe = sandbox.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = write_whole(&pipe, |out| out.write_all(b"x")).unwrap_err().to_string();
    assert!(error.contains("pipe: cannot be written: it is a device or a pipe"), "{error}");
    let kind = |path| std::os::unix::fs::FileTypeExt::is_fifo(&fs::symlink_metadata(path).unwrap().file_type());
    assert!(kind(&pipe));
}

#[test]
fn a_killed_process_leaves_nothing_behind() {
    let sandbox = sandbox();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pkdgan"));
    command.current_dir(sandbox.path("")).env("PKDGAN_CACHE", sandbox.path("cache/pkdgan"));
    command.args(["score", "run", "-", "--output=out/scores.csv", "--save-maps=maps", "--quiet"]);
    fs::create_dir(sandbox.path("out")).unwrap();
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut list = child.stdin.take().unwrap();
    list.write_all(b"0.png\n").unwrap();
    let started = Instant::now();
    while !sandbox.path("maps/0.png.map.png").exists() {
        assert!(started.elapsed() < Duration::from_secs(60), "no picture was scored");
        sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(sandbox.list("out"), [""; 0]);
}

#[test]
fn files_as_long_as_no_memory_are_refused() {
    let sandbox = sandbox();
    for (name, arguments, code) in [
        ("report.json", &["report", "run"][..], 1),
        ("scores.csv", &["report", "run"], 1),
        ("metrics.jsonl", &["report", "run"], 1),
        ("config.toml", &["eval", "run"], 2),
        ("devices.json", &["eval", "run"], 1),
    ] {
        let path = format!("run/{name}");
        let before = sandbox.read(&path);
        lengthen(&sandbox, &path);
        bounded(&sandbox, arguments, code, &[&path, "more than "]);
        sandbox.write(&path, &before);
    }
    sandbox.write("huge.png", &sandbox.read("0.png"));
    lengthen(&sandbox, "huge.png");
    bounded(&sandbox, &["score", "run", "huge.png"], 1, &["huge.png: longer than 513 MiB"]);
    bounded(&sandbox, &["train", "--config", "/dev/zero"], 2, &["/dev/zero: it has more than 1048576 bytes"]);
    bounded(&sandbox, &["score", "/dev/zero", "0.png"], 1, &["/dev/zero: "]);
    bounded(&sandbox, &["score", "/dev/urandom", "0.png"], 1, &["/dev/urandom: "]);
}

#[test]
fn a_model_holds_no_more_than_its_architecture_says() {
    let sandbox = sandbox();
    let bytes = sandbox.read("run/model.safetensors");
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let data = bytes.len() - 8 - length;
    let more = HUGE as usize;
    header["more"] = serde_json::json!({"dtype": "F32", "shape": [more / 4], "data_offsets": [data, data + more]});
    let header = header.to_string();
    sandbox.write(
        "huge.safetensors",
        &[&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[8 + length..]].concat(),
    );
    let file = File::options().write(true).open(sandbox.path("huge.safetensors")).unwrap();
    file.set_len((8 + header.len() + data + more) as u64).unwrap();
    bounded(&sandbox, &["score", "huge.safetensors", "0.png"], 1, &["huge.safetensors: header at byte 8: tensors of"]);
}

#[test]
fn more_images_than_were_published_are_refused_by_their_header() {
    let sandbox = Sandbox::new();
    let claim = [0, 0, 8, 3].into_iter().chain([2_000_000_u32, 28, 28].iter().flat_map(|dim| dim.to_be_bytes()));
    sandbox.write("data/mnist/train-images-idx3-ubyte", &claim.collect::<Vec<u8>>());
    let output = sandbox.train("out", &[]).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("train-images-idx3-ubyte") && said.contains("47040000"), "{said}");
}

#[test]
fn what_has_no_end_fails_alone() {
    let sandbox = sandbox();
    for endless in ["/dev/zero", "/dev/urandom", "/dev/full"] {
        let output =
            shell(&sandbox, &format!("ulimit -v {ENOUGH}; exec"), &["score", "run", "0.png", endless, "0.png"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let rows = String::from_utf8(output.stdout).unwrap();
        assert_eq!(rows.lines().filter(|row| row.starts_with("0.png,")).count(), 2, "{endless}: {rows} {said}");
        assert!(said.contains(&format!("{endless}: no picture of a known format")), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn pictures_and_models_come_through_pipes() {
    let sandbox = sandbox();
    let row = |output: Output| {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let rows = String::from_utf8(output.stdout).unwrap();
        rows.lines().nth(1).unwrap().split_once(',').unwrap().1.to_owned()
    };
    let direct = row(shell(&sandbox, "exec", &["score", "run", "0.png"]));
    assert_eq!(row(shell(&sandbox, "cat 0.png |", &["score", "run", "/dev/stdin"])), direct);
    let model = "cat run/model.safetensors |";
    assert_eq!(row(shell(&sandbox, model, &["score", "/dev/stdin", "0.png"])), direct);
    // A model that is cut short, and one that goes on.
    for (cut, part) in [("head -c -100", "the file ends"), ("(cat; echo more)", "the file goes on")] {
        let output = shell(&sandbox, &format!("{model} {cut} |"), &["score", "/dev/stdin", "0.png"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    sandbox.trained("teacher", &[]);
    let command = sandbox.train("out", &["--teacher=/dev/stdin", "--device=cpu"]);
    let arguments: Vec<&str> = command.get_args().map(|argument| argument.to_str().unwrap()).collect();
    let output = shell(&sandbox, "cat teacher/model.safetensors |", &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(sandbox.read("out/teacher.safetensors"), sandbox.read("teacher/model.safetensors"));
    ModelFile::read(&sandbox.path("out/model.safetensors")).unwrap();
}

#[test]
fn folders_that_links_fan_out_to_are_looked_into_once() {
    let sandbox = Sandbox::new();
    let folder = |level: usize| sandbox.path(&format!("tree/{level:02}"));
    // A path may lead through 40 links, and one way up is left to go.
    const LEVELS: usize = 30;
    for level in 0..=LEVELS {
        fs::create_dir_all(folder(level)).unwrap();
    }
    for level in 0..LEVELS {
        for name in ["a", "b"] {
            symlink(folder(level + 1), folder(level).join(name)).unwrap();
        }
    }
    fs::write(folder(LEVELS).join("0.png"), "").unwrap();
    // And a way back up, where everything is found anyhow.
    symlink(folder(0), folder(LEVELS).join("up")).unwrap();
    let found: Vec<_> = files_below(&folder(0), false).collect();
    let paths: Vec<_> = found.into_iter().map(Result::unwrap).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    assert!(paths[0].ends_with("a/a/0.png"));
}

#[test]
fn other_file_systems_are_named_and_left_out_unless_asked_for() {
    // Something is mounted below the root of every Linux: /proc at the least.
    let is_mounted = |error: &PictureError| error.to_string().contains("another file system is mounted here");
    let root = Path::new("/");
    let mounted = files_below(root, false).filter_map(Result::err).find(is_mounted).unwrap().path;
    // Up to what comes behind it, for nobody wants to walk through all of a machine.
    let behind = |found: &Result<PathBuf, PictureError>| {
        let path = found.as_ref().unwrap_or_else(|error| &error.path);
        !path.starts_with(&mounted) && *path > mounted
    };
    let entered = files_below(root, true).take_while(|found| !behind(found)).take(100_000);
    assert!(!entered.filter_map(Result::err).any(|error| is_mounted(&error)));
    // Named by itself, it is what was asked for.
    let own = files_below(&mounted, false).take(1_000).filter_map(Result::err).find(|error| error.path == mounted);
    assert!(own.is_none(), "{own:?}");
}

/// The flags of `train` and `score`.
#[test]
#[ignore = "mounts a tmpfs, which takes root"]
fn pictures_on_other_file_systems_are_trained_on_and_scored_when_asked_for() {
    const EACH: u32 = 25;
    let sandbox = Sandbox::new();
    let _more = Mounted::new(sandbox.path("own/more"));
    for (folder, first) in [("own", 0), ("own/more", EACH)] {
        for n in first..first + EACH {
            let picture = GrayImage::from_fn(28, 28, |x, y| Luma([(x * n + y * y) as u8]));
            picture.save(sandbox.path(&format!("{folder}/{n:02}.png"))).unwrap();
        }
    }
    let said = "own/more: another file system is mounted here";
    for (run, flag, images) in [("near", None, EACH), ("all", Some("--cross-file-systems"), 2 * EACH)] {
        let mut command = sandbox.pkdgan(&["train", "--stage=student", "--device=cpu", "--images=own", "--out", run]);
        // Some of them are near copies.
        command.arg("--group-by=none");
        let output = command.args(TINY).args(flag).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stderr(&output).contains(said), flag.is_none(), "{}", stderr(&output));
        let held_out = images / 5;
        let counted = format!("{} training images, {held_out} more held out", images - held_out);
        assert!(stderr(&output).contains(&counted), "no {counted:?} in {}", stderr(&output));

        let mut command = sandbox.pkdgan(&["score", run, "own", "--threshold=0", "--device=cpu"]);
        let output = command.args(flag).output().unwrap();
        assert_eq!(stderr(&output).contains(said), flag.is_none(), "{}", stderr(&output));
        let rows = String::from_utf8_lossy(&output.stdout).lines().filter(|row| row.contains(".png,")).count();
        assert_eq!(rows as u32, images, "{}", stderr(&output));
    }
}

#[test]
fn a_log_that_cannot_be_read_after_training_is_named() {
    let sandbox = Sandbox::new();
    let mut held = Held::start(&sandbox.train("run", &["--device=cpu", "--steps=20"]), 20);
    held.wait_until(|| true);
    // The process has the file open, and goes on to write to that.
    fs::rename(sandbox.path("run/metrics.jsonl"), sandbox.path("kept")).unwrap();
    fs::create_dir(sandbox.path("run/metrics.jsonl")).unwrap();
    let (_, said) = held.finish();
    let warning = "run/metrics.jsonl: it is no regular file; it is not known how long stage teacher was trained for";
    assert!(said.contains(warning), "no {warning:?} in {said}");
}

#[test]
fn large_images_of_a_file_do_not_pile_up() {
    let sandbox = Sandbox::new();
    let side = 4096_u32;
    let header = [0, 0, 8, 3].into_iter().chain([3, side, side].into_iter().flat_map(u32::to_be_bytes));
    sandbox.write("large", &header.collect::<Vec<u8>>());
    let file = File::options().write(true).open(sandbox.path("large")).unwrap();
    file.set_len(16 + 3 * u64::from(side).pow(2)).unwrap();
    let (mut waiting, mut most, mut all) = (0, 0, 0);
    let each = Sources::of(vec![sandbox.path("large")]).each(&mut |found| {
        // Without another picture, what waits is worked on.
        waiting = if found.is_some() { waiting + 1 } else { 0 };
        (most, all) = (most.max(waiting), all + usize::from(found.is_some()));
        ControlFlow::Continue(())
    });
    assert_eq!((each, most, all), (ControlFlow::Continue(()), 1, 3));
}
