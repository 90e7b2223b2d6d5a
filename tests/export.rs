//! Models for other programs: what the files hold, that the graph computes what the engine does, and refusals.
//! `tests/onnx/check.py` runs them with onnxruntime.

mod command;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use command::{Sandbox, stderr};
use image::{Rgb, RgbImage, Rgba, RgbaImage};
use pkdgan::config::Statistics;
use pkdgan::data::{Fit, Images, Preprocessing, Range};
use pkdgan::engine::{self, Activation, Cpu, Executor, Graph, Measure, Variables, Window};
use pkdgan::model::{Architecture, EncoderLayer, LatentConstraint, ModelFile, Normal};
use pkdgan::unstable::calibration::{Calibration, tie_bound};
use pkdgan::unstable::data::{GREY, MemoryBudget, read_pixels};
use pkdgan::unstable::export::schema::{self, ElementKind, Length, Node};
use pkdgan::unstable::export::{ExportError, in_half, onnx};
use pkdgan::unstable::model::{EdeGan, named};
use pkdgan::unstable::run::read_scores;
use pkdgan::unstable::train::{Model, Scorer};
use pkdgan::unstable::weights::{Weights, WeightsError};
use prost::Message;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

/// A model of random numbers; pictures are `height` x `width`.
fn model(channels: usize, encoder: &[[usize; 4]], statistics: Statistics, [height, width]: [usize; 2]) -> ModelFile {
    let encoder = encoder.iter().copied().map(EncoderLayer::from).collect();
    let latent_constraint = LatentConstraint::default();
    let architecture =
        Architecture { channels, side: 16, encoder, latents: 7, latent_constraint, discriminator: vec![2, 3, 4] };
    architecture.check().unwrap();
    let mut variables = Variables::new();
    let gan = EdeGan::register(&mut variables, "model", &architecture, 1e-3);
    let mut weights = Weights::default();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for tensor in named(&gan, &variables) {
        // Variances, which are positive, among them.
        let range = if tensor.name.ends_with("_var") { 0.2..2.0_f32 } else { -0.6..0.9 };
        let values = (0..tensor.shape.iter().product::<usize>()).map(|_| rng.random_range(range.clone())).collect();
        weights.insert(tensor.name, &tensor.shape, values);
    }
    ModelFile::new(
        architecture,
        Preprocessing { channels, height, width, side: 16, fit: Fit::Crop, range: Range::Full },
        Normal { dataset: "made-up".into(), class: 3 },
        weights,
    )
    .norm_epsilon(1e-3)
    .statistics(statistics)
}

/// Kernels, strides and paddings of many kinds; the last has a single pixel left.
const ENCODERS: [&[[usize; 4]]; 4] = [
    &[[4, 4, 4, 0], [5, 2, 2, 0]],
    &[[3, 4, 2, 1], [5, 3, 1, 1], [4, 5, 1, 0]],
    &[[6, 1, 3, 0], [2, 3, 1, 2]],
    &[[4, 4, 4, 0], [5, 4, 1, 0]],
];

fn file(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}

/// Through the bytes of a file and back.
fn reread(graph: &schema::Model) -> schema::Model {
    let folder = TempDir::new().unwrap();
    graph.write(&file(&folder, "m.onnx")).unwrap();
    schema::Model::decode(&*std::fs::read(file(&folder, "m.onnx")).unwrap()).unwrap()
}

fn attribute<'a>(node: &'a Node, name: &str) -> &'a schema::Attribute {
    node.attribute.iter().find(|attribute| attribute.name == name).unwrap()
}

