//! Pictures in memory are scored as files with the same pixels are, to the bit, whatever their size and kind.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use image::{DynamicImage, GrayImage, ImageBuffer, Luma, RgbImage, RgbaImage};
use pkdgan::data::Images;
use pkdgan::engine::{Cpu, Executor, Graph, Program, Readback, Variables};
use pkdgan::model::{ModelFile, Statistics};
use pkdgan::scoring::{Detector, DetectorOptions, Scores, ScoringPath, score_pictures};
use pkdgan::unstable::data::{MemoryBudget, Search};
use pkdgan::unstable::model::{EdeGan, NormMode, arrange};
use pkdgan::unstable::scoring::Wanted;
use pkdgan::unstable::stream::{
    PictureFault, PictureSet, PixelArray, SharedDetector, StreamError, Way, score_each, score_set,
};

const STUDENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/student/model.safetensors");
const ALL: Wanted = Wanted { reconstructions: true, latents: true };

fn student() -> ModelFile {
    ModelFile::read(Path::new(STUDENT)).unwrap()
}

fn try_score(model: &ModelFile, set: PictureSet, threads: usize, wanted: Wanted) -> Result<Scores, StreamError> {
    let options = DetectorOptions::default().path(ScoringPath::Cpu);
    let (detector, _) = SharedDetector::choose(model, &[], &Search::default(), threads, options).unwrap();
    let memory = Arc::new(MemoryBudget::of_machine());
    let way = Way { preprocessing: model.preprocessing, lenient: false, memory };
    let stop = AtomicBool::new(false);
    Ok(score_set(&set, &way, &detector, threads, wanted, &stop)?.unwrap())
}

fn values(count: usize) -> Vec<u8> {
    (0..count).map(|i| ((i * 37 + i / 11 * 91) % 251) as u8).collect()
}

#[test]
fn arrays_of_every_kind_are_scored_as_files() {
    let folder = tempfile::tempdir().unwrap();
    let model = student();
    let mut pictures = Vec::new();
    for (index, (height, width)) in [(28, 28), (40, 31), (9, 17)].into_iter().enumerate() {
        let (w, h) = (width as u32, height as u32);
        let wide: Vec<u16> = values(height * width).iter().map(|&v| u16::from(v) * 257).collect();
        let deep = wide.iter().flat_map(|v| v.to_ne_bytes()).collect();
        let kinds: [(usize, Vec<u8>, DynamicImage); 3] = [
            (1, values(height * width), GrayImage::from_raw(w, h, values(height * width)).unwrap().into()),
            (3, values(3 * height * width), RgbImage::from_raw(w, h, values(3 * height * width)).unwrap().into()),
            (4, values(4 * height * width), RgbaImage::from_raw(w, h, values(4 * height * width)).unwrap().into()),
        ];
        let deep_picture = ImageBuffer::<Luma<u16>, _>::from_raw(w, h, wide).unwrap().into();
        let kinds = kinds.into_iter().map(|(n, bytes, picture)| (n, bytes, picture, false));
        for (values, bytes, picture, wide) in kinds.chain([(1, deep, deep_picture, true)]) {
            let path = folder.path().join(format!("{index}-{values}-{wide}.png"));
            picture.save(&path).unwrap();
            pictures.push((path, bytes, [1, height, width, values], wide));
        }
    }
    let arrays = pictures.iter().map(|(_, bytes, shape, wide)| PixelArray::new(bytes, *shape, *wide).unwrap());
    let arrays: Vec<_> = arrays.collect();
    let files: Vec<PathBuf> = pictures.iter().map(|(path, ..)| path.clone()).collect();
    let of_files = score_pictures(&model, files.clone(), DetectorOptions::default().path(ScoringPath::Cpu)).unwrap();
    let expected: Vec<f32> = of_files.map(|inspected| inspected.unwrap().score.unwrap()).collect();
    for threads in [1, 3] {
        let scored = try_score(&model, PictureSet::Arrays(&arrays), threads, ALL).unwrap();
        assert_eq!(scored.scores, expected);
        assert_eq!(try_score(&model, PictureSet::Files(&files), threads, ALL).unwrap(), scored);
    }
}

