//! Defects painted into normal images, simple detectors, and what a run says of both.

use pkdgan::data::Images;
use pkdgan::model::ScoreKind;
use pkdgan::unstable::baselines::{Baseline, NearestNeighbour, Pca};
use pkdgan::unstable::run::{DetectorSensitivity, SensitivityReport};
use pkdgan::unstable::sensitivity::{Contrast, Defect, DefectSet, Kind, Size};

const SIDE: usize = 32;

/// Images of one bright square each on a dark, textured ground; the place of the square differs a little.
fn parts(count: usize, channels: usize) -> Images {
    let mut values = Vec::new();
    for image in 0..count {
        for channel in 0..channels {
            for place in 0..SIDE * SIDE {
                let (x, y) = (place % SIDE, place / SIDE);
                let inside = (8 + image % 3..24).contains(&x) && (8..24 - image % 2).contains(&y);
                let texture = (x * 7 + y * 13 + image * 5 + channel * 3) % 11;
                values.push(if inside { 150 + texture as u8 } else { 30 + texture as u8 });
            }
        }
    }
    Images::new(count, channels, SIDE, SIDE, values).unwrap()
}

fn all(images: &Images) -> Vec<usize> {
    (0..images.count()).collect()
}

/// Pixels that differ between two images, and by how much on average over the whole image.
fn changes(one: &[u8], other: &[u8]) -> (usize, f64) {
    let differences = one.iter().zip(other).map(|(one, other)| one.abs_diff(*other));
    let sum: u32 = differences.clone().map(u32::from).sum();
    (differences.filter(|difference| *difference > 0).count(), f64::from(sum) / one.len() as f64)
}

#[test]
fn every_defect_changes_its_image_and_little_else() {
    for channels in [1, 3] {
        let normal = parts(5, channels);
        let set = DefectSet::new(&normal, &all(&normal), 7).unwrap();
        assert_eq!(set.normal, [0, 1, 2, 3, 4]);
        assert_eq!(set.images.count(), 5 * 60);
        for image in 0..5 {
            let before = normal.image(image).unwrap();
            for defect in Defect::all().filter(|defect| defect.kind.is_local()) {
                let place = set.place(image, defect).unwrap();
                assert_eq!(set.defect(place), Some(defect));
                let after = set.images.image(place).unwrap();
                let (changed, by) = changes(&before, &after);
                // What changes lies on the defect or beside it, and the defect is not everywhere. At the border most of a defect
                // may lie outside of the image.
                let inner = |at: usize| (1..SIDE - 1).contains(&at);
                let on_defect = set.on_defect(place);
                let beside = |x: usize, y: usize| {
                    let near = |at: usize| at.saturating_sub(1)..(at + 2).min(SIDE);
                    near(y).any(|y| near(x).any(|x| on_defect[y * SIDE + x]))
                };
                for place in (0..before.len()).filter(|&place| before[place] != after[place]) {
                    let (x, y) = (place % SIDE, place / SIDE % SIDE);
                    let outermost = !(inner(x) && inner(y));
                    assert!(outermost || beside(x, y), "{defect:?} of image {image}: {x} {y}");
                }
                assert!(on_defect.iter().filter(|&&on| on).count() < SIDE * SIDE / 3, "{defect:?} of image {image}");
                assert!(changed > 0, "{defect:?} of image {image}: nothing changed");
                // A scratch is as long as twice its size, and thin; all else lies in a square of its size.
                let extent = defect.size.share() * SIDE as f32 + 2.0;
                let most = channels as f32 * extent * if defect.kind == Kind::Scratch { 6.0 } else { extent };
                assert!(changed as f32 <= most, "{defect:?} of image {image}: {changed} values, at most {most}");
                assert!(by <= 255.0 * f64::from(most) / (channels * SIDE * SIDE) as f64, "{defect:?}: {by}");
            }
        }
        assert_eq!(set.defect(5 * 60), None);
        assert_eq!(set.place(5, Defect { kind: Kind::Blob, size: Size::Small, contrast: Contrast::Faint }), None);
    }
}

