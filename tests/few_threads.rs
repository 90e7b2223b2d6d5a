//! A system that starts no more threads: fewer do the work, and where one at least is needed the program says so. The
//! limit is not root's, so these tests become somebody else, which takes root: `cargo test --test few_threads -- --ignored`
#![cfg(target_os = "linux")]

mod command;

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use command::{Sandbox, TEST, TINY, stderr};

const MODEL: &str = "run/model.safetensors";
const IMAGES: &str = "data/mnist/t10k-images-idx3-ubyte";

/// The program in a sandbox as a user with no other process, who may have so many.
fn with_at_most(processes: usize, user: u32, sandbox: &Sandbox, arguments: &[&str]) -> Output {
    set_permissions(sandbox.path(""), Permissions::from_mode(0o777)).unwrap();
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]);
    command.args(["prlimit", &format!("--nproc={processes}"), env!("CARGO_BIN_EXE_pkdgan")]);
    command.args(arguments).current_dir(sandbox.path("")).env("PKDGAN_CACHE", sandbox.path("cache"));
    let output = command.output().unwrap();
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    output
}

#[test]
#[ignore = "takes root"]
fn fewer_threads_score_and_none_is_said() {
    let sandbox = Sandbox::new();
    sandbox.trained("run", &["--steps=1"]);
    let score = ["score", MODEL, IMAGES, "--threads=64", "--threshold=0", "--device=cpu"];
    let output = with_at_most(6, 61_001, &sandbox, &score);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("threads in place of 64"), "{}", stderr(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1 + TEST);

    let output = with_at_most(1, 61_002, &sandbox, &score);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("no thread can be started"), "{}", stderr(&output));
}

#[test]
#[ignore = "takes root"]
fn fewer_threads_train_to_the_same_bytes() {
    let sandbox = Sandbox::new();
    sandbox.trained("run", &["--device=cpu"]);
    let arguments = ["train", "--stage=teacher", "--steps=20", "--data-dir=data", "--device=cpu", "--out=few"];
    let output = with_at_most(3, 61_003, &sandbox, &[&arguments[..], &TINY].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(sandbox.read("few/model.safetensors") == sandbox.read(MODEL));

    let arguments = ["train", "--stage=teacher", "--steps=20", "--data-dir=data", "--device=cpu", "--out=none"];
    let output = with_at_most(1, 61_004, &sandbox, &[&arguments[..], &TINY].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("thread"), "{}", stderr(&output));
}