/// Runs the graph's layers on the engine from the network's pixels on, up to the score. Nodes must come in order.
fn scores_of(model: &schema::Model, pixels: &[f32], shape: engine::Shape) -> Vec<f32> {
    let exported = model.graph.as_ref().unwrap();
    let mut graph = Graph::new();
    let mut values = HashMap::new();
    for name in ["image.signed", "image.padded"] {
        values.insert(name.to_owned(), graph.constant(shape, pixels).unwrap());
    }
    for constant in exported.initializer.iter().filter(|constant| constant.data_type() == ElementKind::Float) {
        let dims: Vec<usize> = constant.dims.iter().map(|&dim| dim as usize).collect();
        let shape = match *dims {
            [a, b, c, d] => [a, b, c, d],
            [channels] => [1, channels, 1, 1],
            _ => continue,
        };
        let floats: Vec<f32> =
            constant.raw_data.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect();
        values.insert(constant.name.clone(), graph.constant(shape, &floats).unwrap());
    }
    for node in &exported.node {
        let input = |place: usize| values[&node.input[place]];
        let window = || {
            let [strides, pads] = ["strides", "pads"].map(|name| attribute(node, name).ints.clone());
            Window::stride(strides[0] as usize).padding(pads[0] as usize)
        };
        let bias = || node.input.get(2).map(|bias| values[bias]);
        let y = match node.op_type.as_str() {
            "Conv" => graph.conv2d(input(0), input(1), bias(), window()),
            "ConvTranspose" => graph.conv_transpose2d(input(0), input(1), bias(), window(), [0, 0]),
            "InstanceNormalization" => {
                let epsilon = attribute(node, "epsilon").float.unwrap();
                let statistics = engine::Statistics::Batch { sets: shape[0], running: None };
                graph.batch_norm(input(0), input(1), input(2), statistics, epsilon)
            }
            "Relu" => graph.activation(input(0), Activation::Relu),
            "Tanh" => graph.activation(input(0), Activation::Tanh),
            "LeakyRelu" => graph.activation(input(0), Activation::LeakyRelu(attribute(node, "alpha").float.unwrap())),
            // The ends of an encoder and of the whole are several nodes, and ops of the engine.
            "Mul" => graph.unit_rms(input(0)),
            "Sub" if node.output[0] == "latent_difference" => graph.distance(input(0), input(1), Measure::L2),
            "ReduceL2" if node.output[0] == "score" => {
                graph.output("score", input(0));
                return Cpu::new().evaluate(&graph, &[]).unwrap().remove("score").unwrap();
            }
            "Cast" | "Div" | "Sub" | "Pad" | "ReduceL2" | "Max" => continue,
            other => panic!("{other}"),
        };
        values.insert(node.output[0].clone(), y.unwrap());
    }
    panic!("no score");
}

#[test]
fn the_graph_computes_what_the_engine_does() {
    for (channels, statistics) in [(1, Statistics::Running), (3, Statistics::Running), (3, Statistics::PerImage)] {
        for encoder in ENCODERS {
            if statistics == Statistics::PerImage && encoder == ENCODERS[3] {
                continue;
            }
            let file = model(channels, encoder, statistics, [16, 16]);
            let mut rng = ChaCha8Rng::seed_from_u64(6);
            let bytes = (0..5 * channels * 256).map(|_| rng.random()).collect();
            let images = Images::new(5, channels, 16, 16, bytes).unwrap();
            let pixels = images.to_signed_padded(&[0, 1, 2, 3, 4], 16).unwrap();
            let theirs = scores_of(&reread(&onnx(&file).unwrap()), &pixels, [5, channels, 16, 16]);
            let mut cpu = Cpu::new();
            let model = Model::place(file, &mut cpu).unwrap();
            let scorer = Scorer::new(&mut cpu, &model.variables, &model.gan, statistics, 5).unwrap();
            let ours = scorer.score_pixels(&mut cpu, &pixels).unwrap().wait().unwrap().remove(0);
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert!((ours - theirs).abs() <= 1e-4 * ours, "{encoder:?} {statistics:?}: {ours} {theirs}");
            }
        }
    }
}

