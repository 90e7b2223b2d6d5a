//! A device that fails under the binary: it says what failed and how to go on, keeps what was saved, and never hangs.

mod command;

use std::fs;
use std::process::Output;

use command::{Held, Sandbox, TEST, stderr};

/// Runs a training with trouble to come.
fn train(sandbox: &Sandbox, fault: &str, more: &[&str]) -> Output {
    sandbox.train("run", &[&["--device=gpu"], more].concat()).env("PKDGAN_FAULT", fault).output().unwrap()
}

fn said(output: &Output, code: i32, parts: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is wanted: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn a_lost_device_leaves_a_checkpoint_to_go_on_from() {
    let sandbox = Sandbox::new();
    sandbox.trained("whole", &["--device=gpu"]);
    let output = train(&sandbox, "lost=3", &[]);
    said(&output, 1, &["the device was lost in the kernels from", "`pkdgan devices`", "pkdgan train --resume run"]);
    assert!(!sandbox.path("run/model.safetensors").exists());
    sandbox.pkdgan(&["train", "--resume", "run"]).assert().success();
    assert_eq!(sandbox.read("run/model.safetensors"), sandbox.read("whole/model.safetensors"));
}

#[test]
fn the_cpu_executor_goes_on_where_that_is_allowed() {
    let sandbox = Sandbox::new();
    for fault in ["lost=3", "limit=65536", "kernel=adam"] {
        fs::remove_dir_all(sandbox.path("run")).unwrap_or_default();
        let refused = train(&sandbox, fault, &["--force"]);
        let begun = fault != "limit=65536";
        said(&refused, 1, if begun { &["pkdgan train --resume run"] } else { &["`train --batch-size N`"] });
        // What a device has no room for is known before anything is written.
        assert_eq!(sandbox.path("run/config.toml").exists(), begun, "{fault}");
        let output = train(&sandbox, fault, &["--force", "--allow-cpu-fallback"]);
        said(&output, 0, &["warning: going on with the CPU executor"]);
        assert_eq!(sandbox.json("run/report.json")["adapter"], "CPU executor", "{fault}");
        assert_eq!(sandbox.json("run/report.json")["steps"], 20, "{fault}");
    }
}

#[test]
fn trouble_is_named_with_the_op() {
    let sandbox = Sandbox::new();
    said(&train(&sandbox, "limit=65536", &["--force"]), 1, &["the adapter allows 65536 bytes"]);
    said(&train(&sandbox, "kernel=adam", &["--force"]), 1, &["adam: the driver refuses the kernel adam"]);
    said(&train(&sandbox, "nonsense", &["--force"]), 2, &["PKDGAN_FAULT", "lost=RUN"]);
}

#[test]
fn a_device_that_hangs_is_given_up() {
    let sandbox = Sandbox::new();
    let output = train(&sandbox, "hang=3", &["--device-timeout=2"]);
    said(&output, 1, &["within 2 s", "--device-timeout", "pkdgan train --resume run"]);
    let output = train(&sandbox, "hang=3", &["--force", "--device-timeout=2", "--allow-cpu-fallback"]);
    said(&output, 0, &["within 2 s", "going on with the CPU executor"]);
    said(&train(&sandbox, "hang=3", &["--device-timeout=0"]), 2, &["--device-timeout"]);
}

#[test]
fn scoring_begins_again_on_the_cpu_executor() {
    let sandbox = Sandbox::new();
    // The run's folder says what it is scored on.
    sandbox.trained("whole", &["--device=gpu"]);
    let eval = |more: &[&str], fault: &str| {
        let arguments = [&["eval", "whole", "--json"], more].concat();
        sandbox.pkdgan(&arguments).env("PKDGAN_FAULT", fault).output().unwrap()
    };
    said(&eval(&[], "lost=1"), 1, &["the device was lost"]);
    let output = eval(&["--allow-cpu-fallback"], "lost=1");
    said(&output, 0, &["going on with the CPU executor"]);
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures["adapter"], "CPU executor");
    let (on_cpu, on_gpu) = (figures["auroc"].as_f64().unwrap(), sandbox.json("whole/report.json")["auroc"].as_f64());
    assert!((on_cpu - on_gpu.unwrap()).abs() < 0.02, "{on_cpu} and {on_gpu:?}");
}

