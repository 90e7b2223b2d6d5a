//! Groups of copies: how many there are in folders of pictures, and how long 200,000 images take.
//! `cargo bench --bench groups -- [--count N] [FOLDER...]`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use pkdgan::data::{Fit, GroupBy, Images, Preprocessing, Range};
use pkdgan::unstable::data::{Groups, Pictures, Search};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (mut count, mut folders) = (200_000, Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--count" => count = arguments.next().and_then(|count| count.parse().ok()).expect("a number of images"),
            _ => folders.push(PathBuf::from(argument)),
        }
    }
    println!("{:<40} {:>8} {:>8} {:>8} {:>9}", "images", "count", "groups", "largest", "seconds");
    for folder in folders {
        let preprocessing =
            Preprocessing { channels: 3, height: 32, width: 32, side: 32, fit: Fit::Pad, range: Range::Full };
        let pictures =
            Pictures::read(&folder, &preprocessing, 1, &Search::default(), &mut |_, _| {}).expect("pictures");
        find(&folder.display().to_string(), &pictures.images);
    }
    for frames in [1, 15] {
        let images = scenes(count, frames);
        find(&format!("grey, 32 x 32, scenes of {frames}"), &images);
    }
}

fn find(name: &str, images: &Images) {
    let paths = vec![Path::new("").to_owned(); images.count()];
    let started = Instant::now();
    let groups = Groups::new(&GroupBy::Copies, images, &paths).expect("images in memory");
    let seconds = started.elapsed().as_secs_f64();
    println!("{name:<40} {:>8} {:>8} {:>8} {seconds:>9.1}", images.count(), groups.count(), groups.largest());
}

/// Smooth scenes at random, each so many times with noise of its own.
fn scenes(count: usize, frames: usize) -> Images {
    let mut rng = ChaCha8Rng::seed_from_u64(23);
    let mut pixels = Vec::with_capacity(count * 1024);
    while pixels.len() < count * 1024 {
        let corners: Vec<f32> = (0..25).map(|_| rng.random_range(0.0..250.0)).collect();
        for _ in 0..frames.min(count - pixels.len() / 1024) {
            for index in 0..1024_usize {
                let [x, y] = [index % 32, index / 32];
                let [left, top] = [x / 8, y / 8];
                let [right, below] = [(x % 8) as f32 / 8.0, (y % 8) as f32 / 8.0];
                let corner = |dx: usize, dy: usize| corners[5 * (top + dy) + left + dx];
                let upper = corner(0, 0) * (1.0 - right) + corner(1, 0) * right;
                let lower = corner(0, 1) * (1.0 - right) + corner(1, 1) * right;
                let value = upper * (1.0 - below) + lower * below;
                pixels.push((value + rng.random_range(-2.0..2.0)).clamp(0.0, 255.0) as u8);
            }
        }
    }
    Images::new(count, 1, 32, 32, pixels).expect("so many pixels")
}