/// Name, type and shape of an input or output.
fn described(value: &schema::Value) -> (&str, ElementKind, Vec<Length>) {
    let tensor = value.kind.as_ref().unwrap().tensor.as_ref().unwrap();
    let dims = tensor.shape.clone().unwrap().dim.into_iter().map(|dim| dim.length.unwrap()).collect();
    assert!(!value.doc_string.is_empty(), "{}", value.name);
    (&value.name, tensor.element(), dims)
}

#[test]
fn preprocessing_and_calibration_are_inside() {
    let mut file = model(3, ENCODERS[0], Statistics::Running, [9, 14]);
    let scores = vec![0.5, 0.1, 1e-7, 0.333_333_34];
    file.calibration = Some(Calibration::new(scores).unwrap());
    let exported = reread(&onnx(&file).unwrap());
    let graph = exported.graph.as_ref().unwrap();
    let shape = |dims: &[i64]| -> Vec<Length> {
        [Length::Free("N".into())].into_iter().chain(dims.iter().copied().map(Length::Fixed)).collect()
    };
    assert_eq!(
        graph.input.iter().map(described).collect::<Vec<_>>(),
        [("image", ElementKind::Uint8, shape(&[3, 9, 14]))]
    );
    let outputs = [
        ("score", ElementKind::Float, shape(&[])),
        ("reconstruction", ElementKind::Float, shape(&[3, 16, 16])),
        ("calibration_at_least", ElementKind::Int64, shape(&[])),
        ("p_value", ElementKind::Double, shape(&[])),
    ];
    assert_eq!(graph.output.iter().map(described).collect::<Vec<_>>(), outputs);
    // As `Images::to_signed_padded` does: the odd pixel of a margin lies below.
    let margins = graph.initializer.iter().find(|constant| constant.name == "margins").unwrap();
    assert_eq!(margins.raw_data, [0, 0, 3, 1, 0, 0, 4, 1].map(i64::to_le_bytes).concat());
    let held = graph.initializer.iter().find(|constant| constant.name == "calibration.tie_bounds").unwrap();
    let bounds = [1e-7_f32, 0.1, 0.333_333_34, 0.5].map(tie_bound);
    assert_eq!(held.raw_data, bounds.map(f32::to_le_bytes).concat());
    let compared = graph.node.iter().find(|node| node.op_type == "GreaterOrEqual").unwrap();
    assert_eq!(compared.input, ["calibration.tie_bounds", "score.column"]);

    let metadata: HashMap<_, _> = exported.metadata_props.iter().map(|entry| (&*entry.key, &*entry.value)).collect();
    let read: Vec<f32> = serde_json::from_str(metadata["calibration.scores"]).unwrap();
    assert_eq!(read, file.calibration.as_ref().unwrap().scores());
    assert_eq!((metadata["calibration.count"], metadata["version"]), ("4", env!("CARGO_PKG_VERSION")));
    let json = |key: &str| serde_json::from_str::<serde_json::Value>(metadata[key]).unwrap();
    assert_eq!(json("architecture")["statistics"], "running");
    assert_eq!(json("preprocessing")["height"], 9);
    assert_eq!(json("normal")["dataset"], "made-up");
    let input = serde_json::json!({
        "name": "image",
        "type": "uint8",
        "range": [0, 255],
        "dimensions": ["images", "channels", "rows", "columns"],
        "shape": [null, 3, 9, 14],
        "channels": ["red", "green", "blue"],
        "fit": "crop",
        "filter": "bilinear, over all that a pixel covers",
    });
    assert_eq!(json("input"), input);
    assert_eq!(json("output")["anomalous"], "p_value <= alpha");
    assert_eq!(json("output")["least_alpha"], 0.2);
    for part in
        ["Pixels 0 to 255", "(red, green, blue)", "14 x 9", "cut at the longer sides", "choose: 0.2 at the least"]
    {
        assert!(exported.doc_string.contains(part), "no {part:?} in {}", exported.doc_string);
    }

    file.calibration = None;
    let exported = onnx(&file).unwrap();
    assert_eq!(exported.graph.unwrap().output.len(), 2);
    assert!(exported.metadata_props.iter().all(|entry| !entry.key.starts_with("calibration")));
    assert!(exported.doc_string.contains("Without calibration"), "{}", exported.doc_string);
    let grey = onnx(&model(1, ENCODERS[0], Statistics::Running, [9, 14])).unwrap();
    assert!(grey.doc_string.contains(&format!("{GREY}, rounded")), "{}", grey.doc_string);
}