#[test]
fn scoring_of_pictures_goes_on_on_the_cpu_path() {
    let sandbox = Sandbox::new();
    sandbox.train("run", &["--stage", "student"]).assert().success();
    // Three batches.
    let images = ["data/mnist/t10k-images-idx3-ubyte"; 3];
    let score = |more: &[&str], fault: &str| {
        let arguments = [&["score", "run", "--threshold=0"], &images[..], more].concat();
        sandbox.pkdgan(&arguments).env("PKDGAN_FAULT", fault).output().unwrap()
    };
    let scores = |output: &Output| -> Vec<f32> {
        let mut rows = csv::Reader::from_reader(&output.stdout[..]);
        rows.records().map(|row| row.unwrap()[1].parse().unwrap()).collect()
    };
    let expected = scores(&score(&["--path=cpu"], "lost=9"));
    assert_eq!(expected.len(), 3 * TEST);
    said(&score(&["--path=fused-f32"], "lost=2"), 1, &["the device was lost"]);
    said(&score(&["--path=fused-f32", "--device-timeout=2"], "hang=2"), 1, &["within 2 s"]);
    let cases = [
        (&["--path=fused-f32"][..], "lost=2", "the device was lost"),
        (&["--path=fused-f32", "--device-timeout=2"], "hang=2", "within 2 s"),
        (&["--path=fused-f32"], "kernel=fused_score", "the driver refuses the kernel fused_score"),
        (&["--adapter=none of these"], "lost=9", "no usable GPU adapter"),
    ];
    for (arguments, fault, problem) in cases {
        let output = score(&[arguments, &["--allow-cpu-fallback"]].concat(), fault);
        said(&output, 0, &[problem, "warning: going on with the CPU path"]);
        let scores = scores(&output);
        assert_eq!(scores.len(), expected.len());
        for (score, expected) in scores.iter().zip(&expected) {
            assert!((score - expected).abs() <= 1e-4 * expected, "{fault}: {score} and {expected}");
        }
    }
}

/// A driver that does not come back when it is asked for adapters.
#[test]
#[cfg(target_os = "linux")]
fn a_driver_that_hangs_when_it_is_opened_is_given_up() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "hangs.c",
        b"#include <unistd.h>\nint vk_icdNegotiateLoaderICDInterfaceVersion(unsigned *v) { for (;;) pause(); }",
    );
    let compiled = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-o", "hangs.so", "hangs.c"])
        .current_dir(sandbox.path("."))
        .status();
    assert!(compiled.expect("no C compiler: apt-get install -y gcc libc6-dev").success());
    let driver = serde_json::json!({
        "file_format_version": "1.0.0",
        "ICD": { "library_path": sandbox.path("hangs.so"), "api_version": "1.3.0" },
    });
    sandbox.write("driver.json", driver.to_string().as_bytes());
    let train = |more: &[&str]| {
        let mut command = sandbox.train("run", &[&["--force", "--device-timeout=2"], more].concat());
        command.env("VK_DRIVER_FILES", sandbox.path("driver.json")).output().unwrap()
    };
    said(&train(&["--device=gpu"]), 1, &["did not finish the opening of the adapter within 2 s", "--device-timeout"]);
    let mut devices = sandbox.pkdgan(&["devices", "--device-timeout=2"]);
    let output = devices.env("VK_DRIVER_FILES", sandbox.path("driver.json")).output().unwrap();
    said(&output, 1, &["did not finish the search for adapters within 2 s"]);
    said(&train(&[]), 0, &["did not finish the search for adapters within 2 s", "going on without a GPU"]);
    let output = train(&["--device=gpu", "--allow-cpu-fallback"]);
    said(&output, 0, &["the opening of the adapter", "going on with the CPU executor"]);
    assert_eq!(sandbox.json("run/report.json")["adapter"], "CPU executor");
}

/// The driver of this machine is taken away between two stages of a run.
#[test]
#[cfg(target_os = "linux")]
fn an_adapter_may_vanish_between_stages() {
    let sandbox = Sandbox::new();
    let driver = driver();
    sandbox.write("driver.json", &std::fs::read(&driver).unwrap());
    let mut command = sandbox.train("run", &["--stage=all", "--device=gpu"]);
    command.env("VK_DRIVER_FILES", sandbox.path("driver.json"));
    let mut held = Held::start(&command, 5);
    held.wait_until(|| true);
    std::fs::remove_file(sandbox.path("driver.json")).unwrap();
    let (status, said) = held.finish();
    assert_eq!(status.code(), Some(1), "{said}");
    for part in ["no usable GPU adapter", "mesa-vulkan-drivers", "pkdgan train --resume run"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(sandbox.path("run/teacher.safetensors").exists());
    sandbox.pkdgan(&["train", "--resume", "run"]).assert().success();
    assert!(sandbox.path("run/report.json").exists());
}

/// The file that tells the Vulkan loader where the driver is.
#[cfg(target_os = "linux")]
fn driver() -> std::path::PathBuf {
    if let Some(named) = std::env::var_os("VK_DRIVER_FILES") {
        return named.into();
    }
    let folder = std::path::Path::new("/usr/share/vulkan/icd.d");
    let files = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let lavapipe = files.filter(|path| path.to_string_lossy().contains("lvp_icd"));
    lavapipe.min().expect("no software driver: apt-get install -y mesa-vulkan-drivers libvulkan1")
}
