//! The choice of kernels: what is measured is remembered for its adapter only, a bad file does no harm, and a run keeps the
//! kernels that it began with.

mod command;
mod common;

use std::fs;
use std::sync::Arc;

use command::{Sandbox, stderr};
use pkdgan::config::Config;
use pkdgan::engine::{Executor, GpuOptions, Graph, Window};
use pkdgan::unstable::cache::{KernelCache, PipelineFiles};
use pkdgan::unstable::engine::{
    ConvShape, GpuInternals, GpuOptionsInternals, KernelTime, KernelTimes, MeasuredOn, Measurements, PipelineStore,
    ProgramInternals,
};
use pkdgan::unstable::train::{Stage, Traced};
use serde_json::Value;

/// Made-up times: the kernel at `fastest` of a convolution's candidates takes a tenth of the others'.
fn times(shape: &ConvShape, software: bool, fastest: impl Fn(usize) -> usize) -> KernelTimes {
    let candidates = shape.candidates(software);
    let fastest = fastest(candidates.len());
    let time = |(place, kernel)| KernelTime { kernel, seconds: Some(if place == fastest { 1e-4 } else { 1e-3 }) };
    KernelTimes(candidates.into_iter().enumerate().map(time).collect())
}

/// The convolutions of a training step of the sandbox's tiny teacher, whose configuration a run has left.
fn convolutions(sandbox: &Sandbox, run: &str) -> Vec<ConvShape> {
    let config = Config::read(&sandbox.path(&format!("{run}/config.toml"))).unwrap();
    Traced::new(&config, Stage::Teacher, 4).unwrap().program().unwrap().convolutions()
}

#[test]
fn what_is_measured_is_read_back_and_chosen_by() {
    let sandbox = Sandbox::new();
    sandbox.trained("run", &["--steps=1", "--device=gpu"]);
    let shapes = convolutions(&sandbox, "run");
    let mut gpu = common::open();
    let (on, software) = (gpu.measured_on(), gpu.summary().is_software());
    let mut measurements = Measurements::default();
    let small = shapes.iter().min_by_key(|shape| shape.macs()).unwrap();
    let measured = gpu.time_kernels(small).unwrap();
    assert_eq!(measured.0.iter().map(|time| time.kernel.clone()).collect::<Vec<_>>(), small.candidates(software));
    assert!(measured.usual().unwrap().seconds.unwrap() > 0.0, "{measured:?}");
    assert!(gpu.choices().is_empty(), "timing leaves the choice as it was");
    measurements.insert(&on, small, measured.clone());
    for shape in shapes.iter().filter(|&shape| shape != small) {
        measurements.insert(&on, shape, times(shape, software, |count| count - 1));
    }

    let cache = KernelCache::new(&sandbox.path("deep/cache"));
    assert_eq!(cache.read(), Measurements::default());
    cache.write(&measurements).unwrap();
    assert_eq!(cache.read(), measurements);
    assert_eq!(cache.read().of(&on, small), Some(&measured));
    let choices = measurements.choices(&on);
    for shape in shapes.iter().filter(|&shape| shape != small) {
        assert_eq!(choices.of(shape).map(str::to_owned), shape.candidates(software).pop());
    }
}

#[test]
fn measurements_hold_for_their_adapter_and_kernels_only() {
    let sandbox = Sandbox::new();
    sandbox.trained("run", &["--steps=1", "--device=gpu"]);
    let shapes = convolutions(&sandbox, "run");
    let shape = &shapes[0];
    let on = common::open().measured_on();
    let mut measurements = Measurements::default();
    measurements.insert(&on, shape, times(shape, true, |count| count - 1));
    assert_eq!(measurements.choices(&on).len(), 1);
    let others = [
        MeasuredOn { adapter: "another".into(), ..on.clone() },
        MeasuredOn { backend: "metal".into(), ..on.clone() },
        MeasuredOn { driver: "newer".into(), ..on.clone() },
        MeasuredOn { kernels: "other texts".into(), ..on.clone() },
    ];
    for other in &others {
        assert!(measurements.choices(other).is_empty(), "{other:?}");
        assert_eq!(measurements.of(other, shape), None);
    }
    // Of one device there are measurements of one version of the kernels.
    measurements.insert(&others[0], shape, times(shape, true, |_| 1));
    measurements.insert(&others[3], shape, times(shape, true, |_| 1));
    assert!(measurements.choices(&on).is_empty());
    assert_eq!([&others[0], &others[3]].map(|on| measurements.choices(on).len()), [1, 1]);
    // What is hardly faster is not chosen, nor is what was dropped.
    let time = |kernel: &str, seconds| KernelTime { kernel: kernel.into(), seconds };
    let level = KernelTimes(vec![time("a", Some(1.0)), time("b", Some(0.99)), time("c", None)]);
    assert_eq!(level.chosen(), level.usual());
}