/// Photos of several shapes: colours that differ in brightness and tone, at full size and not.
fn photos(sandbox: &Sandbox) -> Vec<String> {
    let colour = |n: u32, width: u32, height: u32| {
        RgbImage::from_fn(width, height, |x, y| {
            let wave = |length: u32, shift: u32| {
                let angle = (x * (n + 2) + y * shift) as f32 / length as f32;
                (127.5 + 127.5 * angle.sin()) as u8
            };
            Rgb([wave(17, 1), wave(11 + n, 3), wave(29, 7)])
        })
    };
    let shapes = [(14, 9), (90, 41), (13, 57), (61, 60), (400, 300)];
    let names = (0..).zip(shapes).map(|(n, (width, height))| {
        let name = format!("{n}.png");
        colour(n, width, height).save(sandbox.path(&name)).unwrap();
        name
    });
    let mut names: Vec<_> = names.collect();
    let clear = RgbaImage::from_fn(28, 28, |x, y| Rgba([(9 * x) as u8, (9 * y) as u8, 200, (x * y % 256) as u8]));
    clear.save(sandbox.path("clear.png")).unwrap();
    names.push("clear.png".to_owned());
    // Turned by a quarter.
    colour(9, 300, 200).save(sandbox.path("upright.jpg")).unwrap();
    let jpeg = sandbox.read("upright.jpg");
    let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let segment = [&[0xff, 0xe1][..], &(exif.len() as u16 + 2).to_be_bytes(), exif].concat();
    sandbox.write("turned.jpg", &[&jpeg[..2], &segment, &jpeg[2..]].concat());
    names.extend(["upright.jpg", "turned.jpg"].map(str::to_owned));
    names
}

#[test]
#[ignore = "takes a Python with onnxruntime and Pillow, named by PKDGAN_PYTHON (python3 otherwise)"]
fn the_documented_code_scores_photos_as_this_program() {
    let page = std::fs::read_to_string("docs/onnx.md").unwrap();
    let code = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sandbox = Sandbox::new();
    // Its pixels are wanted too.
    sandbox.write("score.py", format!("{}\n    image.tofile(path + '.pixels')\n", code.trim_end()).as_bytes());
    let photos = photos(&sandbox);
    let python = std::env::var_os("PKDGAN_PYTHON").unwrap_or_else(|| "python3".into());
    let trained = ModelFile::read(Path::new("tests/data/student/model.safetensors")).unwrap();
    let made_up = |channels| model(channels, ENCODERS[0], Statistics::PerImage, [9, 14]);
    let models = [(trained, true), (made_up(1), false), (made_up(3), false)];
    for ((mut file, is_trained), fit) in models.into_iter().flat_map(|model| Fit::ALL.map(|fit| (model.clone(), fit))) {
        file.preprocessing.fit = fit;
        file.write(&sandbox.path("model.safetensors")).unwrap();
        onnx(&file).unwrap().write(&sandbox.path("model.onnx")).unwrap();
        let score = ["score", "model.safetensors", "--threshold=0", "--format=jsonl", "--quiet", "--device=cpu"];
        let ours = sandbox.pkdgan(&score).args(&photos).output().unwrap();
        assert!(ours.status.success(), "{}", stderr(&ours));
        let ours = String::from_utf8(ours.stdout).unwrap();
        let ours = ours.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let ours: Vec<f64> = ours.map(|row| row["score"].as_f64().unwrap()).collect();

        let mut command = std::process::Command::new(&python);
        let theirs = command.args(["score.py", "model.onnx"]).args(&photos).current_dir(sandbox.path(""));
        let theirs = theirs.output().unwrap();
        assert!(theirs.status.success(), "{}", stderr(&theirs));
        let theirs = String::from_utf8(theirs.stdout).unwrap();
        let theirs = theirs.lines().map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
        let theirs: Vec<f64> = theirs.collect();
        assert_eq!([ours.len(), theirs.len()], [photos.len(); 2]);
        for ((name, ours), theirs) in photos.iter().zip(&ours).zip(&theirs) {
            let pixels = read_pixels(&sandbox.path(name), &file.preprocessing, &MemoryBudget::of_machine()).unwrap();
            let python = sandbox.read(&format!("{name}.pixels"));
            assert_eq!(pixels.len(), python.len(), "{name}");
            let steps = pixels.iter().zip(&python).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(steps <= 1, "{fit} {name}: a pixel differs by {steps}");
            // What made-up weights make of a step is no measure, but the same pixels have the same score.
            let bound = if steps == 0 { 1e-5 } else { 2e-3 };
            if steps == 0 || is_trained {
                assert!((ours - theirs).abs() <= bound * ours, "{fit} {name}: {ours} here, {theirs} in Python");
            }
        }
        let spread = ours.iter().copied().fold(0.0, f64::max) / ours.iter().copied().fold(f64::MAX, f64::min);
        assert!(spread > 1.1, "scores that hardly differ say little");
    }
}

