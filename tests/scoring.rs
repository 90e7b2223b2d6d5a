//! Every scoring path against the others, and against the ops one by one in double precision.

mod common;

use std::path::Path;
use std::time::Duration;

use common::{adapter, assert_close, random};
use pkdgan::config::{Recipe, Statistics};
use pkdgan::data::{Dataset, Part};
use pkdgan::engine::{Cpu, EngineError, Executor, GpuOptions, Graph, Program, Readback, Variables};
use pkdgan::model::{Architecture, EncoderLayer, LatentConstraint, ModelFile, Normal};
use pkdgan::scoring::{Detector, DetectorOptions, ScoringError, ScoringPath};
use pkdgan::unstable::engine::{GpuOptionsInternals, GraphInternals, Precision, Reference};
use pkdgan::unstable::model::{EdeGan, named};
use pkdgan::unstable::scoring::{Generator, measure};
use pkdgan::unstable::weights::Weights;

fn gpu(without_half: bool) -> Box<dyn Executor> {
    let options = GpuOptions::default().adapter(adapter()).without_half(without_half);
    Box::new(common::opened(&options))
}

fn student() -> ModelFile {
    ModelFile::read(Path::new("tests/data/student/model.safetensors")).unwrap()
}

/// A model of random numbers.
fn model(architecture: Architecture, statistics: Statistics, seed: u64) -> ModelFile {
    architecture.check().unwrap();
    let mut variables = Variables::new();
    let gan = EdeGan::register(&mut variables, "model", &architecture, 1e-5);
    let mut weights = Weights::default();
    for (tensor, seed) in named(&gan, &variables).into_iter().zip(seed..) {
        let len: usize = tensor.shape.iter().product();
        let summands = (len / tensor.shape[0]).max(1) as f64;
        let spread = match tensor.name.as_str() {
            name if name.ends_with("norm.weight") || name.ends_with("running_var") => |v: f64, _: f64| 1.0 + 0.5 * v,
            name if name.ends_with("weight") => |v: f64, summands: f64| 2.0 * v / summands.sqrt(),
            _ => |v: f64, _: f64| 0.3 * v,
        };
        weights.insert(
            tensor.name,
            &tensor.shape,
            random(seed, len).into_iter().map(|v| spread(v, summands) as f32).collect(),
        );
    }
    let config = Recipe::Default.config(Dataset::Mnist);
    let mut preprocessing = config.preprocessing();
    (preprocessing.channels, preprocessing.side) = (architecture.channels, architecture.side);
    let normal = Normal { dataset: "random".into(), class: 0 };
    ModelFile::new(architecture, preprocessing, normal, weights).norm_epsilon(1e-5).statistics(statistics)
}

fn architecture(channels: usize, side: usize, encoder: &[[usize; 4]], latents: usize) -> Architecture {
    let encoder = encoder.iter().copied().map(EncoderLayer::from).collect();
    let latent_constraint = LatentConstraint::default();
    Architecture { channels, side, encoder, latents, latent_constraint, discriminator: vec![1; 3] }
}

fn pixels(images: usize, file: &ModelFile) -> Vec<f32> {
    let Architecture { channels, side, .. } = file.architecture;
    random(7, images * channels * side * side).into_iter().map(|v| v as f32).collect()
}

/// Largest error relative to the expected number; NaN counts as infinite.
fn relative(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    let errors = got.iter().zip(expected).map(|(g, e)| ((g - e) / e).abs());
    errors.fold(0.0, |most, error| if error.is_nan() { f32::INFINITY } else { most.max(error) })
}

fn absolute(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    let errors = got.iter().zip(expected).map(|(g, e)| (g - e).abs());
    errors.fold(0.0, |most, error| if error.is_nan() { f32::INFINITY } else { most.max(error) })
}

/// Scores `images` on every path and compares with the ops one by one in double precision.
fn check(file: &ModelFile, images: usize) {
    let pixels = pixels(images, file);
    let score = |mut detector: Detector| {
        let scores = detector.submit(&pixels, true).unwrap().wait().unwrap();
        (scores.scores, scores.reconstructions.unwrap())
    };
    let exact = score(Detector::on(Box::new(Reference::exact()), file, ScoringPath::OpByOp, images).unwrap());
    let on = |executor, path| Detector::on(executor, file, path, images).unwrap();
    let cases: [(&str, f32, Detector); 7] = [
        ("cpu", 1e-4, Detector::cpu(file, images).unwrap()),
        ("fused f32, twin", 1e-4, on(Box::new(Cpu::new()), ScoringPath::FusedF32)),
        ("fused f32, exact twin", 1e-5, on(Box::new(Reference::exact()), ScoringPath::FusedF32)),
        ("fused f16, twin", 2e-2, on(Box::new(Reference::exact()), ScoringPath::FusedF16)),
        ("fused f32", 1e-4, on(gpu(false), ScoringPath::FusedF32)),
        ("fused f16", 2e-2, on(gpu(false), ScoringPath::FusedF16)),
        ("fused f16, unpacked", 2e-2, on(gpu(true), ScoringPath::FusedF16)),
    ];
    for (name, tolerance, detector) in cases {
        let (scores, reconstructions) = score(detector);
        let what = format!("{name}, {images} images, {:?}, {:?}", file.architecture, file.statistics);
        let error = relative(&scores, &exact.0);
        assert!(error <= tolerance, "{what}: scores off by {error:e}: {scores:?}, expected {:?}", exact.0);
        let error = absolute(&reconstructions, &exact.1);
        assert!(error <= tolerance, "{what}: reconstructions off by {error:e}");
    }
}