#[test]
fn many_images_have_the_numbers_of_the_detector() {
    let (model, count) = (student(), 200);
    let bytes = values(count * 28 * 28);
    let array = [PixelArray::new(&bytes, [count, 28, 28, 1], false).unwrap()];
    let images = Images::new(count, 1, 28, 28, bytes.clone()).unwrap();
    let pixels = images.to_signed_padded(&(0..count).collect::<Vec<_>>(), 32).unwrap();
    let expected = Detector::cpu(&model, count).unwrap().submit(&pixels, true).unwrap().wait().unwrap();
    for threads in [1, 2, 5] {
        let scored = try_score(&model, PictureSet::Arrays(&array), threads, ALL).unwrap();
        assert_eq!((&scored.scores, &scored.reconstructions), (&expected.scores, &expected.reconstructions));
        let scores_alone = try_score(&model, PictureSet::Arrays(&array), threads, Wanted::default()).unwrap();
        assert_eq!(scores_alone, Scores { scores: scored.scores, reconstructions: None, latents: None });
        // As many latents as the model says, each vector with a root mean square of one or whatever its constraint is.
        let latents = scored.latents.unwrap();
        assert_eq!(latents.len(), count * model.architecture.latents);
        assert!(latents.iter().all(|v| v.is_finite()) && latents.iter().any(|&v| v != latents[0]));
    }
}

#[test]
fn latent_vectors_are_those_of_the_graph() {
    let (model, count) = (student(), 9);
    let bytes = values(count * 28 * 28);
    let array = [PixelArray::new(&bytes, [count, 28, 28, 1], false).unwrap()];
    let scored = try_score(&model, PictureSet::Arrays(&array), 1, ALL).unwrap();

    let images = Images::new(count, 1, 28, 28, bytes.clone()).unwrap();
    let pixels = images.to_signed_padded(&(0..count).collect::<Vec<_>>(), 32).unwrap();
    assert_eq!(model.statistics, Statistics::Running);
    let (mut variables, mut graph, mut cpu) = (Variables::new(), Graph::new(), Cpu::new());
    let gan = EdeGan::register(&mut variables, "model", &model.architecture, model.norm_epsilon);
    cpu.allocate(&variables).unwrap();
    for (variable, values) in arrange(model.weights.clone(), &variables, &gan).unwrap() {
        cpu.write(variable, &values).unwrap();
    }
    let input = graph.input("images", [count, 1, 32, 32]);
    let (score, made) = gan.score_with(&mut graph, &variables, input, NormMode::Running).unwrap();
    let outputs = [("score", score), ("latent", made.latent), ("reconstruction", made.reconstruction)];
    outputs.iter().for_each(|(name, tensor)| graph.output(*name, *tensor));
    let program = cpu.load(Program::compile(&graph, &variables).unwrap()).unwrap();
    cpu.input(program, "images", &pixels).unwrap();
    let wanted = outputs.map(|(name, _)| Readback::Output(program, name));
    let expected = cpu.run_and_read(program, &wanted).unwrap().wait().unwrap();
    let found = [scored.scores, scored.latents.unwrap(), scored.reconstructions.unwrap()];
    for ((found, expected), (name, _)) in found.iter().zip(&expected).zip(outputs) {
        assert_eq!(found.len(), expected.len(), "{name}");
        let differ = found.iter().zip(expected).find(|(a, b)| (**a - **b).abs() > 1e-4 * b.abs().max(1.0));
        assert_eq!(differ, None, "{name}");
    }
}