#[test]
fn models_that_cannot_score_are_refused() {
    let sound = model(1, ENCODERS[0], Statistics::Running, [16, 16]);
    let mut broken = sound.clone();
    broken.weights.tensors.remove("decoder.deconv2.norm.running_var");
    let error = onnx(&broken).unwrap_err();
    assert!(
        matches!(&error, ExportError::Weights(WeightsError::Missing { name, .. }) if name.ends_with("running_var"))
    );

    for value in [f32::NAN, f32::INFINITY] {
        let mut broken = sound.clone();
        broken.weights.tensors.get_mut("encoder2.conv1.bias").unwrap().values[1] = value;
        for error in [onnx(&broken).unwrap_err(), in_half(&broken).unwrap_err()] {
            assert!(matches!(&error, ExportError::NotFinite { tensor, .. } if tensor == "encoder2.conv1.bias"));
        }
    }
    let single = model(1, ENCODERS[3], Statistics::PerImage, [16, 16]);
    assert!(matches!(onnx(&single), Err(ExportError::SingleValue { layer }) if layer == "encoder1.conv2"));
}

#[test]
fn half_precision_keeps_the_generator_and_the_calibration() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "half.safetensors");
    for statistics in [Statistics::Running, Statistics::PerImage] {
        let mut whole = model(3, ENCODERS[1], statistics, [16, 16]);
        whole.calibration = Some(Calibration::new(vec![0.123_456_79, 2e-9]).unwrap());
        in_half(&whole).unwrap().write(&path).unwrap();
        let half = ModelFile::read(&path).unwrap();
        let averages = |name: &str| name.contains(".running_");
        let kept = |name: &&String| {
            !name.starts_with("discriminator") && (statistics == Statistics::Running || !averages(name))
        };
        let wanted: Vec<_> = whole.weights.tensors.keys().filter(kept).collect();
        assert_eq!(half.weights.tensors.keys().collect::<Vec<_>>(), wanted);
        for (name, tensor) in &half.weights.tensors {
            for (half, whole) in tensor.values.iter().zip(&whole.weights.tensors[name].values) {
                assert!((half - whole).abs() <= whole.abs() / 2048.0 + 1e-7, "{name}: {half} {whole}");
            }
        }
        assert_eq!(half.calibration, whole.calibration);
        assert_eq!(half.metadata(), whole.metadata());
        // Half of half precision is the same file.
        let again = file(&folder, "again.safetensors");
        in_half(&half).unwrap().write(&again).unwrap();
        assert_eq!(std::fs::read(&again).unwrap(), std::fs::read(&path).unwrap());
    }
}

