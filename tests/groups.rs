//! Which pictures are independent: groups of copies, and a split that has no group on both sides.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, Luma, RgbImage};
use pkdgan::data::{Dataset, Fit, GroupBy, Images, Part, Preprocessing, Range};
use pkdgan::unstable::data::{Groups, HoldOut, OwnFolders, OwnImages, Search, images_for};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn groups(images: &Images) -> Groups {
    Groups::new(&GroupBy::Copies, images, &vec![PathBuf::new(); images.count()]).unwrap()
}

/// The images of a class of MNIST.
fn digits(class: u8) -> Images {
    let train = Dataset::Mnist.load(Path::new("data"), Part::Train).unwrap();
    let of_class = (0..train.labels.len()).filter(|&index| train.labels[index] == class);
    let pixels: Vec<Cow<[u8]>> = of_class.map(|index| train.images.image(index).unwrap()).collect();
    Images::new(pixels.len(), 1, 28, 28, pixels.concat()).unwrap()
}

#[test]
fn digits_of_one_class_are_as_many_groups() {
    // Ones are the most alike that there are.
    for class in [1, 8] {
        let digits = digits(class);
        let found = groups(&digits);
        assert_eq!((found.count(), found.largest()), (digits.count(), 1), "{class}");
    }
}

/// A smooth picture that goes by a number, 32 x 32.
fn scene(number: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(number);
    let waves: Vec<[f64; 4]> = (0..6).map(|_| std::array::from_fn(|_| rng.random_range(0.5..4.0))).collect();
    let place = |index: usize| [(index % 32) as f64 / 32.0, (index / 32) as f64 / 32.0];
    let value = |[x, y]: [f64; 2]| -> f64 {
        waves.iter().map(|[a, b, c, d]| (a * 3.0 * x + b * 3.0 * y + 7.0 * c).sin() * d).sum()
    };
    (0..32 * 32).map(|index| 128.0 + 12.0 * value(place(index))).collect()
}

/// Frames of scenes in turn: with noise, and brighter or darker.
fn frames(scenes: u64, frames: u64) -> Vec<u8> {
    let mut pixels = Vec::new();
    for frame in 0..frames {
        for number in 0..scenes {
            let mut rng = ChaCha8Rng::seed_from_u64(1_000_000 * (frame + 1) + number);
            let light = rng.random_range(0.85..1.0);
            let noisy = scene(number).into_iter().map(|value| light * value + rng.random_range(-2.0..2.0));
            pixels.extend(noisy.map(|value| value as u8));
        }
    }
    pixels
}

#[test]
fn frames_of_a_scene_are_one_group_in_grey_and_in_colour() {
    let pixels = frames(40, 15);
    let grey = groups(&Images::new(600, 1, 32, 32, pixels.clone()).unwrap());
    assert_eq!((grey.count(), grey.largest()), (40, 15));
    let coloured = pixels.chunks_exact(1024).flat_map(|image| image.repeat(3)).collect();
    assert_eq!(groups(&Images::new(600, 3, 32, 32, coloured).unwrap()), grey);
}

#[test]
fn twenty_thousand_images_are_not_compared_one_by_one() {
    // Compared each with each they would be 200 million pairs.
    let found = groups(&Images::new(20_000, 1, 32, 32, frames(4_000, 5)).unwrap());
    assert_eq!((found.count(), found.largest()), (4_000, 5));
}

#[test]
fn images_that_differ_in_colour_alone_are_not_copies() {
    let grey: Vec<u8> = scene(1).into_iter().map(|value| value as u8).collect();
    let zero = vec![40; 1024];
    let turned = [[&grey, &zero, &zero], [&zero, &grey, &zero], [&zero, &zero, &grey]];
    let pixels = turned.iter().flat_map(|planes| planes.iter().flat_map(|plane| plane.iter().copied())).collect();
    assert_eq!(groups(&Images::new(3, 3, 32, 32, pixels).unwrap()).count(), 3);
    // All the same, and none at all.
    assert_eq!(groups(&Images::new(50, 1, 32, 32, grey.repeat(50)).unwrap()).count(), 1);
    assert_eq!(groups(&Images::new(50, 1, 32, 32, vec![7; 50 * 1024]).unwrap()).count(), 1);
    assert_eq!(groups(&Images::new(0, 1, 32, 32, Vec::new()).unwrap()).count(), 0);
    // Smaller than the coarse picture that they are looked up by.
    let small = (0..20 * 25).map(|index| (index * index % 251) as u8).collect();
    assert_eq!(groups(&Images::new(20, 1, 5, 5, small).unwrap()).count(), 20);
}

