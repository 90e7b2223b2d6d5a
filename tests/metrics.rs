//! AUROC and average precision against scikit-learn and against their definitions.

use approx::assert_abs_diff_eq;
use pkdgan::metrics::{BestF1, MetricError, auroc, average_precision, best_f1};
use proptest::prelude::*;

#[test]
fn small_cases_equal_scikit_learn() {
    // Origin: roc_auc_score and average_precision_score of scikit-learn 1.9.1, anomalous = 1.
    let cases: [(&[f32], &[f32], f64, f64); 5] = [
        (&[0.1, 0.2, 0.35, 0.4], &[0.3, 0.5, 0.9], 0.833_333_333_333_333_3, 0.866_666_666_666_666_7),
        (&[0.5, 0.5, 0.25, 0.75], &[0.5, 0.75, 0.75, 1.0, 0.25], 0.675, 0.725_396_825_396_825_5),
        (&[1.0, 1.0, 1.0], &[1.0, 1.0], 0.5, 0.4),
        (&[3.0, 4.0], &[1.0, 2.0], 0.0, 0.416_666_666_666_666_63),
        (&[0.125, 0.25], &[0.5], 1.0, 1.0),
    ];
    for (normal, anomalous, area, precision) in cases {
        assert_abs_diff_eq!(auroc(normal, anomalous).unwrap().unwrap(), area, epsilon = 1e-15);
        assert_abs_diff_eq!(average_precision(normal, anomalous).unwrap().unwrap(), precision, epsilon = 1e-15);
    }
}

#[test]
fn many_ties_equal_scikit_learn() {
    // Origin: as above.
    let normal: Vec<f32> = (0..200).map(|i| (i * 7919 % 101) as f32 / 8.0).collect();
    let anomalous: Vec<f32> = (0..50).map(|i| (i * 104_729 % 97) as f32 / 8.0 + 1.5).collect();
    assert_eq!(auroc(&normal, &anomalous), Ok(Some(0.590_15)));
    let precision = average_precision(&normal, &anomalous).unwrap().unwrap();
    assert_abs_diff_eq!(precision, 0.317_966_632_196_743_9, epsilon = 1e-14);
}

#[test]
fn an_empty_class_has_no_figure() {
    for (normal, anomalous) in [(&[][..], &[1.0][..]), (&[1.0], &[]), (&[], &[])] {
        assert_eq!(auroc(normal, anomalous), Ok(None));
        assert_eq!(average_precision(normal, anomalous), Ok(None));
    }
}

#[test]
fn nan_is_an_error_and_infinity_a_rank() {
    assert_eq!(auroc(&[0.0, f32::NAN], &[1.0]), Err(MetricError::NormalNan(1)));
    assert_eq!(average_precision(&[0.0], &[-f32::NAN]), Err(MetricError::AnomalousNan(0)));
    assert_eq!(auroc(&[f32::NEG_INFINITY, 0.0], &[f32::INFINITY]), Ok(Some(1.0)));
    assert_eq!(auroc(&[f32::INFINITY], &[f32::INFINITY]), Ok(Some(0.5)));
}

#[test]
fn both_zeros_tie() {
    assert_eq!(auroc(&[-0.0], &[0.0]), Ok(Some(0.5)));
    assert_eq!(average_precision(&[0.0], &[-0.0]), Ok(Some(0.5)));
}

fn brute_auroc(normal: &[f32], anomalous: &[f32]) -> f64 {
    let half_wins: u32 =
        normal.iter().flat_map(|n| anomalous.iter().map(move |a| if a > n { 2 } else { u32::from(a == n) })).sum();
    f64::from(half_wins) / (2 * normal.len() * anomalous.len()) as f64
}

fn brute_precision(normal: &[f32], anomalous: &[f32]) -> f64 {
    // Each anomalous image adds the precision at its own score as threshold.
    let at = |threshold: f32| {
        let reached = |scores: &[f32]| scores.iter().filter(|&&score| score >= threshold).count() as f64;
        reached(anomalous) / (reached(anomalous) + reached(normal))
    };
    anomalous.iter().map(|&score| at(score)).sum::<f64>() / anomalous.len() as f64
}

/// The best F1 over every score as the lowest that is flagged, as a fraction.
fn brute_f1(normal: &[f32], anomalous: &[f32]) -> (usize, usize) {
    let at = |threshold: f32| {
        let reached = |scores: &[f32]| scores.iter().filter(|&&score| score >= threshold).count();
        (2 * reached(anomalous), reached(anomalous) + reached(normal) + anomalous.len())
    };
    let all = normal.iter().chain(anomalous).map(|&score| at(score));
    all.max_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1))).unwrap()
}

#[test]
fn best_f1_of_small_cases() {
    // By hand: above 0.4, 2 of 3 anomalies and no other, 4/5; above 0.29, all 3 and 2 others, 6/8.
    let best = best_f1(&[0.1, 0.2, 0.35, 0.4], &[0.3, 0.5, 0.9]).unwrap().unwrap();
    assert_eq!(best, BestF1 { f1: 0.8, threshold: 0.5_f32.next_down() });
    // All alike: everything is flagged or nothing.
    let best = best_f1(&[1.0, 1.0, 1.0], &[1.0, 1.0]).unwrap().unwrap();
    assert_eq!(best.f1, 4.0 / 7.0);
    assert!(1.0 > best.threshold);
    assert_eq!(best_f1(&[-0.0], &[0.0]).unwrap().unwrap().f1, 2.0 / 3.0);
    assert_eq!(best_f1(&[], &[1.0]), Ok(None));
    assert_eq!(best_f1(&[1.0], &[]), Ok(None));
    assert_eq!(best_f1(&[0.0, f32::NAN], &[1.0]), Err(MetricError::NormalNan(1)));
}

fn scores() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(prop_oneof![(-4_i8..4).prop_map(f32::from), -1e3_f32..1e3], 1..40)
}

proptest! {
    #[test]
    fn equal_to_the_definitions(normal in scores(), anomalous in scores()) {
        prop_assert_eq!(auroc(&normal, &anomalous).unwrap().unwrap(), brute_auroc(&normal, &anomalous));
        let precision = average_precision(&normal, &anomalous).unwrap().unwrap();
        prop_assert!((precision - brute_precision(&normal, &anomalous)).abs() < 1e-12);
    }

    #[test]
    fn best_f1_equals_the_best_of_all_thresholds(normal in scores(), anomalous in scores()) {
        let best = best_f1(&normal, &anomalous).unwrap().unwrap();
        let (over, under) = brute_f1(&normal, &anomalous);
        prop_assert_eq!(best.f1, over as f64 / under as f64);
        let above = |scores: &[f32]| scores.iter().filter(|&&score| score > best.threshold).count();
        let (found, flagged) = (above(&anomalous), above(&anomalous) + above(&normal));
        prop_assert_eq!(2.0 * found as f64 / (flagged + anomalous.len()) as f64, best.f1);
    }

    #[test]
    fn swapping_the_classes_mirrors_the_area(normal in scores(), anomalous in scores()) {
        let area = auroc(&normal, &anomalous).unwrap().unwrap();
        let mirrored = auroc(&anomalous, &normal).unwrap().unwrap();
        prop_assert!((area + mirrored - 1.0).abs() < 1e-12);
    }
}