/// The model that ships with the page, its calibration included.
#[test]
fn an_mnist_student_in_half_precision_takes_at_most_64_kib() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "half.safetensors");
    let whole = ModelFile::read(Path::new("web/model.safetensors")).unwrap();
    assert!(whole.calibration.is_some());
    in_half(&whole).unwrap().write(&path).unwrap();
    let bytes = std::fs::metadata(&path).unwrap().len();
    assert!(bytes <= 64 * 1024, "{bytes}");
}

#[test]
fn what_half_precision_cannot_hold_is_named() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "half.safetensors");
    let mut large = model(1, ENCODERS[0], Statistics::Running, [16, 16]);
    large.weights.tensors.get_mut("decoder.deconv1.weight").unwrap().values[2] = -65_520.0;
    let error = in_half(&large).unwrap().write(&path).unwrap_err();
    assert!(matches!(&error, WeightsError::Overflow { name, value: -65_520.0 } if name == "decoder.deconv1.weight"));
    assert!(!path.exists());
    large.weights.tensors.get_mut("decoder.deconv1.weight").unwrap().values[2] = -65_519.0;
    in_half(&large).unwrap().write(&path).unwrap();
    assert_eq!(ModelFile::read(&path).unwrap().weights.tensors["decoder.deconv1.weight"].values[2], -65_504.0);
}

#[test]
fn half_precision_scores_real_images_within_a_hundredth() {
    let sandbox = Sandbox::new();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let train = ["train", "--stage=student", "--set=student.alone.steps=300", "--out=run", "--quiet", "--data-dir"];
    sandbox.pkdgan(&train).arg(&data).assert().success();
    sandbox.pkdgan(&["export", "run", "--format=safetensors-f16"]).assert().success();
    let eval = ["eval", "run", "--model=model.f16.safetensors", "--scores=half.csv", "--quiet"];
    sandbox.pkdgan(&eval).assert().success();
    let [whole, half] = ["run/scores.csv", "half.csv"].map(|name| read_scores(&sandbox.path(name)).unwrap());
    assert_eq!((whole.len(), half.len()), (10_000, 10_000));
    for (whole, half) in whole.iter().zip(half) {
        assert!((whole.score - half.score).abs() <= 1e-2 * whole.score, "{whole:?} {half:?}");
    }
}

