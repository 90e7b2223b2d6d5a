//! Where the binary finds data sets, and in which order.

mod command;

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use command::{Sandbox, stderr};

const FILES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

/// The files of CIFAR-10, empty, in the folder of that name below `data`.
fn place(sandbox: &Sandbox, data: &str) {
    fs::create_dir_all(sandbox.path(data).join("cifar-10")).unwrap();
    for name in FILES {
        sandbox.write(&format!("{data}/cifar-10/{name}"), &[]);
    }
}

/// `pkdgan data path cifar-10` in an environment whose places all lie in the sandbox, but for the system's.
fn path(sandbox: &Sandbox, more: &[&str]) -> Command {
    let mut command = sandbox.pkdgan(&["data", "path", "cifar-10"]);
    command.args(more).env("PKDGAN_DATA", "named").env("XDG_CACHE_HOME", sandbox.path("cache"));
    command
}

fn found(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn places_are_searched_in_order() {
    let sandbox = Sandbox::new();
    let cache = sandbox.path("cache/pkdgan/cifar-10").display().to_string();
    place(&sandbox, "cache/pkdgan");
    assert_eq!(found(path(&sandbox, &[])), cache);
    place(&sandbox, "data");
    assert_eq!(found(path(&sandbox, &[])), "data/cifar-10");
    place(&sandbox, "named");
    assert_eq!(found(path(&sandbox, &[])), "named/cifar-10");
    place(&sandbox, "chosen");
    assert_eq!(found(path(&sandbox, &["--data-dir", "chosen"])), "chosen/cifar-10");

    fs::remove_file(sandbox.path("named/cifar-10/test_batch.bin")).unwrap();
    assert_eq!(found(path(&sandbox, &[])), "data/cifar-10", "an incomplete set is passed over");
    let mut without = path(&sandbox, &[]);
    without.env("PKDGAN_DATA", "");
    assert_eq!(found(without), "data/cifar-10");
}

#[test]
#[cfg(target_os = "linux")]
fn the_cache_folder_is_below_home_unless_named() {
    let sandbox = Sandbox::new();
    place(&sandbox, ".cache/pkdgan");
    let mut command = path(&sandbox, &[]);
    command.env_remove("PKDGAN_CACHE").env_remove("XDG_CACHE_HOME").env("HOME", sandbox.path("."));
    assert!(Path::new(&found(command)).ends_with(".cache/pkdgan/cifar-10"));
}

#[test]
fn every_place_looked_at_is_listed_where_nothing_is_found() {
    let sandbox = Sandbox::new();
    let output = path(&sandbox, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = stderr(&output);
    for place in ["named", "data", "cache/pkdgan", "/usr/share/datasets"] {
        assert!(said.contains(&format!("{place}/cifar-10/cifar-10-batches-bin/data_batch_1.bin")), "{place}: {said}");
    }
    assert!(said.contains("`pkdgan data fetch cifar-10`") && said.lines().count() == 1, "{said}");

    place(&sandbox, "data");
    let output = path(&sandbox, &["--data-dir", "chosen"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "a chosen folder is used alone");
    let said = stderr(&output);
    assert!(said.contains("`pkdgan data fetch cifar-10 --data-dir chosen`") && !said.contains("named"), "{said}");
}

#[test]
fn training_and_scoring_search_alike() {
    let sandbox = Sandbox::new();
    fs::rename(sandbox.path("data"), sandbox.path("elsewhere")).unwrap();
    let mut train = sandbox.train("run", &["--stage=teacher", "--steps=2"]);
    train.env("PKDGAN_DATA", "elsewhere").assert().success();
    let config = String::from_utf8(sandbox.read("run/config.toml")).unwrap();
    assert!(config.contains("folder = \"\"\n"), "{config}");
    sandbox.pkdgan(&["eval", "run"]).env("PKDGAN_DATA", "elsewhere").assert().success();
    sandbox.pkdgan(&["eval", "run", "--data-dir", "elsewhere"]).assert().success();
    sandbox.pkdgan(&["eval", "run", "--data-dir", "nowhere"]).assert().code(1);

    sandbox.train("chosen", &["--stage=teacher", "--steps=2", "--data-dir", "elsewhere"]).assert().success();
    sandbox.pkdgan(&["eval", "chosen"]).assert().success();
}
