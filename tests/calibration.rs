//! P-values and thresholds from held-out normal images: exact on small cases, and the promise kept on real scores.

use std::path::PathBuf;

use pkdgan::config::{Config, Goal, Recipe};
use pkdgan::data::Dataset;
use pkdgan::engine::{Cpu, EngineError, Executor};
use pkdgan::model::ModelFile;
use pkdgan::unstable::calibration::{Calibration, CalibrationError, percent, rounded_up, rounded_up_to, tie_bound};
use pkdgan::unstable::engine::KernelChoices;
use pkdgan::unstable::pipeline::{self, Data, GivenFiles, Progress, Watch};
use pkdgan::unstable::run::RunFile;
use pkdgan::unstable::train::{CheckpointEvery, Evaluation, Event, Model, SCORED_AT_ONCE, Scorer, Stage};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

fn of(scores: &[f32]) -> Calibration {
    Calibration::new(scores.to_vec()).unwrap()
}

#[test]
fn p_values_count_scores_at_least_as_high() {
    let calibration = of(&[3.0, 1.0, 2.0, 2.0]);
    assert_eq!(calibration.scores(), [1.0, 2.0, 2.0, 3.0]);
    for (score, p) in [(0.5, 1.0), (1.0, 1.0), (1.5, 0.8), (2.0, 0.8), (2.5, 0.4), (3.0, 0.4), (3.5, 0.2)] {
        assert_eq!(calibration.p_value(score).unwrap(), p, "{score}");
    }
    assert_eq!(calibration.p_value(f32::INFINITY).unwrap(), 0.2);
    assert_eq!(calibration.p_value(f32::NAN), Err(CalibrationError::NotANumber));
    assert_eq!(of(&[0.0]).p_value(-0.0).unwrap(), 1.0);
}

#[test]
fn thresholds_of_a_hundred_scores() {
    let calibration = of(&(1..=99).map(|score| score as f32).collect::<Vec<_>>());
    // p <= alpha takes at most 100 alpha - 1 scores at least as high.
    for (alpha, threshold) in [(0.01, 99.0), (0.015, 99.0), (0.02, 98.0), (0.05, 95.0), (0.1, 90.0), (0.99, 1.0)] {
        assert_eq!(calibration.threshold(alpha), Ok(tie_bound(threshold)), "{alpha}");
    }
    assert_eq!(calibration.least_alpha(), 0.01);
    let few = CalibrationError::TooFew { alpha: 0.005, needed: 199, count: 99 };
    assert_eq!(calibration.threshold(0.005), Err(few));
    for part in ["0.005", "199", "has 99", "choose 0.01 or more"] {
        assert!(few.to_string().contains(part), "{few}");
    }
}

#[test]
fn scores_that_paths_round_apart_are_equal() {
    // One image, as the paths score it: to 5e-5 the same in single precision, to 2 % or 0.001 in half.
    for (score, others) in
        [(0.016_644, [0.016_643, 0.016_645, 0.016_989]), (0.005_542, [0.005_541, 0.005_543, 0.006_622])]
    {
        let calibration = of(&[score; 24]);
        for other in others {
            assert_eq!(calibration.p_value(other), Ok(1.0), "{score} {other}");
        }
        assert_eq!(calibration.p_value(0.022), Ok(0.04));
    }
    for (score, bound) in [(0.0, 0.005), (0.5, 0.505), (2.0, 2.02), (100.0, 101.0), (f32::MAX, f32::MAX)] {
        assert!((tie_bound(score) - bound).abs() <= 1e-6 * bound, "{score}");
        assert!(of(&[score]).p_value(tie_bound(score)).unwrap() == 1.0);
    }
    assert_eq!(of(&[2.0]).p_value(tie_bound(2.0).next_up()), Ok(0.5));
    assert_eq!(of(&[f32::MAX]).p_value(f32::INFINITY), Ok(0.5));
}

#[test]
fn rates_are_rounded_up() {
    let cases =
        [(1.0 / 9.0, "0.112", "11.2 %"), (1.0 / 7.0, "0.143", "14.3 %"), (0.01, "0.01", "1 %"), (0.5, "0.5", "50 %")];
    for (rate, text, shown) in cases {
        assert_eq!((rounded_up(rate).as_str(), percent(rate).as_str()), (text, shown), "{rate}");
    }
    assert_eq!((rounded_up_to(0.01664434, 4).as_str(), rounded_up_to(2.5, 4).as_str()), ("0.0167", "2.5000"));
    for count in 1..100_000_u32 {
        let rate = 1.0 / (f64::from(count) + 1.0);
        let typed: f64 = rounded_up(rate).parse().unwrap();
        assert!(rate <= typed && typed < 1.011 * rate, "{count}: {typed}");
        let shown = percent(rate);
        let share: f64 = shown.strip_suffix(" %").unwrap().parse().unwrap();
        assert!(100.0 * rate <= share * (1.0 + 1e-12) && share < 101.1 * rate, "{count}: {shown}");
    }
}