/// What became of a whole image of 3x3 values, by a defect that is large and strong.
fn changed_as_a_whole(kind: Kind, values: [u8; 9]) -> Vec<Vec<u8>> {
    let normal = Images::new(1, 1, 3, 3, values.to_vec()).unwrap();
    let changed = |seed| {
        let set = DefectSet::new(&normal, &[0], seed).unwrap();
        let place = set.place(0, Defect { kind, size: Size::Large, contrast: Contrast::Strong }).unwrap();
        set.images.image(place).unwrap().into_owned()
    };
    (0..20).map(changed).collect()
}

#[test]
fn changes_of_the_whole_image_are_what_they_are_called() {
    // Lighter or darker by 0.4 of itself.
    let lit = changed_as_a_whole(Kind::Exposure, [0, 50, 100, 150, 200, 250, 10, 20, 30]);
    let (light, dark) = ([0, 70, 140, 210, 255, 255, 14, 28, 42], [0, 30, 60, 90, 120, 150, 6, 12, 18]);
    assert!(lit.contains(&light.to_vec()) && lit.contains(&dark.to_vec()));
    assert!(lit.iter().all(|lit| *lit == light || *lit == dark));
    // Turned by 0.4 of a quarter turn, 36 degrees: the middle stays, and so does what is the same all around it.
    for turned in changed_as_a_whole(Kind::Turned, [0, 0, 0, 0, 200, 0, 0, 0, 0]) {
        assert_eq!(turned[4], 200);
        assert!(
            turned.iter().enumerate().all(|(place, &value)| place == 4 || value == turned[8 - place]),
            "{turned:?}"
        );
    }
    // A line upright leans to the one side or the other: at (0, -1) comes what was 0.588 beside the line and 0.809 above.
    let leaning = changed_as_a_whole(Kind::Turned, [0, 100, 0, 0, 100, 0, 0, 100, 0]);
    assert!(leaning.iter().all(|turned| turned[1] == 41 && turned[7] == 41 && turned[0] != turned[2]), "{leaning:?}");
    // Moved by 0.4 of three pixels: what has one value stays, and no value comes from nowhere.
    for moved in changed_as_a_whole(Kind::Moved, [90; 9]) {
        assert_eq!(moved, [90; 9]);
    }
    let moved = changed_as_a_whole(Kind::Moved, [0, 0, 0, 0, 100, 0, 0, 0, 0]);
    assert!(moved.iter().all(|moved| moved[4] < 60 && moved.iter().all(|&value| value <= 100)), "{moved:?}");
}

#[test]
fn strong_defects_change_more_than_faint_ones_and_large_ones_more_than_small_ones() {
    let normal = parts(24, 1);
    let set = DefectSet::new(&normal, &all(&normal), 0).unwrap();
    let mean = |size, contrast| {
        let defects = Kind::ALL.map(|kind| Defect { kind, size, contrast });
        let by = defects.iter().flat_map(|&defect| (0..24).map(move |image| (image, defect))).map(|(image, defect)| {
            let place = set.place(image, defect).unwrap();
            changes(&normal.image(image).unwrap(), &set.images.image(place).unwrap()).1
        });
        by.sum::<f64>()
    };
    for size in Size::ALL {
        assert!(mean(size, Contrast::Strong) > 1.5 * mean(size, Contrast::Faint), "{size:?}");
    }
    for contrast in Contrast::ALL {
        let [small, medium, large] = Size::ALL.map(|size| mean(size, contrast));
        assert!(small < medium && medium < large, "{contrast:?}: {small} {medium} {large}");
    }
}

#[test]
fn the_same_seed_paints_the_same_pixels() {
    let normal = parts(4, 1);
    let paint = |seed| {
        let set = DefectSet::new(&normal, &all(&normal), seed).unwrap();
        (0..set.images.count()).map(|place| set.images.image(place).unwrap().into_owned()).collect::<Vec<_>>()
    };
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(paint(3), one_thread.install(|| paint(3)));
    assert_ne!(paint(3), paint(4));
}

#[test]
fn a_single_image_and_an_image_without_contrast_can_be_painted_into() {
    let blank = Images::new(1, 1, SIDE, 20, vec![0; SIDE * 20]).unwrap();
    let set = DefectSet::new(&blank, &[0], 0).unwrap();
    let changed = |kind| {
        let defect = Defect { kind, size: Size::Large, contrast: Contrast::Strong };
        changes(&[0; SIDE * 20], &set.images.image(set.place(0, defect).unwrap()).unwrap()).0
    };
    // A patch of black on black is no defect; a blob is one.
    assert_eq!(changed(Kind::MovedPatch), 0);
    assert!(changed(Kind::Blob) > 20 && changed(Kind::Brightness) > 20);
}