#[test]
fn what_two_measure_at_once_is_kept() {
    let sandbox = Sandbox::new();
    sandbox.trained("run", &["--steps=1", "--device=gpu"]);
    let shapes = convolutions(&sandbox, "run");
    let folder = sandbox.path("cache/pkdgan");
    let on = |name: &str| MeasuredOn {
        adapter: name.into(),
        backend: "vulkan".into(),
        driver: "1".into(),
        kernels: "texts".into(),
    };
    let devices = ["a", "b", "c", "d"];
    std::thread::scope(|scope| {
        for name in devices {
            let (folder, shapes) = (&folder, &shapes);
            scope.spawn(move || {
                let cache = KernelCache::new(folder);
                for shape in shapes {
                    let known = cache.update(|all| all.insert(&on(name), shape, times(shape, true, |_| 0))).unwrap();
                    assert!(known.of(&on(name), shape).is_some());
                }
            });
        }
    });
    let kept = KernelCache::new(&folder).read();
    for name in devices {
        let missing = shapes.iter().filter(|shape| kept.of(&on(name), shape).is_none()).count();
        assert_eq!(missing, 0, "of {} on {name}", shapes.len());
    }
    // What a newer program wrote stays.
    let newer = br#"{"format": 3, "devices": {}}"#;
    sandbox.write("cache/pkdgan/kernels.json", newer);
    KernelCache::new(&folder).update(|all| *all = Measurements::default()).unwrap_err();
    assert_eq!(sandbox.read("cache/pkdgan/kernels.json"), newer);
}

/// A cache file is the user's, but anybody's program may have written it.
#[test]
fn a_cache_that_is_damaged_is_taken_for_empty() {
    let sandbox = Sandbox::new();
    let path = "cache/pkdgan/kernels.json";
    fs::create_dir_all(sandbox.path("cache/pkdgan")).unwrap();
    sandbox.train("without", &["--device=gpu"]).assert().success();
    let deep = "[".repeat(200_000);
    let on = serde_json::to_string(&common::open().measured_on()).unwrap();
    let foreign = [
        "",
        "{",
        "[1]",
        "null",
        "\u{0}",
        &deep,
        r#"[{"on": {"adapter": "x"}, "convolutions": {}}]"#,
        &format!(r#"[{{"on": {on}, "convolutions": {{"conv2d": [{{"kernel": "a", "seconds": "soon"}}]}}}}]"#),
    ];
    for text in foreign {
        sandbox.write(path, text.as_bytes());
        let output = sandbox.train("run", &["--force", "--device=gpu"]).output().unwrap();
        let said = stderr(&output);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("cache/pkdgan/kernels.json") && said.contains("pkdgan tune"), "{said}");
        assert!(sandbox.read("run/model.safetensors") == sandbox.read("without/model.safetensors"));
    }
    // Well formed, with kernels that there are not.
    let mut measurements = Measurements::default();
    let on = common::open().measured_on();
    for shape in convolutions(&sandbox, "without") {
        let time = |kernel: &str, seconds| KernelTime { kernel: kernel.into(), seconds: Some(seconds) };
        let huge = "register 4294967295x4294967295x4294967295 lanes 0";
        measurements.insert(&on, &shape, KernelTimes(vec![time("naive", 1.0), time(huge, 1e-9)]));
    }
    KernelCache::new(&sandbox.path("cache/pkdgan")).write(&measurements).unwrap();
    sandbox.train("run", &["--force", "--device=gpu"]).assert().success();
    assert!(sandbox.read("run/model.safetensors") == sandbox.read("without/model.safetensors"));
}