/// Kernels that overlap, that do not, that leave pixels out; windows of a single pixel; padding past the image.
#[test]
fn random_networks() {
    for (architecture, seed) in random_architectures().into_iter().zip(0..) {
        for (statistics, images) in [(Statistics::Running, 3), (Statistics::PerImage, 1)] {
            check(&model(architecture.clone(), statistics, 100 * seed), images);
        }
    }
}

fn random_architectures() -> Vec<Architecture> {
    let cases: [(usize, usize, &[[usize; 4]], usize); 6] = [
        (1, 8, &[[3, 3, 1, 1], [5, 2, 2, 0]], 7),
        (3, 16, &[[6, 4, 2, 1], [9, 4, 2, 1]], 10),
        (2, 8, &[[5, 4, 4, 0]], 3),
        (1, 8, &[[4, 2, 6, 0]], 70),
        (1, 24, &[[4, 6, 3, 3], [6, 3, 3, 0]], 5),
        (3, 8, &[[4, 5, 3, 0]], 9),
    ];
    cases.map(|(channels, side, encoder, latents)| architecture(channels, side, encoder, latents)).into()
}

#[test]
fn latent_vectors_that_are_not_normalised() {
    for latent_constraint in [LatentConstraint::Tanh, LatentConstraint::None] {
        let small = architecture(1, 8, &[[3, 3, 1, 1], [5, 2, 2, 0]], 7);
        check(&model(Architecture { latent_constraint, ..small }, Statistics::Running, 50), 11);
    }
}

/// The students of the recipes.
#[test]
fn students() {
    for dataset in [Dataset::Mnist, Dataset::FashionMnist, Dataset::Cifar10] {
        for statistics in [Statistics::Running, Statistics::PerImage] {
            check(&model(Recipe::Default.config(dataset).student(), statistics, 11), 2);
        }
    }
}

/// A trained student on the whole test set, each path against the ops one by one on the same adapter. The tolerance is
/// relative to each score by itself.
#[test]
fn every_test_image_of_a_trained_student() {
    const BATCH: usize = 500;
    let file = student();
    let test = Dataset::Mnist.load(Path::new("data"), Part::Test).unwrap();
    let indices: Vec<usize> = (0..test.images.count()).collect();
    assert_eq!(indices.len(), 10_000);
    let pixels = test.images.to_signed_padded(&indices, file.architecture.side).unwrap();
    let all = |mut detector: Detector| -> Vec<f32> {
        let batches = pixels.chunks(BATCH * detector.image_len());
        batches.flat_map(|batch| detector.score(batch).unwrap()).collect()
    };
    let on = |executor, path| Detector::on(executor, &file, path, BATCH).unwrap();
    let expected = all(on(gpu(false), ScoringPath::OpByOp));
    for (name, tolerance, detector) in [
        ("cpu", 1e-4, Detector::cpu(&file, BATCH).unwrap()),
        ("fused f32", 1e-4, on(gpu(false), ScoringPath::FusedF32)),
        ("fused f16", 1e-2, on(gpu(false), ScoringPath::FusedF16)),
        ("fused f16, unpacked", 1e-2, on(gpu(true), ScoringPath::FusedF16)),
    ] {
        let error = relative(&all(detector), &expected);
        println!("{name}: scores off by {error:.1e} at most, relative");
        assert!(error <= tolerance, "{name}: scores off by {error:e}");
    }
}

#[test]
fn a_network_too_large_for_workgroup_memory_is_named_with_the_remedy() {
    let file = model(Recipe::Default.config(Dataset::Mnist).teacher(), Statistics::Running, 1);
    let refused = Detector::on(Box::new(Cpu::new()), &file, ScoringPath::FusedF32, 1).err();
    let Some(ScoringError::Engine(error @ EngineError::Shape { .. })) = refused else { panic!("not refused") };
    let text = error.to_string();
    assert!(text.contains("workgroup memory") && text.contains("op by op"), "{text}");
}