#[test]
fn the_first_picture_that_has_no_score_is_named() {
    let model = student();
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = (0..200).map(|n| folder.path().join(format!("{n}.png"))).collect();
    for (n, file) in files.iter().enumerate() {
        if ![150, 160].contains(&n) {
            GrayImage::from_raw(28, 28, values(28 * 28)).unwrap().save(file).unwrap();
        }
    }
    let error = try_score(&model, PictureSet::Files(&files), 2, Wanted::default()).unwrap_err();
    assert!(matches!(&error, StreamError::Picture(fault) if matches!(**fault, PictureFault::Picture(_))));
    assert!(error.to_string().contains("150.png: cannot be read"), "{error}");

    let bytes = values(100);
    for (shape, wide, said) in
        [([1, 10, 5, 2], true, "other"), ([1, 10, 10, 2], false, "other"), ([1, 4, 5, 5], false, "X#0")]
    {
        let scored = PixelArray::new(&bytes, shape, wide).map_err(|error| format!("other: {error}"));
        let scored = scored.and_then(|array| {
            let set = [array];
            try_score(&model, PictureSet::Arrays(&set), 1, ALL).map_err(|error| error.to_string())
        });
        assert!(scored.unwrap_err().starts_with(said));
    }
}

#[test]
fn each_picture_has_its_score_or_its_fault() {
    let folder = tempfile::tempdir().unwrap();
    let model = student();
    let picture = |index: usize| values(28 * 28).iter().map(|&v| v.wrapping_add(index as u8)).collect();
    let files: Vec<PathBuf> = (0..100).map(|index| folder.path().join(format!("{index}.png"))).collect();
    for (index, file) in files.iter().enumerate() {
        GrayImage::from_raw(28, 28, picture(index)).unwrap().save(file).unwrap();
    }
    let expected = try_score(&model, PictureSet::Files(&files), 1, Wanted::default()).unwrap().scores;
    let mut encoded: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let bad = [0, 40, 41, 99];
    for place in bad {
        encoded[place].truncate(60);
        std::fs::write(&files[place], &encoded[place]).unwrap();
    }
    let encoded: Vec<&[u8]> = encoded.iter().map(Vec::as_slice).collect();
    for (set, threads) in [PictureSet::Files(&files), PictureSet::Encoded(&encoded)].into_iter().zip([1, 3]) {
        let options = DetectorOptions::default().path(ScoringPath::Cpu);
        let (detector, _) = SharedDetector::choose(&model, &[], &Search::default(), threads, options).unwrap();
        let memory = Arc::new(MemoryBudget::of_machine());
        let way = Way { preprocessing: model.preprocessing, lenient: false, memory };
        let (scores, faults) = score_each(&set, &way, &detector, threads, &AtomicBool::new(false)).unwrap().unwrap();
        assert_eq!(faults.iter().map(|&(place, _)| place).collect::<Vec<_>>(), bad);
        assert!(faults.iter().all(|(_, fault)| matches!(fault, PictureFault::Picture(_))));
        for (place, (score, expected)) in scores.iter().zip(&expected).enumerate() {
            let same = score.to_bits() == expected.to_bits();
            assert!(if bad.contains(&place) { score.is_nan() } else { same }, "{place}: {score}, {expected}");
        }
        let error = try_score(&model, set, threads, Wanted::default()).unwrap_err();
        assert!(matches!(&error, StreamError::Picture(fault) if matches!(**fault, PictureFault::Picture(_))));
    }
}

#[test]
fn what_is_stopped_gives_no_scores() {
    let model = student();
    let options = DetectorOptions::default().path(ScoringPath::Cpu);
    let (detector, _) = SharedDetector::choose(&model, &[], &Search::default(), 2, options).unwrap();
    let memory = Arc::new(MemoryBudget::of_machine());
    let way = Way { preprocessing: model.preprocessing, lenient: false, memory };
    let bytes = values(28 * 28);
    let array = [PixelArray::new(&bytes, [1, 28, 28, 1], false).unwrap()];
    let stopped = AtomicBool::new(true);
    assert!(score_set(&PictureSet::Arrays(&array), &way, &detector, 2, ALL, &stopped).unwrap().is_none());
}

#[test]
fn a_model_in_memory_is_the_one_of_its_file() {
    let bytes = std::fs::read(STUDENT).unwrap();
    assert_eq!(ModelFile::from_bytes(&bytes, Path::new(STUDENT)).unwrap(), student());
    let error = ModelFile::from_bytes(&bytes[..bytes.len() - 1], Path::new("here")).unwrap_err().to_string();
    assert!(error.starts_with("here: "), "{error}");
}