#[test]
fn the_command_writes_beside_the_model_and_never_over_a_file_unasked() {
    let sandbox = Sandbox::new();
    sandbox.train("run", &["--steps=2"]).assert().success();
    let output = sandbox.pkdgan(&["export", "run", "--format=onnx"]).output().unwrap();
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    for part in ["image", "uint8", "[N, 1, 28, 28]", "score", "reconstruction", "written: run/model.onnx"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let written = sandbox.read("run/model.onnx");
    let refused = |arguments: &[&str], parts: &[&str]| {
        let output = sandbox.pkdgan(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(parts.iter().all(|part| stderr(&output).contains(part)), "{arguments:?}: {}", stderr(&output));
    };
    sandbox.write("run/model.onnx", b"mine");
    refused(&["export", "run", "--format=onnx"], &["run/model.onnx", "--force"]);
    assert_eq!(sandbox.read("run/model.onnx"), b"mine");
    sandbox.pkdgan(&["export", "run/model.safetensors", "--format=onnx", "--force"]).assert().success();
    assert_eq!(sandbox.read("run/model.onnx"), written);

    let out = ["export", "run", "--format=safetensors-f16", "--json", "--out=small.safetensors"];
    let output = sandbox.pkdgan(&out).output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["file"], "small.safetensors");
    assert_eq!(said["bytes"], sandbox.read("small.safetensors").len());

    let model = sandbox.read("run/model.safetensors");
    let over = ["export", "run", "--format=safetensors-f16", "--force", "--out=run/model.safetensors"];
    refused(&over, &["it is one of the inputs"]);
    assert_eq!(sandbox.read("run/model.safetensors"), model);
    refused(&["export", "nowhere.safetensors", "--format=onnx"], &["nowhere.safetensors"]);
    refused(&["export", "data", "--format=onnx"], &["model.safetensors"]);
    refused(&["export", "data/mnist/t10k-labels-idx1-ubyte", "--format=onnx"], &["t10k-labels-idx1-ubyte"]);
    refused(&["export", "run", "--format=onnx", "--out=no/such/m.onnx"], &["no/such/m.onnx"]);
    assert_eq!(sandbox.pkdgan(&["export", "run", "--format=cake"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn a_model_without_scores_is_not_exported() {
    let sandbox = Sandbox::new();
    sandbox.trained("run", &["--stage=student"]);
    let mut model = ModelFile::read(&sandbox.path("run/model.safetensors")).unwrap();
    // Every tensor is finite, but what becomes of an image is not.
    for (part, value) in [("running_mean", 3e38), ("weight", 6e4)] {
        let name = format!("encoder1.conv2.norm.{part}");
        model.weights.tensors.get_mut(&name).unwrap().values.fill(value);
    }
    model.write(&sandbox.path("infinite.safetensors")).unwrap();
    for format in ["safetensors-f16", "onnx"] {
        let arguments = ["export", "infinite.safetensors", "--format", format, "--out=out"];
        let output = sandbox.pkdgan(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{format}: {}", stderr(&output));
        assert!(stderr(&output).contains("infinite.safetensors: its scores are "), "{}", stderr(&output));
        assert!(!sandbox.path("out").exists());
    }
}

#[cfg(unix)]
#[test]
fn models_pages_and_scores_go_where_they_are_told_to() {
    use std::os::unix::fs::symlink;
    let sandbox = Sandbox::new();
    sandbox.trained("run", &["--stage=student"]);
    let ran = |arguments: &[&str], code: i32| {
        let output = sandbox.pkdgan(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        output
    };
    for format in ["--format=onnx", "--format=safetensors-f16"] {
        ran(&["export", "run", format, "-o", "file", "--force"], 0);
        let whole = sandbox.read("file");
        assert!(ran(&["export", "run", format, "-o", "-"], 0).stdout == whole, "{format}");
        sandbox.write("target", b"old");
        symlink("target", sandbox.path("link")).unwrap();
        ran(&["export", "run", format, "-o", "link"], 1);
        ran(&["export", "run", format, "-o", "link", "--force"], 0);
        assert!(sandbox.path("link").is_symlink() && sandbox.read("target") == whole, "{format}");
        std::fs::remove_file(sandbox.path("link")).unwrap();
        ran(&["export", "run", format, "-o", "/dev/null"], 0);
    }
    let page = ran(&["report", "run", "-q", "-o", "-"], 0).stdout;
    assert!(page.starts_with(b"<!DOCTYPE html>") || page.starts_with(b"<!doctype html>"));
    let scores = ran(&["eval", "run", "--scores", "-", "-q"], 0);
    assert!(scores.stdout.starts_with(b"index,label,score,p_value\n") && stderr(&scores).contains("AUROC"));
    assert_eq!(scores.stdout, sandbox.read("run/scores.csv"));
    for (command, input) in [
        (&["report", "run", "-o", "run/report.json"][..], "run/report.json"),
        (&["eval", "run", "--scores", "run/model.safetensors"], "run/model.safetensors"),
    ] {
        let before = sandbox.read(input);
        let output = ran(command, 1);
        assert!(stderr(&output).contains("it is one of the inputs"), "{}", stderr(&output));
        assert!(sandbox.read(input) == before);
    }
}