#[test]
fn a_weight_that_half_precision_cannot_hold_is_refused() {
    let mut file = student();
    file.weights.tensors.get_mut("encoder1.conv1.weight").unwrap().values[3] = 1e6;
    let refused = Detector::on(Box::new(Cpu::new()), &file, ScoringPath::FusedF16, 1).err();
    assert!(matches!(refused, Some(ScoringError::Unsuited { path: ScoringPath::FusedF16, .. })), "{refused:?}");
}

/// A teacher runs on the CPU path too.
#[test]
fn a_teacher_on_the_cpu_path() {
    for statistics in [Statistics::Running, Statistics::PerImage] {
        let file = model(Recipe::Default.config(Dataset::Mnist).teacher(), statistics, 5);
        let pixels = pixels(1, &file);
        let expected =
            Detector::on(Box::new(Reference::exact()), &file, ScoringPath::OpByOp, 1).unwrap().score(&pixels).unwrap();
        let error = relative(&Detector::cpu(&file, 1).unwrap().score(&pixels).unwrap(), &expected);
        assert!(error <= 1e-4, "{error:e}");
    }
}

/// Batches of any size give the same numbers as the images by themselves, whatever the number of threads.
#[test]
fn batches_do_not_matter() {
    let file = student();
    // Enough for other threads to be woken.
    const IMAGES: usize = 83;
    let pixels = pixels(IMAGES, &file);
    let threads = |count| rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
    let scorer = Generator::new(&file).unwrap().on_cpu();
    let on_threads = |count| {
        let mut scores = vec![f32::NAN; IMAGES];
        threads(count).install(|| scorer.score(&pixels, &mut scores, None));
        scores
    };
    let whole = on_threads(1);
    assert_eq!(on_threads(3), whole);
    let mut cpu = Detector::cpu(&file, IMAGES).unwrap();
    let mut fused = Detector::on(gpu(false), &file, ScoringPath::FusedF32, IMAGES).unwrap();
    let on_device = fused.score(&pixels).unwrap();
    for (index, image) in pixels.chunks_exact(1024).enumerate() {
        assert_eq!(cpu.score(image).unwrap(), [whole[index]]);
        assert_eq!(fused.score(image).unwrap(), [on_device[index]]);
    }
    // Several on their way at once come back in their own order.
    let submitted: Vec<_> = pixels.chunks(5 * 1024).map(|batch| fused.submit(batch, true).unwrap()).collect();
    let scores: Vec<f32> = submitted.into_iter().flat_map(|batch| batch.wait().unwrap().scores).collect();
    assert_eq!(scores, on_device);
}

/// On the CPU path images are computed lanes_of_images, a number of each in a vector, where there are as many as a
/// vector has numbers, and one by one where there are not: all numbers are the same.
#[test]
fn images_scored_one_per_lane_come_out_as_they_do_alone() {
    const IMAGES: usize = 3 * 8 + 3;
    let mut cases =
        vec![Recipe::Default.config(Dataset::Cifar10).student(), Recipe::Default.config(Dataset::Mnist).student()];
    cases.extend(random_architectures());
    for (architecture, seed) in cases.into_iter().zip(40..) {
        for statistics in [Statistics::Running, Statistics::PerImage] {
            let file = model(architecture.clone(), statistics, 100 * seed);
            let pixels = pixels(IMAGES, &file);
            let scorer = Generator::new(&file).unwrap().on_cpu();
            let score = |pixels: &[f32]| {
                let images = pixels.len() / scorer.image_len();
                let (mut scores, mut reconstructions) = (vec![f32::NAN; images], vec![f32::NAN; pixels.len()]);
                scorer.score_here(pixels, &mut scores, Some(&mut reconstructions));
                (scores, reconstructions)
            };
            let alone: (Vec<_>, Vec<_>) = pixels.chunks_exact(scorer.image_len()).map(score).unzip();
            let alone = (alone.0.concat(), alone.1.concat());
            assert!(alone.0.iter().chain(&alone.1).all(|v| v.is_finite()));
            assert!(score(&pixels) == alone, "{architecture:?}, {statistics:?}");
        }
    }
}

/// The fused kernel takes weights that the host has written anew.
#[test]
fn weights_that_are_written_anew_count() {
    let generator = Generator::new(&student()).unwrap();
    let pixels = pixels(2, &student());
    let words = generator.weights.singles();
    let others: Vec<f32> = words.iter().map(|word| 0.9 * word).collect();
    let mut variables = Variables::new();
    let group = variables.group("packed");
    let weights = variables.add(group, "weights", [1, 1, 1, words.len()]);
    let program = || {
        let mut graph = Graph::new();
        let images = graph.input("images", [2, 1, 32, 32]);
        let weights = graph.variable(&variables, weights);
        let [score, ..] = graph.fused_score(images, weights, generator.plan.clone(), Precision::Single).unwrap();
        graph.output("score", score);
        Program::compile(&graph, &variables).unwrap()
    };
    let scores = |written: &[&[f32]]| -> Vec<Vec<f32>> {
        let mut gpu = gpu(false);
        let program = gpu.load(program()).unwrap();
        gpu.input(program, "images", &pixels).unwrap();
        let mut score = |words: &&[f32]| {
            gpu.write(weights, words).unwrap();
            gpu.run_and_read(program, &[Readback::Output(program, "score")]).unwrap().wait_one().unwrap()
        };
        written.iter().map(&mut score).collect()
    };
    let both = scores(&[words, &others]);
    assert_eq!(both[1..], scores(&[&others]));
    assert_ne!(both[0], both[1]);
}

