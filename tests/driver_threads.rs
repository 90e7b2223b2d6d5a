//! Numbers of driver threads are tried where a phase of work is long enough for it to pay, and change no score. The driver
//! takes them from the environment: this test has its process to itself.

mod common;

use std::path::Path;

use common::{adapter, random};
use pkdgan::engine::{Executor, Gpu, GpuOptions};
use pkdgan::model::ModelFile;
use pkdgan::pipeline::{OpenedModel, scoring_programs};
use pkdgan::scoring::{Detector, ScoringPath, Wish};
use pkdgan::train::{SCORED_AT_ONCE, Scorer};

#[test]
fn long_phases_try_them() {
    let path = Path::new("tests/data/student/model.safetensors");
    let file = ModelFile::read(path).unwrap();
    let options = GpuOptions { adapter: adapter(), ..GpuOptions::default() };
    let cores = std::thread::available_parallelism().unwrap().get();
    let driver = Gpu::open(&options).unwrap().summary().driver.clone();
    let given = std::env::var_os("LP_NUM_THREADS");
    let chosen = driver.contains("llvmpipe") && cores > 1 && given.is_none();
    // The driver's own number first.
    let others = [2, 0].into_iter().filter(|&threads| threads < cores);
    let expected: Vec<usize> = std::iter::once(cores).chain(others).filter(|_| chosen).collect();
    let numbers = |tried: &[(usize, f64)]| -> Vec<usize> {
        assert!(tried.iter().all(|&(_, seconds)| seconds > 0.0));
        tried.iter().map(|&(threads, _)| threads).collect()
    };

    // Scoring of a stream, few images and many.
    let pixels: Vec<f32> = random(3, 32 * 1024).into_iter().map(|v| v as f32).collect();
    let mut scores = Vec::new();
    for (images, tried) in [(1_000, &[][..]), (10_000_000, &expected)] {
        let path = Some(ScoringPath::OpByOp);
        let wish = Wish { path, images: Some(images), device: options.clone(), ..Wish::default() };
        let (mut detector, choice) = Detector::choose(&file, 32, &wish).unwrap();
        assert_eq!(numbers(&choice.tried_threads), tried, "{images} images on {driver}");
        scores.push(detector.score(&pixels).unwrap());
    }
    assert_eq!(scores[0], scores[1]);

    // Evaluation.
    let pixels: Vec<f32> = random(4, SCORED_AT_ONCE * 1024).into_iter().map(|v| v as f32).collect();
    let waking = scoring_programs(&file).unwrap().last().unwrap().labels().count() as f64 * 50e-6;
    let open = || Ok(Box::new(Gpu::open(&options)?) as Box<dyn Executor>);
    let mut scores = Vec::new();
    for (images, tried) in [(1_000, &[][..]), (100_000_000, &expected)] {
        let mut opened = OpenedModel::open(path, images, &open).unwrap();
        // Its own will do where waking the threads, 50 us a dispatch, takes less than a tenth of a batch.
        let enough = opened.tried.first().is_some_and(|&(_, seconds)| waking < 0.1 * seconds);
        let tried = if enough { &tried[..1] } else { tried };
        assert_eq!(numbers(&opened.tried), tried, "{images} images on {driver}");
        let (executor, model) = (opened.executor.as_mut(), &opened.model);
        let scorer = Scorer::new(executor, &model.variables, &model.gan, model.statistics, SCORED_AT_ONCE).unwrap();
        scores.push(scorer.score_pixels(executor, &pixels).unwrap().wait().unwrap());
    }
    assert_eq!(scores[0], scores[1]);
    assert_eq!(std::env::var_os("LP_NUM_THREADS"), given, "it is the driver's to choose again");
}
