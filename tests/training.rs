//! The public way to train and to score: `training` and `scoring`, without the command line.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use image::{GrayImage, Luma};
use pkdgan::config::{Config, Goal, Recipe, Statistics};
use pkdgan::engine::DeviceKind;
use pkdgan::scoring::{Detector, DetectorOptions, PictureFault, ScoringPath, score_pictures};
use pkdgan::training::{Outcome, Progress, TrainedRun, Training, TrainingError};
use tempfile::TempDir;

/// A disc whose place goes by a number.
fn picture(n: u32) -> GrayImage {
    let (x0, y0) = (14 + n % 5, 14 + n % 7);
    GrayImage::from_fn(32, 32, |x, y| {
        let distance = x.abs_diff(x0).pow(2) + y.abs_diff(y0).pow(2);
        Luma([255_u32.saturating_sub(3 * distance) as u8])
    })
}

/// A folder with 30 pictures in `good`.
fn pictures() -> TempDir {
    let sandbox = tempfile::tempdir().unwrap();
    fs::create_dir(sandbox.path().join("good")).unwrap();
    for n in 0..30 {
        picture(n).save(sandbox.path().join(format!("good/{n:02}.png"))).unwrap();
    }
    sandbox
}

/// Networks of few channels, and few steps.
fn tiny() -> Config {
    let mut config = Recipe::Default.images(32);
    config.network.generator = vec![2, 3, 4];
    config.network.discriminator = vec![2, 2, 2];
    config.network.latents = 5;
    config.training.steps = 12;
    config.training.batch_size = 4;
    config
}

fn training<'a>(sandbox: &TempDir) -> Training<'a> {
    let good = sandbox.path().join("good");
    Training::on_images(good).config(tiny()).goal(Goal::Teacher).seed(7).device(DeviceKind::Cpu)
}

fn finished(outcome: Outcome) -> TrainedRun {
    match outcome {
        Outcome::Done(run) => run,
        Outcome::Stopped { stage, step, steps } => panic!("stopped in {stage} after step {step} of {steps}"),
    }
}

/// The files of a run that are the same each time.
fn lasting(run: &Path) -> BTreeMap<&'static str, Vec<u8>> {
    ["config.toml", "model.safetensors", "scores.csv"].map(|name| (name, fs::read(run.join(name)).unwrap())).into()
}