/// The fused kernel takes weights that a kernel before it has computed.
#[test]
fn weights_that_the_program_computes_count() {
    let generator = Generator::new(&student()).unwrap();
    let pixels = pixels(2, &student());
    let doubled: Vec<f32> = generator.weights.singles().iter().map(|word| 2.0 * word).collect();
    let mut graph = Graph::new();
    let images = graph.input("images", [2, 1, 32, 32]);
    let weights = graph.input("weights", [1, 1, 1, doubled.len()]);
    let halved = graph.scale(weights, 0.5).unwrap();
    let [score, ..] = graph.fused_score(images, halved, generator.plan.clone(), Precision::Single).unwrap();
    graph.output("score", score);
    let inputs = [("images", &pixels[..]), ("weights", &doubled)];
    let executors: [Box<dyn Executor>; 2] = [gpu(false), Box::new(Cpu::new())];
    let [got, expected] = executors.map(|mut executor| {
        let scores = executor.evaluate(&graph, &inputs).unwrap().remove("score").unwrap();
        scores.into_iter().map(f64::from).collect::<Vec<_>>()
    });
    assert_close("scores", &got, &expected, 1e-4);
}

#[test]
fn pixels_that_are_no_batch_are_refused() {
    let mut cpu = Detector::cpu(&student(), 2).unwrap();
    for len in [0, 1, 1023, 1025, 3 * 1024] {
        assert!(matches!(cpu.submit(&vec![0.0; len], false).err(), Some(ScoringError::Pixels { .. })), "{len}");
    }
}

#[test]
fn the_choice_of_a_path() {
    let file = student();
    let device = GpuOptions::default().adapter(adapter());
    let choose = |options: DetectorOptions| Detector::choose(&file, 8, &options.device(device.clone())).unwrap();
    for path in ScoringPath::ALL {
        let (detector, choice) = choose(DetectorOptions::default().path(Some(path)));
        assert_eq!((detector.path(), choice.path), (path, path));
        assert!(choice.timings.is_empty());
        assert_eq!(choice.adapter.is_some(), path != ScoringPath::Cpu);
    }
    // One image is not worth a device, unless one is named.
    let (detector, choice) = Detector::choose(&file, 8, &DetectorOptions::default().images(Some(1))).unwrap();
    assert_eq!(detector.path(), ScoringPath::Cpu);
    assert!(choice.adapter.is_none());
    let (detector, _) = choose(DetectorOptions::default().without_device(true));
    assert_eq!(detector.path(), ScoringPath::Cpu);
    // Without a limit all paths are tried, the one in half precision only where it will do, and the fastest is taken.
    for half in [false, true] {
        let (mut detector, choice) = choose(DetectorOptions::default().half(half));
        assert!(choice.adapter.is_some());
        assert_eq!(choice.timings.len(), 3 + usize::from(half));
        assert_eq!(choice.timings.iter().any(|timing| timing.path == ScoringPath::FusedF16), half);
        let fastest = choice.timings.iter().min_by(|a, b| a.median_us.total_cmp(&b.median_us)).unwrap();
        assert_eq!((detector.path(), choice.path), (fastest.path, fastest.path));
        assert_eq!(detector.score(&pixels(3, &file)).unwrap().len(), 3);
    }
    let none = DetectorOptions::default().device(device.clone().adapter(Some("no such adapter".into())));
    assert!(matches!(
        Detector::choose(&file, 8, &none).err(),
        Some(ScoringError::Engine(EngineError::NoAdapter { .. }))
    ));
}

#[test]
fn figures() {
    let mut cpu = Detector::cpu(&student(), 8).unwrap();
    let figure = measure(&mut cpu, 8, Duration::from_millis(5)).unwrap().figure("student", ScoringPath::Cpu);
    assert!(0.0 < figure.median_us && figure.median_us <= figure.p95_us && figure.p95_us <= figure.p99_us);
    assert!((figure.images_per_s * figure.median_us / 8e6 - 1.0).abs() < 1e-9);
    let json = serde_json::to_value(&figure).unwrap();
    assert_eq!([&json["network"], &json["path"]], ["student", "cpu"]);
}