#[test]
fn what_cannot_calibrate_is_refused() {
    assert_eq!(Calibration::new(Vec::new()), Err(CalibrationError::Empty));
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = Calibration::new(vec![0.0, 1.0, value]).unwrap_err();
        assert!(matches!(error, CalibrationError::NotFinite { place: 2, .. }), "{error}");
    }
    for alpha in [0.0, -0.5, 1.0, 1.5, f64::NAN, f64::INFINITY] {
        assert!(matches!(of(&[1.0, 2.0]).threshold(alpha), Err(CalibrationError::Alpha(_))), "{alpha}");
    }
}

fn scores() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(prop_oneof![(-4_i8..4).prop_map(f32::from), -1e3_f32..1e3], 1..60)
}

proptest! {
    #[test]
    fn above_the_threshold_is_where_p_is_at_most_alpha(
        scores in scores(),
        new in prop_oneof![(-5_i8..5).prop_map(f32::from), -2e3_f32..2e3],
        alpha in prop_oneof![1e-4_f64..0.9999, (1_usize..60, 2_usize..61).prop_map(|(a, b)| a as f64 / (a + b) as f64)],
    ) {
        let calibration = of(&scores);
        let at_least = scores.iter().filter(|&&score| tie_bound(score) >= new).count();
        prop_assert_eq!(calibration.p_value(new).unwrap(), (1 + at_least) as f64 / (scores.len() + 1) as f64);
        match calibration.threshold(alpha) {
            Ok(threshold) => {
                prop_assert_eq!(new > threshold, calibration.p_value(new).unwrap() <= alpha);
                for &score in scores.iter().chain(&scores.iter().map(|&score| tie_bound(score)).collect::<Vec<_>>()) {
                    prop_assert_eq!(score > threshold, calibration.p_value(score).unwrap() <= alpha);
                }
            }
            Err(CalibrationError::TooFew { needed, count, .. }) => {
                prop_assert!(count < needed);
                prop_assert!(calibration.least_alpha() > alpha);
                // As many as it says are enough.
                prop_assert!(of(&vec![1.0; needed]).threshold(alpha).is_ok());
                prop_assert!(calibration.threshold(rounded_up(calibration.least_alpha()).parse().unwrap()).is_ok());
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
        prop_assert!(calibration.threshold(calibration.least_alpha().max(0.01)).is_ok());
    }
}

struct Silent;

impl Watch for Silent {
    fn prepare(&mut self, _phase: &str) {}

    fn begin(&mut self, _: Stage, _: usize, _: usize) {}

    fn trained(&mut self, _: Stage, _: Event) -> bool {
        false
    }

    fn scored(&mut self, _: &str, _: usize, _: usize) {}
}

fn open() -> Result<Box<dyn Executor>, EngineError> {
    Ok(Box::new(Cpu::new()))
}

/// A student of MNIST's digit 8 that was trained by itself on a few images, for long.
fn student() -> (TempDir, Config, Data) {
    let mut config = Recipe::Default.config(Dataset::Mnist);
    config.run.stage = Goal::Student;
    config.data.folder = PathBuf::from("data");
    config.data.calibration = 0.9;
    (config.student.alone.steps, config.student.alone.learning_rate) = (800, 4e-3);
    let mut data = Data::load(&config, &mut |_, _| {}).unwrap();
    data.split.train.truncate(100);
    let folder = TempDir::new().unwrap();
    let run =
        pipeline::begin(&config, folder.path(), false, &GivenFiles::default(), &KernelChoices::default()).unwrap();
    let progress = pipeline::train(&config, &run, &data, &open, CheckpointEvery::default(), None, &mut Silent).unwrap();
    assert_eq!(progress, Progress::Trained);
    (folder, config, data)
}

/// Share of `scores` above the threshold that `calibration` sets.
fn false_alarms(calibration: &[f32], alpha: f64, scores: &[f32]) -> f64 {
    let threshold = of(calibration).threshold(alpha).unwrap();
    scores.iter().filter(|&&score| score > threshold).count() as f64 / scores.len() as f64
}

#[test]
fn the_promise_is_kept_on_images_that_a_student_did_not_see() {
    const SPLITS: u64 = 2_000;
    let (folder, config, data) = student();
    let path = folder.path().join(RunFile::Model.name());
    let stored = ModelFile::read(&path).unwrap().calibration.unwrap();
    let mut executor = open().unwrap();
    let model = Model::load(&path, executor.as_mut()).unwrap();
    let scorer =
        Scorer::new(executor.as_mut(), &model.variables, &model.gan, model.statistics, SCORED_AT_ONCE).unwrap();
    let mut scores = |indices: &[usize]| -> Vec<f32> {
        let scored = scorer.score(executor.as_mut(), &data.train.images, indices, |_| {}).unwrap();
        scored.iter().map(|scored| scored.score).collect()
    };
    let (seen, unseen) = (scores(&data.split.train), scores(&data.split.calibration));
    assert_eq!((seen.len(), unseen.len()), (100, 5_265));
    // What the file holds are these scores.
    assert_eq!(stored, of(&unseen));

    // Over random halves the number of false alarms has a beta-binomial distribution, whatever that of the scores: the
    // rate of a threshold has the distribution Beta(k, n + 1 - k), and so many images are drawn by it.
    // Ties take from it, so the ranks of the scores stand for them, too far apart for any.
    let mut sorted = unseen.clone();
    sorted.sort_by(f32::total_cmp);
    let rank = |score: &f32| 1.015_f32.powi(sorted.partition_point(|other| other < score) as i32);
    let ranks: Vec<f32> = unseen.iter().map(rank).collect();
    for alpha in [0.01, 0.05, 0.1] {
        let mut rates = Vec::new();
        let mut with_ties = 0.0;
        let mut order: Vec<usize> = (0..unseen.len()).collect();
        let n = unseen.len() / 2;
        for seed in 0..SPLITS {
            order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
            let of = |scores: &[f32]| {
                let shuffled: Vec<f32> = order.iter().map(|&place| scores[place]).collect();
                let (calibration, fresh) = shuffled.split_at(n);
                false_alarms(calibration, alpha, fresh)
            };
            rates.push(of(&ranks));
            with_ties += of(&unseen) / SPLITS as f64;
        }
        let count = SPLITS as f64;
        let mean = rates.iter().sum::<f64>() / count;
        let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let (all, drawn) = ((n + 1) as f64, (unseen.len() - n) as f64);
        let k = (alpha * all).floor();
        let expected = k / all;
        let spread = k * (all - k) * (all + drawn) / (all * all * (all + 1.0) * drawn);
        println!(
            "alpha {alpha}: mean {mean:.6}, expected {expected:.6}; deviation {:.6}, expected {:.6}",
            variance.sqrt(),
            spread.sqrt()
        );
        println!("with ties: {with_ties:.6}");
        assert!(with_ties <= mean && with_ties > 0.9 * mean, "{alpha}: {with_ties} {mean}");
        assert!(expected <= alpha);
        // Five standard errors each.
        assert!((mean - expected).abs() < 5.0 * (spread / count).sqrt(), "{alpha}: {mean}, not {expected}");
        assert!((variance / spread - 1.0).abs() < 5.0 * (2.0 / count).sqrt(), "{alpha}: {variance}, not {spread}");
    }

    // The scores of the images that it was trained on promise nothing of the kind.
    let broken = false_alarms(&seen.iter().map(rank).collect::<Vec<_>>(), 0.1, &ranks);
    println!("by the images trained on: {broken:.6}");
    // Three deviations of a threshold that a hundred images may set.
    assert!(broken > 0.19, "{broken}");

    // The official test images come from other writers; the promise is for images like those held out.
    let evaluation = Evaluation::run(executor.as_mut(), &model, &data.eval, &data.split, |_| {}).unwrap();
    let report = evaluation.threshold(&stored, None, config.data.normal).unwrap();
    println!("{report:?}, {:?}", evaluation.best_f1);
    let of_kind = |normal: bool| {
        let chosen = evaluation.scores.iter().filter(|score| (score.label == 8) == normal);
        chosen.map(|score| score.score).collect::<Vec<_>>()
    };
    assert_eq!((report.images, report.alpha), (5_265, 0.01));
    assert_eq!(report.false_alarm_rate, Some(false_alarms(&unseen, 0.01, &of_kind(true))));
    assert_eq!(report.detection_rate, Some(false_alarms(&unseen, 0.01, &of_kind(false))));
    assert!(evaluation.threshold(&stored, Some(1e-5), 8).is_err());
}
