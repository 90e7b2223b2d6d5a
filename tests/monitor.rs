//! What a stream of scores says of the promise of its calibration, on simulated streams.

use approx::assert_abs_diff_eq;
use pkdgan::unstable::calibration::Calibration;
use pkdgan::unstable::monitor::{Direction, Drift, LEVEL, MAX_SCALE, Rate, Shift, WINDOW};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Simulated streams of each kind.
const STREAMS: u64 = 200;

/// Scores whose logarithms are normal, with this mean.
struct Scores(ChaCha8Rng);

impl Scores {
    fn next(&mut self, mean: f64) -> f32 {
        let normal: f64 = StandardNormal.sample(&mut self.0);
        (mean + normal).exp() as f32
    }
}

/// Streams that are compared with so many calibration scores each, of so many pictures. `score` makes the next score from the
/// place in the stream. Where each was found to drift first, if it was.
fn found(held: usize, len: usize, score: impl Fn(&mut Scores, usize) -> f32) -> Vec<Option<Shift>> {
    let stream = |seed| {
        let mut scores = Scores(ChaCha8Rng::seed_from_u64(seed));
        let calibration = (0..held).map(|_| score(&mut scores, 0)).collect();
        let mut drift = Drift::new(Calibration::new(calibration).unwrap());
        (0..len).find_map(|place| drift.add(score(&mut scores, place)))
    };
    (0..STREAMS).map(stream).collect()
}

#[test]
fn streams_without_drift_are_called_no_more_often_than_stated() {
    let most = (LEVEL * STREAMS as f64) as usize;
    for (held, windows) in [(20, 32), (99, 32), (500, 8)] {
        let continuous = found(held, windows * WINDOW, |scores, _| scores.next(0.0));
        // Few values, so that most scores are equal.
        let tied = found(held, windows * WINDOW, |scores, _| (2.0 * scores.next(0.0)).floor());
        let [continuous, tied] = [continuous, tied].map(|found| found.iter().flatten().count());
        println!("{held} held-out scores: of {STREAMS} streams {continuous} are called, {tied} of those with ties");
        assert!(continuous <= most && tied <= most);
    }
}

#[test]
fn a_shift_by_a_standard_deviation_is_found_within_two_windows() {
    const START: usize = 5 * WINDOW;
    for (mean, direction) in [(1.0, Direction::Higher), (-1.0, Direction::Lower)] {
        let found = found(200, START + 2 * WINDOW, |scores, place| scores.next(if place < START { 0.0 } else { mean }));
        for shift in found {
            let shift = shift.expect("it is found");
            assert!(shift.images[0] > START - WINDOW && shift.p_value <= shift.level, "{shift:?}");
            assert_eq!((shift.direction, shift.images[1] > START), (direction, true), "{shift:?}");
        }
    }
}

#[test]
fn a_small_shift_is_found_in_the_long_windows() {
    let longest = WINDOW << MAX_SCALE;
    let shifts = found(1000, longest, |scores, place| scores.next(if place == 0 { 0.0 } else { 0.3 }));
    assert!(shifts.iter().all(Option::is_some));
    let mut last: Vec<_> = shifts.iter().flatten().map(|shift| shift.images[1]).collect();
    last.sort_unstable();
    println!("found after {} pictures in the median, {} at most", last[last.len() / 2], last[last.len() - 1]);
    assert!(shifts.iter().flatten().any(|shift| shift.images[1] > WINDOW), "no test of short windows alone");
}

#[test]
fn pictures_that_are_too_much_alike_are_drift() {
    let found = found(200, WINDOW, |scores, place| if place == 0 { scores.next(0.0) } else { 1.0 });
    assert!(found.iter().all(Option::is_some));
}

#[test]
fn every_window_is_tested_once() {
    let mut drift = Drift::new(Calibration::new(vec![1.0, 2.0, 3.0]).unwrap());
    let mut tests = Vec::new();
    for _ in 0..2 * (1 << MAX_SCALE) * WINDOW {
        drift.add(2.0);
        if drift.until_test() == WINDOW {
            tests.push(drift.tests());
        }
    }
    assert_eq!(tests[..8], [1, 3, 4, 7, 8, 10, 11, 15]);
    // All lengths, twice.
    assert_eq!(*tests.last().unwrap(), 2 * (2 * (1 << MAX_SCALE) - 1));
}

#[test]
fn shares_have_the_interval_of_wilson() {
    let of = |called, of| Rate { called, of }.interval();
    for (rate, expected) in [
        (of(0, 10), [0.0, 0.2775]),
        (of(5, 10), [0.2366, 0.7634]),
        (of(1, 100), [0.0018, 0.0545]),
        (of(10, 10), [0.7225, 1.0]),
        (of(0, 0), [0.0, 1.0]),
    ] {
        for (found, expected) in rate.into_iter().zip(expected) {
            assert_abs_diff_eq!(found, expected, epsilon = 5e-5);
        }
    }
    let mut rate = Rate::default();
    assert_eq!(rate.share(), None);
    [true, false, false, false].into_iter().for_each(|called| rate.add(called));
    assert_eq!(rate.share(), Some(0.25));
}