#[test]
fn the_nearest_neighbour_is_the_nearest_one() {
    let known = Images::new(2, 1, 1, 2, vec![0, 0, 100, 0]).unwrap();
    let asked = Images::new(3, 1, 1, 2, vec![3, 4, 100, 0, 100, 255]).unwrap();
    let nearest = NearestNeighbour::new(&known, &[0, 1]).unwrap();
    assert_eq!(nearest.scores(&asked, &[0, 1, 2]).unwrap(), [5.0, 0.0, 255.0]);
    let first = NearestNeighbour::new(&known, &[0]).unwrap();
    assert_eq!(first.scores(&asked, &[1]).unwrap(), [100.0]);
}

#[test]
fn principal_components_leave_what_they_do_not_span() {
    // All on the line (0, 0, 0) + t (10, 10, 0).
    let known = Images::new(4, 1, 1, 3, vec![0, 0, 0, 10, 10, 0, 20, 20, 0, 30, 30, 0]).unwrap();
    let pca = Pca::new(&known, &[0, 1, 2, 3]).unwrap();
    let asked = Images::new(3, 1, 1, 3, vec![50, 50, 0, 15, 15, 40, 10, 20, 0]).unwrap();
    let scores = pca.scores(&asked, &[0, 1, 2]).unwrap();
    for (score, expected) in scores.iter().zip([0.0, 40.0, 50.0_f32.sqrt()]) {
        assert!((score - expected).abs() < 1e-3, "{scores:?}");
    }
}

#[test]
fn simple_detectors_tell_defects_of_large_images_too() {
    let wide = |values: Vec<u8>| Images::new(values.len() / (96 * 64), 1, 64, 96, values).unwrap();
    let plain = |shade: u8| vec![shade; 96 * 64];
    let known = wide([plain(100), plain(110), plain(120)].concat());
    let mut spotted = plain(110);
    (0..20).for_each(|row| spotted[row * 96..][..20].fill(250));
    let asked = wide([plain(115), spotted].concat());
    for baseline in
        [&NearestNeighbour::new(&known, &[0, 1, 2]).unwrap() as &dyn Baseline, &Pca::new(&known, &[0, 1, 2]).unwrap()]
    {
        let scores = baseline.scores(&asked, &[0, 1]).unwrap();
        assert!(scores[1] > 3.0 * scores[0].max(1.0), "{}: {scores:?}", baseline.name());
    }
}

#[test]
fn a_report_says_which_detectors_do_better_than_the_result() {
    let detector = |name: &str, auroc, anomalies_auroc| DetectorSensitivity {
        detector: name.into(),
        score: None,
        auroc,
        local_auroc: None,
        whole_auroc: None,
        found: 0.5,
        anomalies_auroc,
        localization: None,
        defects: Vec::new(),
    };
    let mut report = SensitivityReport {
        images: 24,
        alpha: 0.01,
        detectors: vec![
            detector("teacher", 0.70, Some(0.80)),
            detector("student-step1", 0.99, Some(0.99)),
            detector("student", 0.80, Some(0.75)),
            detector("nearest-neighbour", 0.82, Some(0.753)),
            detector("pca", 0.60, None),
        ],
    };
    let teacher = "the teacher does better than the student on the anomalous images, AUROC 0.8000 to 0.7500";
    assert_eq!(report.better_detectors("student", ScoreKind::Latent), [teacher]);
    // Without anomalous images painted ones must do.
    report.detectors.iter_mut().for_each(|detector| detector.anomalies_auroc = None);
    let nearest =
        "a nearest neighbour on pixels does better than the student on painted defects, AUROC 0.8200 to 0.8000";
    assert_eq!(report.better_detectors("student", ScoreKind::Latent), [nearest]);
    report.detectors.retain(|detector| detector.detector != "student");
    assert_eq!(report.better_detectors("student", ScoreKind::Latent), [""; 0]);
}
