//! How many pictures a second `pkdgan watch` keeps up with, and how long after a file is complete its row is there:
//! `cargo bench --bench watch -- MODEL`. `-- MODEL --quick` takes fewer pictures.
//!
//! First a folder that is full when the watch begins. Then pictures that are written at a steady rate: a rate is kept up with
//! where delays do not grow with time. The writer and the reader of the rows take a part of the machine too.

use std::collections::HashMap;
use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage};

/// Seconds that pictures are written at a steady rate.
const SECONDS: f64 = 10.0;
/// Pictures that are made; the others are copies of these.
const MADE: usize = 50;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let Some(model) = arguments.iter().find(|argument| !argument.starts_with("--")) else {
        println!("name a model file: cargo bench --bench watch -- MODEL");
        return;
    };
    let model = Path::new(model);
    let digits: Vec<Vec<u8>> = (0..MADE).map(digit).collect();
    let photos: Vec<Vec<u8>> = (0..MADE).map(photo).collect();
    let less = if quick { 10 } else { 1 };
    for (name, pictures, count, rates) in [
        ("MNIST-size PNG", &digits, 50_000, &[50.0, 500.0, 2_000.0, 4_000.0][..]),
        ("2-megapixel JPEG", &photos, 400, &[10.0, 20.0, 40.0][..]),
    ] {
        let bytes = pictures.iter().map(Vec::len).sum::<usize>() / MADE;
        println!("{name}, {bytes} bytes");
        let count = count / less;
        println!("  {count} that are there: {:.0} pictures/s", full(model, pictures, count));
        for &rate in rates {
            let delays = steady(model, pictures, rate, SECONDS / less as f64);
            let half = delays.len() / 2;
            println!(
                "  {rate} a second: delay of the first half {}, of the second {}",
                figures(delays[..half].to_vec()),
                figures(delays[half..].to_vec())
            );
        }
    }
}

/// Median, 99th percentile and maximum, in milliseconds.
fn figures(mut delays: Vec<f64>) -> String {
    delays.sort_by(f64::total_cmp);
    let at = |share: f64| 1e3 * delays[(share * (delays.len() - 1) as f64) as usize];
    format!("{:.1} ms (99 %: {:.1}, most: {:.1})", at(0.5), at(0.99), at(1.0))
}

/// Pictures a second of a folder that is full at the start.
fn full(model: &Path, pictures: &[Vec<u8>], count: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("in")).expect("a folder");
    for index in 0..count {
        fs::write(folder.path().join(format!("in/{index}")), &pictures[index % MADE]).expect("written");
    }
    // So old that nothing waits for it to settle.
    sleep(Duration::from_secs(1));
    let started = Instant::now();
    let status = watch(model, folder.path(), &["--once"]).wait().expect("it ends");
    assert!(status.success());
    count as f64 / started.elapsed().as_secs_f64()
}

fn watch(model: &Path, folder: &Path, more: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pkdgan"));
    command.arg("watch").arg(model).arg(folder.join("in")).arg("-o").arg(folder.join("rows")).args(more);
    command.args(["--quiet", "--device=cpu"]).stderr(Stdio::inherit()).spawn().expect("it starts")
}

/// Seconds from when each picture is complete until its row is there, in the order of the pictures.
fn steady(model: &Path, pictures: &[Vec<u8>], rate: f64, seconds: f64) -> Vec<f64> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    fs::create_dir(path.join("in")).expect("a folder");
    let mut child = watch(model, path, &[]);
    while !path.join("rows").exists() {
        sleep(Duration::from_millis(1));
    }
    sleep(Duration::from_millis(500));
    let count = (rate * seconds) as usize;
    let (written, read) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let start = Instant::now();
            let each = (0..count).map(|index| {
                sleep((start + Duration::from_secs_f64(index as f64 / rate)).saturating_duration_since(Instant::now()));
                fs::write(path.join(format!("in/{index}")), &pictures[index % MADE]).expect("written");
                Instant::now()
            });
            each.collect::<Vec<_>>()
        });
        let read = rows(path, count);
        (writer.join().expect("it writes"), read)
    });
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    written.iter().enumerate().map(|(index, at)| read[&index].saturating_duration_since(*at).as_secs_f64()).collect()
}

/// When the row of each picture was there.
fn rows(folder: &Path, count: usize) -> HashMap<usize, Instant> {
    let (mut seen, mut text) = (HashMap::new(), String::new());
    let mut file = fs::File::open(folder.join("rows")).expect("rows");
    while seen.len() < count {
        sleep(Duration::from_millis(1));
        let now = Instant::now();
        file.read_to_string(&mut text).expect("text");
        let whole = text.rfind('\n').map_or(0, |place| place + 1);
        let rest = text.split_off(whole);
        for row in text.lines() {
            let name = row.split(',').next().and_then(|path| path.rsplit('/').next());
            if let Some(Ok(index)) = name.map(str::parse) {
                seen.insert(index, now);
            }
        }
        text = rest;
    }
    seen
}

fn encoded(image: image::DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("encoded");
    bytes.into_inner()
}

/// A digit-like blob.
fn digit(index: usize) -> Vec<u8> {
    let picture = GrayImage::from_fn(28, 28, |x, y| {
        let distance = (x as usize).abs_diff(8 + index % 12).pow(2) + (y as usize).abs_diff(8 + index / 12).pow(2);
        Luma([255 - (4 * distance).min(255) as u8])
    });
    encoded(picture.into(), ImageFormat::Png)
}

/// Waves and grain, 1920 x 1080.
fn photo(index: usize) -> Vec<u8> {
    let mut grain = index as u32;
    let picture = RgbImage::from_fn(1920, 1080, |x, y| {
        grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let wave = |scale: f32| 110.0 + 100.0 * ((x + 7 * index as u32) as f32 / scale + y as f32 / 97.0).sin();
        Rgb([61.0, 113.0, 173.0].map(|scale| wave(scale) as u8 + (grain >> 28) as u8))
    });
    encoded(picture.into(), ImageFormat::Jpeg)
}
