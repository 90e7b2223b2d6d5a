//! Where heat maps are highest on images with painted defects: `cargo bench --bench places -- RUN...`. Each is a run on own
//! images that is done, whose images lie where they did. For each width of the Gaussian: the share of images whose map is
//! highest on the defect, and the AUROC over all pixels, by plain differences and by the scale of held-out normal images.

use std::path::Path;

use pkdgan::config::Config;
use pkdgan::data::Images;
use pkdgan::engine::Cpu;
use pkdgan::unstable::anomaly_map::{Localization, LocalizationFigures, MapScale, difference, smoothed};
use pkdgan::unstable::pipeline::Data;
use pkdgan::unstable::sensitivity::{Defect, DefectSet, Size};
use pkdgan::unstable::train::{Model, reconstruct};

/// Shares of the longer side.
const SIGMAS: [f32; 7] = [0.0, 1.0 / 64.0, 1.0 / 32.0, 3.0 / 64.0, 1.0 / 16.0, 3.0 / 32.0, 1.0 / 8.0];
/// Images at a time.
const BATCH: usize = 50;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let runs: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    for run in &runs {
        let folder = Path::new(run);
        let config = Config::read(&folder.join("config.toml"))?;
        let data = Data::load(&config, &mut |_, _| {})?;
        let normal = data.split.test.iter().copied().filter(|&index| data.eval.labels[index] == data.split.normal);
        let set = DefectSet::new(&data.eval.images, &normal.collect::<Vec<_>>(), config.training.seed)?;
        for file in ["teacher.safetensors", "model.safetensors"] {
            if folder.join(file).exists() {
                measure(&format!("{run}/{file}"), &data, &set)?;
            }
        }
    }
    Ok(())
}

fn measure(path: &str, data: &Data, set: &DefectSet) -> Result<(), Failure> {
    let mut executor = Cpu::new();
    let model = Model::load(Path::new(path), &mut executor)?;
    let held_out = differences(&mut executor, &model, &data.train.images, &data.split.calibration)?;
    let local = |place: &usize| set.defect(*place).is_some_and(|defect| defect.kind.is_local());
    let places: Vec<usize> = (0..set.images.count()).filter(local).collect();
    let painted = differences(&mut executor, &model, &set.images, &places)?;
    let size = [set.images.height(), set.images.width()];
    println!("{path}: {} held-out images, {} painted ones", held_out.len(), painted.len());
    println!(
        "{:>7} {:>8} | {:>7} {:>7} | {:>7} {:>7} | small medium large | of them",
        "sigma", "chance", "plain", "AUROC", "normed", "AUROC"
    );
    for sigma in SIGMAS {
        let scale = MapScale::fit_with(size, &held_out, sigma).ok_or("too few images")?;
        let mut counted = vec![Localization::default(); 5];
        for (&place, values) in places.iter().zip(&painted) {
            let size_of = |defect: Defect| Size::ALL.iter().position(|&size| size == defect.size);
            let at = set.defect(place).and_then(size_of).unwrap_or(0);
            let (map, on) = (scale.map(values), Some(set.on_defect(place)));
            counted[0].add(&smoothed(values, size, sigma * size[0].max(size[1]) as f32), on);
            counted[1].add(&map, on);
            counted[2 + at].add(&map, on);
        }
        let figures: Option<Vec<LocalizationFigures>> = counted.iter().map(Localization::figures).collect();
        let figures = figures.ok_or("no defect")?;
        let percent = |of: &LocalizationFigures| format!("{:.1} %", 100.0 * of.maximum_on_defect);
        println!(
            "{sigma:>7.4} {:>8} | {:>7} {:>7.4} | {:>7} {:>7.4} | {} {} {}",
            format!("{:.1} %", 100.0 * figures[0].defect_area),
            percent(&figures[0]),
            figures[0].pixel_auroc,
            percent(&figures[1]),
            figures[1].pixel_auroc,
            percent(&figures[2]),
            percent(&figures[3]),
            percent(&figures[4]),
        );
    }
    Ok(())
}

/// The difference of each image, not smoothed.
fn differences(
    executor: &mut Cpu,
    model: &Model,
    images: &Images,
    indices: &[usize],
) -> Result<Vec<Vec<f32>>, Failure> {
    let [channels, side, _] = model.gan.encoder1.spec.input;
    let mut all = Vec::new();
    for batch in indices.chunks(BATCH) {
        let made = reconstruct(executor, model, images, batch)?.pixels;
        for (&index, made) in batch.iter().zip(made.chunks_exact(channels * side * side)) {
            all.push(difference(&images.image(index)?, made, [images.height(), images.width()], side));
        }
    }
    Ok(all)
}