/// A folder with scenes in files, each also as a JPEG file of another quality and brightness.
fn folder(scenes: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..scenes {
        let values = scene(number);
        let picture = GrayImage::from_fn(32, 32, |x, y| Luma([values[(32 * y + x) as usize] as u8]));
        fs::create_dir_all(folder.path().join(format!("{}", number % 10))).unwrap();
        picture.save(folder.path().join(format!("{}/part{number:03}-a.png", number % 10))).unwrap();
        if number % 2 == 0 {
            let name = folder.path().join(format!("{}/part{number:03}-b.jpg", number % 10));
            let bright = RgbImage::from_fn(32, 32, |x, y| image::Rgb([(picture.get_pixel(x, y).0[0] / 8) * 7; 3]));
            JpegEncoder::new_with_quality(fs::File::create(name).unwrap(), 80).encode_image(&bright).unwrap();
        }
    }
    folder
}

fn read(folder: &Path, anomalies: &Path, group_by: &GroupBy, share: f64) -> OwnImages {
    let preprocessing =
        Preprocessing { channels: 1, height: 32, width: 32, side: 32, fit: Fit::Pad, range: Range::Full };
    let held = HoldOut { share, group_by };
    let none = Path::new("");
    let folders = OwnFolders { normal: folder, anomalies, test_normal: none, calibration: none, begun: false };
    OwnImages::read(&folders, &preprocessing, &held, &Search::default(), &mut |_, _| {}).unwrap()
}

#[test]
fn no_group_is_on_both_sides() {
    let pictures = folder(60);
    let anomalies = folder(5);
    let by_name = GroupBy::Name("^(part[0-9]+)-".into());
    for (by, groups, training) in [(&GroupBy::Copies, 60, 36), (&by_name, 60, 36), (&GroupBy::Folder, 10, 6)] {
        let read = read(pictures.path(), anomalies.path(), by, 0.2);
        assert_eq!((read.independence.groups, read.independence.train_groups), (groups, training), "{by}");
        let trained: Vec<Cow<[u8]>> =
            read.split.train.iter().map(|&index| read.train.images.image(index).unwrap()).collect();
        let others = read.split.calibration.iter().map(|&index| read.train.images.image(index).unwrap());
        let tested = (0..read.eval.images.count()).filter(|&index| read.eval.labels[index] == 0);
        let others: Vec<Cow<[u8]>> = others.chain(tested.map(|index| read.eval.images.image(index).unwrap())).collect();
        assert_eq!(read.split.calibration.len(), groups / 5, "{by}: one of each group");
        let mean = |image: &[u8]| image.iter().map(|&value| f64::from(value)).sum::<f64>() / 1024.0;
        for one in &trained {
            for other in &others {
                let [a, b] = [mean(one), mean(other)];
                let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
                    one.iter().zip(other.iter()).map(|(&x, &y)| f(f64::from(x) - a, f64::from(y) - b)).sum()
                };
                let correlation = sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
                assert!(correlation < 0.99, "{by}: {correlation}");
            }
        }
        let parts: BTreeSet<usize> = read.split.train.iter().chain(&read.split.calibration).copied().collect();
        assert_eq!(parts.len(), read.split.train.len() + read.split.calibration.len());
    }
    // Each file by itself leaves copies on both sides.
    let files = read(pictures.path(), Path::new(""), &GroupBy::None, 0.2);
    assert_eq!((files.independence.groups, files.split.calibration.len()), (90, 18));
}

#[test]
fn without_copies_the_split_is_that_of_files() {
    let pictures = tempfile::tempdir().unwrap();
    for number in 0..33 {
        let values = scene(number);
        let picture = GrayImage::from_fn(32, 32, |x, y| Luma([values[(32 * y + x) as usize] as u8]));
        picture.save(pictures.path().join(format!("{number:02}.png"))).unwrap();
    }
    // 6 of 33, spread evenly, as versions before there were groups did.
    let read = |by: &GroupBy| read(pictures.path(), Path::new(""), by, 0.2);
    for by in [GroupBy::None, GroupBy::Copies] {
        let split = read(&by).split;
        assert_eq!(split.calibration, [5, 10, 16, 21, 27, 32], "{by}");
        assert_eq!(split.train.len(), 27, "{by}");
    }
}

#[test]
fn texts_that_say_groups() {
    for text in ["none", "copies", "folder", "^(a|b)_", "(?<tile>[0-9]+)"] {
        assert_eq!(text.parse::<GroupBy>().unwrap().to_string(), text);
    }
    for (text, part) in [("tile", "no group in parentheses"), ("(tile", "unclosed group"), ("(?:a)", "parentheses")] {
        let error = text.parse::<GroupBy>().unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("copies, folder or none"), "{error}");
    }
}

proptest! {
    #[test]
    fn so_many_images_are_the_fewest(held in 1_usize..2_000, share in 0.01_f64..0.9) {
        let of = |images: usize| (images as f64 * share + 1e-6) as usize;
        let images = images_for(held, share);
        prop_assert!(of(images) >= held);
        prop_assert!(of(images - 1) < held);
    }
}
