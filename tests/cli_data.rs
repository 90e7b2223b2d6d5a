//! `pkdgan data` and the data sets in colour.

mod command;
mod server;

use std::fs;
use std::path::Path;

use command::{Sandbox, stderr};
use server::{Reply, Server};

fn stdout(output: &std::process::Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The packed files of MNIST that come with the project.
fn packed(name: &str) -> Option<Vec<u8>> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist").join(name)).ok()
}

#[test]
fn list_names_every_set() {
    let sandbox = Sandbox::new();
    let output = sandbox.pkdgan(&["data", "list"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    for part in ["mnist: data/mnist", "60000 + 10000 grey images of 28x28", "50000 + 10000 colour", "licence: MIT"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let output = sandbox.pkdgan(&["data", "list", "--json", "--data-dir", "nowhere"]).output().unwrap();
    let sets: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> = sets.as_array().unwrap().iter().map(|set| set["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["mnist", "fashion-mnist", "cifar-10"]);
    assert!(sets[0]["folder"].is_null());
    assert_eq!((&sets[2]["channels"], &sets[2]["classes"][8]), (&3.into(), &"ship".into()));
}

#[test]
fn verify_names_the_faulty_files() {
    let sandbox = Sandbox::new();
    let output = sandbox.pkdgan(&["data", "verify", "mnist"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    for name in ["train-images", "train-labels", "t10k-images", "t10k-labels"] {
        assert!(said.contains(&format!("data/mnist/{name}")), "{name}: {said}");
    }
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let output = sandbox.pkdgan(&["data", "verify", "mnist", "--data-dir"]).arg(project).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output).matches("contents as published (sha256)").count(), 4);
}

#[test]
fn fetch_takes_the_published_contents_from_a_mirror() {
    let sandbox = Sandbox::new();
    let server = Server::start(|_, request| match packed(&request.path) {
        Some(file) => Reply::part(&file, request),
        None => Reply::status(404),
    });
    let run = |arguments: &[&str]| {
        let mut command = sandbox.pkdgan(arguments);
        command.env("XDG_CACHE_HOME", sandbox.path("cache")).output().unwrap()
    };
    let output = run(&["data", "fetch", "mnist", "--mirror", &server.address()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("packed otherwise than published, contents as published"), "{}", stderr(&output));
    let names = ["t10k-images-idx3", "t10k-labels-idx1", "train-images-idx3", "train-labels-idx1"];
    assert_eq!(sandbox.list("cache/pkdgan/mnist"), names.map(|name| format!("{name}-ubyte.gz")));
    let output = run(&["data", "fetch", "mnist", "--mirror", &server.address()]);
    assert!(stderr(&output).contains("already there"), "{}", stderr(&output));
    assert_eq!(server.ranges().len(), 4);

    fs::remove_dir_all(sandbox.path("data")).unwrap();
    let output = run(&["data", "path", "mnist"]);
    assert_eq!(Path::new(stdout(&output).trim_end()), sandbox.path("cache/pkdgan/mnist"));
}

#[test]
fn fetch_refuses_what_was_not_published() {
    let sandbox = Sandbox::new();
    let wrong = Server::start(|_, request| Reply::part(b"wrong", request));
    let absent = Server::start(|_, _| Reply::status(404));
    for (mirror, named) in [(wrong.address(), "md5"), (absent.address(), "404"), ("gopher://x".into(), "gopher://x")] {
        for set in ["mnist", "cifar-10"] {
            let arguments = ["data", "fetch", set, "--data-dir", "into", "--quiet", "--mirror", &mirror];
            let output = sandbox.pkdgan(&arguments).output().unwrap();
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains(named) && said.lines().count() == 1, "{said}");
            assert!(sandbox.list(&format!("into/{set}")).is_empty());
        }
    }
    let output = sandbox.pkdgan(&["data", "fetch", "cifar-100"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cifar-10"), "{}", stderr(&output));
}

#[test]
fn networks_take_the_channels_of_the_data_set() {
    let sandbox = Sandbox::new();
    let macs = |dataset: &str| {
        let output = sandbox
            .pkdgan(&["model", "--json", "--set=network.generator=[4,6,8]", "--dataset", dataset])
            .output()
            .unwrap();
        let model: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        model["networks"][0]["layers"][0]["macs"].as_u64().unwrap()
    };
    assert_eq!(macs("cifar-10"), 3 * macs("mnist"));

    fs::create_dir_all(sandbox.path("data/cifar-10")).unwrap();
    let records: Vec<u8> =
        (0..20_u8).flat_map(|number| [vec![number % 10], vec![12 * number; 3072]].concat()).collect();
    for file in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        sandbox.write(&format!("data/cifar-10/{file}.bin"), &records);
    }
    sandbox.train("run", &["--dataset=cifar-10", "--stage=teacher", "--steps=2"]).assert().success();
    assert_eq!(sandbox.json("run/report.json")["dataset"], "cifar-10");
    sandbox.pkdgan(&["eval", "run"]).assert().success();
}
