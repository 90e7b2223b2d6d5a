//! The one-class protocol and the order of samples.

use pkdgan::data::{DataError, Part};
use pkdgan::unstable::data::{OneClass, order};
use proptest::prelude::*;

#[test]
fn the_normal_class_trains_and_all_images_test() {
    let run = OneClass::new(8, &[8, 1, 8, 3, 8], &[0, 8, 9]).unwrap();
    assert_eq!(run, OneClass { normal: 8, train: vec![0, 2, 4], calibration: vec![], test: vec![0, 1, 2] });
    assert_eq!(run.part_scores(&[0, 8, 9], &[0.5, 0.25, 0.75]), (vec![0.25], vec![0.5, 0.75]));
}

#[test]
fn validation_holds_out_every_sixth_image_of_each_class() {
    let labels: Vec<u8> = (0..30).map(|index| (index % 2) as u8 * 3).collect();
    let run = OneClass::validation(3, &labels).unwrap();
    assert_eq!(run.test, [10, 11, 22, 23]);
    assert_eq!(run.train, [1, 3, 5, 7, 9, 13, 15, 17, 19, 21, 25, 27, 29]);
    assert!(matches!(OneClass::validation(3, &labels[..10]), Err(DataError::NoImage { class: 3, .. })));
}

#[test]
fn calibration_takes_a_share_spread_over_the_file_order() {
    let labels: Vec<u8> = (0..40).map(|index| (index % 2) as u8).collect();
    let run = OneClass::new(1, &labels, &labels).unwrap();
    assert_eq!(run.clone().calibrated(0.0), run);
    // Of the 20 images 1, 3, 5, ..., every fourth.
    let held = run.clone().calibrated(0.25);
    assert_eq!(held.calibration, [7, 15, 23, 31, 39]);
    assert_eq!(held.test, run.test);
    for share in [0.01, 0.05, 0.1, 0.3, 0.33, 0.5, 0.9] {
        let held = run.clone().calibrated(share);
        assert_eq!(held.calibration.len(), (20.0 * share + 1e-6) as usize, "{share}");
        let gaps: Vec<_> = held.calibration.windows(2).map(|pair| (pair[1] - pair[0]) / 2).collect();
        assert!(gaps.iter().max().unwrap_or(&0) - gaps.iter().min().unwrap_or(&0) <= 1, "{share}: {gaps:?}");
        let mut all = [held.train, held.calibration].concat();
        all.sort_unstable();
        assert_eq!(all, run.train, "{share}: every image is in one of the two");
    }
}

#[test]
fn a_class_must_exist_and_occur() {
    assert!(matches!(OneClass::new(10, &[1], &[1]), Err(DataError::NormalClass { class: 10 })));
    let no_train = OneClass::new(2, &[1, 3], &[2]);
    assert!(matches!(no_train, Err(DataError::NoImage { class: 2, part: Part::Train })));
    let message = OneClass::new(2, &[2], &[1, 3]).unwrap_err().to_string();
    assert!(message.contains("class 2") && message.contains("test images"), "{message}");
}

/// The first twelve samples of ten images for seeds 0 and 8.
const ORDER_0: [u32; 12] = [9, 2, 3, 4, 6, 7, 0, 1, 5, 8, 9, 8];
const ORDER_8: [u32; 12] = [4, 6, 5, 0, 7, 2, 1, 9, 8, 3, 8, 6];

#[test]
fn a_seed_always_gives_the_same_order() {
    // Origin: ChaCha8 (RFC 8439's block with 8 rounds and a 64-bit counter) and the shuffle, written anew in Python.
    assert_eq!(order(0, 10, 12, true), ORDER_0);
    assert_eq!(order(8, 10, 12, true), ORDER_8);
    assert_eq!(order(8, 10, 5, true), ORDER_8[..5]);
}

#[test]
fn file_order_repeats() {
    assert_eq!(order(3, 3, 7, false), [0, 1, 2, 0, 1, 2, 0]);
    assert_eq!(order(3, 1, 3, true), [0, 0, 0]);
    assert!(order(3, 0, 7, true).is_empty());
    assert!(order(3, 7, 0, true).is_empty());
}

#[test]
fn every_permutation_is_as_likely() {
    // 6 permutations of 3 images, 12,000 epochs: 2,000 each, standard deviation 41; the bound is 5 of them.
    let samples = order(1, 3, 36_000, true);
    let mut counts = std::collections::BTreeMap::new();
    for epoch in samples.chunks(3) {
        *counts.entry(epoch.to_vec()).or_insert(0_i32) += 1;
    }
    assert_eq!(counts.len(), 6);
    for (epoch, count) in counts {
        assert!((count - 2_000).abs() < 205, "{epoch:?}: {count}");
    }
}

proptest! {
    #[test]
    fn each_epoch_takes_every_image_once(seed: u64, images in 1_usize..50, epochs in 1_usize..5, rest in 0_usize..50) {
        let samples = images * epochs + rest % images;
        let order = order(seed, images, samples, true);
        prop_assert_eq!(order.len(), samples);
        for epoch in order.chunks(images) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            prop_assert_eq!(sorted.len(), epoch.len());
            prop_assert!(sorted.iter().all(|&image| (image as usize) < images));
        }
    }
}
