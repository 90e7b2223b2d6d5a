//! `pkdgan score` beside decoding alone, for 10,000 PNG files: `cargo bench --bench decode -- MODEL`.
//! `-- MODEL --quick` takes 1,000 files and fewer repeats.
//!
//! Decoding alone reads and preprocesses the same files by the same functions on as many threads, and does nothing else:
//! no order, no rows, no process to start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use image::{GrayImage, Luma};
use pkdgan::data::{Dataset, Images, Part, Preprocessing};
use pkdgan::model::ModelFile;
use pkdgan::unstable::data::{PreprocessingInternals, read_picture};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let Some(model) = arguments.iter().find(|argument| !argument.starts_with("--")) else {
        println!("name a model file: cargo bench --bench decode -- MODEL");
        return;
    };
    let (files, repeats) = if quick { (1_000, 5) } else { (10_000, 9) };
    let preprocessing = ModelFile::read(Path::new(model)).expect("a model").preprocessing;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    println!("{files} PNG files, {threads} threads, median of {repeats} interleaved runs");
    let folder = tempfile::tempdir().expect("a folder");
    for (name, make) in [("MNIST, 28x28", digits as fn(usize) -> Vec<GrayImage>), ("photo-like, 256x256", photos)] {
        let paths = write(&folder.path().join(name), files, &make(files.min(10_000)));
        let (mut alone, mut scored) = (Vec::new(), Vec::new());
        for _ in 0..repeats {
            alone.push(decode(&paths, &preprocessing, threads));
            scored.push(score(Path::new(model), &folder.path().join(name)));
        }
        let [alone, scored] = [alone, scored].map(|mut seconds| {
            seconds.sort_by(f64::total_cmp);
            seconds[seconds.len() / 2]
        });
        println!(
            "{name:<20} decoding alone {alone:7.3} s, pkdgan score {scored:7.3} s, ratio {:.2}; {:.1} and {:.1} us a picture",
            scored / alone,
            1e6 * alone / files as f64,
            1e6 * scored / files as f64
        );
    }
}

/// Seconds that reading and preprocessing takes.
fn decode(paths: &[PathBuf], preprocessing: &Preprocessing, threads: usize) -> f64 {
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let pixels = preprocessing.pixels(read_picture(path).expect("a picture")).expect("pixels");
                    let Preprocessing { channels, height, width, side, .. } = *preprocessing;
                    let images = Images::new(1, channels, height, width, pixels).expect("an image");
                    std::hint::black_box(images.to_signed_padded(&[0], side).expect("signed pixels"));
                }
            });
        }
    });
    started.elapsed().as_secs_f64()
}

/// Seconds that the command takes, from its start to its end.
fn score(model: &Path, folder: &Path) -> f64 {
    let started = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pkdgan"));
    command.args(["score", "--quiet", "--threshold", "1"]).args([model, folder]).stdout(Stdio::null());
    assert!(command.status().expect("the command").success());
    started.elapsed().as_secs_f64()
}

fn write(folder: &Path, count: usize, pictures: &[GrayImage]) -> Vec<PathBuf> {
    fs::create_dir_all(folder).expect("a folder");
    let each = pictures.iter().cycle().take(count).enumerate().map(|(index, picture)| {
        let path = folder.join(format!("{index:05}.png"));
        picture.save(&path).expect("a file");
        path
    });
    each.collect()
}

/// Test images of MNIST.
fn digits(count: usize) -> Vec<GrayImage> {
    let data = Dataset::Mnist.find(Path::new("")).and_then(|data| Dataset::Mnist.load(&data, Part::Test));
    let test = data.expect("MNIST").images;
    let image = |index| GrayImage::from_raw(28, 28, test.image(index).expect("an image").to_vec()).expect("28 x 28");
    (0..count).map(image).collect()
}

/// Smooth shapes with a little noise, as a camera sees them; a hundred, over and over.
fn photos(_: usize) -> Vec<GrayImage> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut photo = || {
        let [x0, y0, r] =
            [rng.random_range(64.0..192.0f32), rng.random_range(64.0..192.0), rng.random_range(30.0..60.0)];
        GrayImage::from_fn(256, 256, |x, y| {
            let distance = (x as f32 - x0).hypot(y as f32 - y0);
            let light = 60.0 + 0.3 * x as f32 + 100.0 / (1.0 + ((distance - r) / 3.0).exp());
            Luma([(light + rng.random_range(-3.0..3.0f32)) as u8])
        })
    };
    (0..100).map(|_| photo()).collect()
}