#[test]
fn a_run_goes_on_with_the_kernels_that_it_began_with() {
    let sandbox = Sandbox::new();
    let steps = ["--steps=60", "--checkpoint-every=4", "--device=gpu"];
    sandbox.train("defaults", &steps).assert().success();
    let gpu = common::open();
    let (on, software) = (gpu.measured_on(), gpu.summary().is_software());
    let cache = KernelCache::new(&sandbox.path("cache/pkdgan"));
    let measured = |fastest: fn(usize) -> usize| {
        let mut measurements = Measurements::default();
        for shape in convolutions(&sandbox, "defaults") {
            measurements.insert(&on, &shape, times(&shape, software, fastest));
        }
        cache.write(&measurements).unwrap();
    };
    measured(|count| count - 1);
    sandbox.train("whole", &steps).assert().success();
    let [defaults, whole] = ["defaults", "whole"].map(|run| sandbox.read(&format!("{run}/model.safetensors")));
    assert!(defaults != whole, "other kernels round otherwise, or this test shows nothing");
    assert!(!sandbox.path("defaults/kernels.json").exists());
    let chosen = sandbox.json("whole/kernels.json").as_object().unwrap().len();
    assert_eq!(sandbox.json("whole/report.json")["tuned_kernels"], chosen);
    assert_eq!(sandbox.json("defaults/report.json")["tuned_kernels"], 0);

    // Behind a checkpoint and before the end, whether a submission has one step or as many as there are to the next checkpoint.
    let output = sandbox.train("broken", &steps).env("PKDGAN_FAULT", "lost=8").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(!sandbox.path("broken/model.safetensors").exists());
    // Measured anew, with another outcome.
    measured(|count| count / 2);
    sandbox.pkdgan(&["train", "--resume", "broken"]).assert().success();
    for file in ["model.safetensors", "scores.csv"] {
        assert!(sandbox.read(&format!("broken/{file}")) == sandbox.read(&format!("whole/{file}")), "{file}");
    }
    // Its evaluation does too.
    sandbox.pkdgan(&["eval", "broken", "--scores", "again.csv"]).assert().success();
    assert!(sandbox.read("again.csv") == sandbox.read("whole/scores.csv"));

    sandbox.train("untuned", &steps).arg("--no-tune").assert().success();
    assert!(sandbox.read("untuned/model.safetensors") == defaults, "--no-tune is as if nothing were measured");
    sandbox.pkdgan(&["train", "--resume", "broken", "--no-tune"]).assert().code(2);
    sandbox.write("broken/kernels.json", b"{\"conv2d\": 1}");
    let output = sandbox.pkdgan(&["train", "--resume", "broken"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("broken/kernels.json"), "{}", stderr(&output));
}

#[test]
fn compiled_kernels_are_kept_whole_or_not_at_all() {
    let sandbox = Sandbox::new();
    let options = |folder: &str| {
        GpuOptions::default()
            .adapter(common::adapter())
            .pipelines(Arc::new(PipelineFiles::new(sandbox.path(folder))) as Arc<dyn PipelineStore>)
    };
    let mut graph = Graph::new();
    let x = graph.input("x", [1, 1, 4, 4]);
    let w = graph.input("w", [2, 1, 2, 2]);
    let y = graph.conv2d(x, w, None, Window::stride(2)).unwrap();
    graph.output("y", y);
    let image: Vec<f32> = (0..16).map(|v| v as f32).collect();
    let compute = || {
        let mut gpu = common::opened(&options("pipelines"));
        let y = gpu.evaluate(&graph, &[("x", &image), ("w", &[1.0; 8])]).unwrap();
        assert_eq!(y["y"], [10.0, 18.0, 42.0, 50.0, 10.0, 18.0, 42.0, 50.0]);
    };
    compute();
    let files = sandbox.list("pipelines");
    // Vulkan offers it, Metal and DirectX 12 do not.
    assert_eq!(files.len(), usize::from(common::open().summary().backend == "vulkan"), "{files:?}");
    for file in files {
        let name = format!("pipelines/{file}");
        let bytes = sandbox.read(&name);
        compute();
        let store = PipelineFiles::new(sandbox.path("pipelines"));
        let key = file.strip_prefix("pipelines-").and_then(|rest| rest.strip_suffix(".bin")).unwrap();
        assert_eq!(store.read(key).as_deref(), Some(&bytes[32..]));
        for place in [0, 40, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            for damaged in [damaged, bytes[..place].to_vec()] {
                sandbox.write(&name, &damaged);
                assert_eq!(store.read(key), None, "byte {place}");
                compute();
                assert!(store.read(key).is_some(), "it is written anew");
            }
        }
        // Whole, but of another driver.
        let mut foreign = bytes[32..].to_vec();
        foreign[9..].iter_mut().for_each(|byte| *byte ^= 0x55);
        store.write(key, &foreign);
        compute();
    }
}

#[test]
fn tune_fills_the_cache_once() {
    let sandbox = Sandbox::new();
    sandbox.trained("run", &["--steps=1", "--device=gpu"]);
    let tune = |more: &[&str]| {
        let output = sandbox.pkdgan(&["tune", "run", "--json", "--device=gpu"]).args(more).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        (rows, stderr(&output))
    };
    let (none, _) = tune(&["--limit=0"]);
    assert!(none.len() < 2, "at most one convolution begins in no time");
    let (rows, said) = tune(&[]);
    assert!(rows.len() > 10, "{rows:?}");
    for row in &rows {
        let kernels = row["kernels"].as_array().unwrap();
        assert!(kernels.len() > 2 && kernels.contains(&row["usual"]) && kernels.contains(&row["chosen"]), "{row}");
        let [usual, chosen] = ["usual", "chosen"].map(|which| row[which]["seconds"].as_f64().unwrap());
        assert!(usual > 0.0 && chosen > 0.0 && chosen <= usual, "{row}");
        assert!((row["gain"].as_f64().unwrap() - usual / chosen).abs() < 1e-9, "{row}");
    }
    assert!(said.contains(&format!("{} convolutions", rows.len())), "{said}");
    let before = sandbox.read("cache/pkdgan/kernels.json");
    let (again, said) = tune(&[]);
    assert_eq!(again, rows);
    assert!(said.contains(" 0 of them to be timed"), "{said}");
    assert!(before == sandbox.read("cache/pkdgan/kernels.json"));
    // With a table for people.
    let output = sandbox.pkdgan(&["tune", "run", "--device=gpu"]).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(table.lines().count(), rows.len() + 2, "{table}");
    // A new run says so.
    let tuned = rows.iter().filter(|row| row["usual"] != row["chosen"]).count();
    let said = stderr(&sandbox.train("again", &["--steps=1", "--device=gpu"]).output().unwrap());
    assert_eq!(said.contains(&format!("{tuned} convolutions by kernels")), tuned > 0, "{said}");

    sandbox.pkdgan(&["tune", "run", "--no-tune"]).assert().code(2);
    sandbox.pkdgan(&["tune", "run", "--device", "cpu"]).assert().code(1);
}

#[test]
fn a_step_is_taken_apart() {
    let sandbox = Sandbox::new();
    let program = |more: &[&str]| {
        let output = sandbox.pkdgan(&["model", "--program", "--json"]).args(command::TINY).args(more).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    for (stage, batch) in [("teacher", 3), ("alone", 1), ("step1", 2), ("step2", 2)] {
        let batch = batch.to_string();
        let figures = program(&["--stage", stage, "--batch", &batch, "--device=gpu"]);
        assert_eq!((&figures["stage"], figures["batch"].to_string()), (&stage.into(), batch));
        let dispatches = figures["dispatches"].as_array().unwrap();
        let sum = |key: &str| dispatches.iter().filter_map(|dispatch| dispatch[key].as_f64()).sum::<f64>();
        assert_eq!(sum("macs"), figures["macs"].as_f64().unwrap(), "{stage}");
        assert!(dispatches.iter().all(|dispatch| dispatch["workgroups"][0].as_u64().unwrap() > 0));
        let counted = figures["shaders"].as_array().unwrap().iter().map(|sum| sum["dispatches"].as_u64().unwrap());
        assert_eq!(counted.sum::<u64>() as usize, dispatches.len());
        assert!(figures["step_seconds"].as_f64().unwrap() > 0.0);
        // An adapter without a clock says so instead.
        if figures["untimed"].is_null() {
            assert!(dispatches.iter().all(|dispatch| dispatch["seconds"].as_f64().unwrap() >= 0.0));
            let share = figures["not_arithmetic"].as_f64().unwrap();
            assert!((0.0..1.0).contains(&share), "{share}");
        } else {
            assert!(figures["not_arithmetic"].is_null() && dispatches[0]["seconds"].is_null());
        }
    }
    let figures = program(&["--device", "cpu"]);
    assert!(figures["adapter"].as_str().unwrap().starts_with("CPU executor, "), "{}", figures["adapter"]);
    let output = sandbox.pkdgan(&["model", "--program", "--device=gpu"]).args(command::TINY).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("adam") && said.contains("a step of stage teacher with a batch of 2"), "{said}");
    sandbox.pkdgan(&["model", "--stage", "teacher"]).assert().code(2);
    sandbox.pkdgan(&["model", "--program", "--stage", "third"]).assert().code(2);
}