#[test]
fn a_folder_is_trained_on_and_an_image_is_scored() {
    let sandbox = pictures();
    let mut seen = Vec::new();
    let training = training(&sandbox).on_progress(|progress| {
        match progress {
            Progress::Reading { done: 30, pictures: 30 } => seen.push("reading".to_owned()),
            Progress::Preparing { phase } => seen.push(format!("preparing {phase}")),
            Progress::Training { stage, step: 12, steps: 12, losses } => {
                assert!(losses.iter().any(|(name, loss)| *name == "reconstruction" && loss.is_finite()), "{losses:?}");
                seen.push(format!("trained {stage}"));
            }
            Progress::Scoring { network, done, images } if done == images => seen.push(format!("scored {network}")),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    let run = finished(training.run(sandbox.path().join("run")).unwrap());
    for event in ["reading", "preparing teacher", "trained teacher", "scored teacher"] {
        assert!(seen.iter().any(|seen| seen == event), "{event} is not in {seen:?}");
    }
    assert_eq!(run.folder(), sandbox.path().join("run"));
    assert_eq!((run.auroc(), run.average_precision()), (None, None), "there are no anomalous pictures");
    assert!(run.skipped().is_empty());
    for name in ["report.json", "report.html", "scores.csv"] {
        assert!(run.folder().join(name).is_file(), "{name}");
    }

    // One image, by way of a file and by way of its pixels.
    let model = run.model().unwrap();
    let photo = sandbox.path().join("photo.png");
    picture(3).save(&photo).unwrap();
    fs::write(sandbox.path().join("none.png"), "no picture").unwrap();
    let options = DetectorOptions::default().path(ScoringPath::Cpu);
    let paths = [photo, sandbox.path().join("none.png")];
    let mut inspected = score_pictures(&model, &paths, options.clone()).unwrap();
    assert_eq!(inspected.choice().path, ScoringPath::Cpu);
    let score = inspected.next().unwrap().unwrap().score.unwrap();
    let fault = inspected.next().unwrap().unwrap().score.unwrap_err();
    assert!(matches!(&fault, PictureFault::Picture(error) if error.path.ends_with("none.png")), "{fault}");
    assert!(inspected.next().is_none());

    let pixels: Vec<f32> = picture(3).pixels().map(|pixel| f32::from(pixel.0[0]) / 127.5 - 1.0).collect();
    let (mut detector, _) = Detector::choose(&model, 1, &options).unwrap();
    assert_eq!(detector.image(), [1, 32, 32]);
    let alone = detector.score(&pixels).unwrap()[0];
    assert!((score - alone).abs() <= 1e-5 * alone, "{score} as a file, {alone} as pixels");
    let p = model.calibration.as_ref().unwrap().p_value(score).unwrap();
    assert!(p > 0.0 && p <= 1.0, "{p}");
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_same_bytes() {
    let sandbox = pictures();
    let [straight, parted] = ["straight", "parted"].map(|name| sandbox.path().join(name));
    finished(training(&sandbox).run(&straight).unwrap());

    let stopped = training(&sandbox).on_progress(|progress| match progress {
        Progress::Training { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    match stopped.run(&parted).unwrap() {
        Outcome::Stopped { step, steps: 12, .. } => assert!((1..12).contains(&step), "{step}"),
        outcome => panic!("{outcome:?}"),
    }
    assert!(!parted.join("report.json").exists());
    finished(training(&sandbox).run(&parted).unwrap());
    assert_eq!(lasting(&straight), lasting(&parted));

    // What is done stays as it is.
    let report = fs::read(parted.join("report.json")).unwrap();
    finished(training(&sandbox).run(&parted).unwrap());
    assert_eq!(fs::read(parted.join("report.json")).unwrap(), report);
}

#[test]
fn another_run_s_folder_is_refused() {
    let sandbox = pictures();
    let run = sandbox.path().join("run");
    finished(training(&sandbox).run(&run).unwrap());
    let before = lasting(&run);
    let error = training(&sandbox).seed(8).run(&run).unwrap_err();
    match &error {
        TrainingError::OtherRun { folder, difference } => {
            assert_eq!(*folder, run);
            assert_eq!(difference, "training.seed is 7, wanted 8");
        }
        error => panic!("{error}"),
    }
    // So are other pictures.
    picture(99).save(sandbox.path().join("good/new.png")).unwrap();
    let error = training(&sandbox).run(&run).unwrap_err();
    assert!(error.to_string().contains("data.images.digest"), "{error}");
    assert_eq!(lasting(&run), before);
}

#[test]
fn settings_are_checked_before_anything_is_written() {
    let sandbox = pictures();
    let run = sandbox.path().join("run");
    for (training, part) in [
        (training(&sandbox).side(33), "data.side"),
        (training(&sandbox).goal(Goal::Distill), "teacher"),
        (training(&sandbox).teacher("elsewhere"), "needs no teacher"),
        (Training::on_images(sandbox.path().join("none")), "no such folder"),
    ] {
        let error = training.run(&run).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(!run.exists());
}

#[test]
fn a_given_teacher_is_used_as_its_file_says() {
    let sandbox = pictures();
    let teacher = sandbox.path().join("teacher");
    let mut config = tiny();
    config.scoring.statistics = Statistics::PerImage;
    finished(training(&sandbox).config(config).run(&teacher).unwrap());
    let good = sandbox.path().join("good");
    let distilled = |steps| {
        let mut training = Training::on_images(&good).teacher(&teacher).goal(Goal::Distill).device(DeviceKind::Cpu);
        if steps {
            // A few are enough: the run is stopped as soon as it is in its first stage.
            training = training.on_progress(|progress| match progress {
                Progress::Training { .. } => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            });
        }
        training
    };
    let run = sandbox.path().join("run");
    for _ in 0..2 {
        // The second time from the checkpoint.
        assert!(matches!(distilled(true).run(&run).unwrap(), Outcome::Stopped { .. }));
        let config = Config::read(&run.join("config.toml")).unwrap();
        assert_eq!(config.scoring.statistics, Statistics::PerImage);
        assert_eq!((config.network.generator, config.network.latents), (vec![2, 3, 4], 5));
    }
    let error = distilled(false).config(tiny()).run(sandbox.path().join("other")).unwrap_err();
    assert!(error.to_string().contains("`scoring.statistics` = \"per-image\""), "{error}");
    assert!(!sandbox.path().join("other").exists());
}
