//! Networks and images that every peer starts from.

use std::fs;
use std::path::Path;

use pkdgan::config::{Config, Recipe, Schedule};
use pkdgan::data::Dataset;
use pkdgan::engine::{Cpu, Executor, Variables};
use pkdgan::model::ModelFile;
use pkdgan::unstable::model::EdeGan;
use pkdgan::unstable::train::{Networks, Stage, take_model};
use pkdgan::unstable::weights::Weights;

/// Training images.
pub(crate) const IMAGES: usize = 512;
/// One step after the other, long enough to time.
const STEPS: usize = 1 << 14;

/// The default recipe for MNIST in batches of `batch`, at a constant learning rate.
pub(crate) fn config(batch: usize) -> Config {
    let mut config = Recipe::Default.config(Dataset::Mnist);
    config.training.schedule = Schedule::Constant;
    (config.training.batch_size, config.training.steps) = (batch, STEPS);
    (config.student.alone.batch_size, config.student.alone.steps) = (batch, STEPS);
    (config.distillation.step1.batch_size, config.distillation.step1.steps) = (batch, STEPS);
    config
}

/// What a byte of an image stands for.
pub(crate) fn level(byte: u8) -> f32 {
    f32::from(byte) / 127.5 - 1.0
}

/// The bytes of image after image, over and over.
pub(crate) fn bytes(images: usize) -> Vec<u8> {
    (0..images * 1024).map(|i| (127.5 + 127.5 * ((i % (IMAGES * 1024)) as f32 * 0.37).sin()) as u8).collect()
}

/// What they stand for, `[IMAGES, 1, 32, 32]`.
pub(crate) fn pixels() -> Vec<f32> {
    bytes(IMAGES).into_iter().map(level).collect()
}

/// The network that a stage begins with.
pub(crate) fn model(stage: Stage) -> ModelFile {
    let config = config(1);
    let mut variables = Variables::new();
    let networks = Networks::register(&config, stage, &mut variables);
    let mut executor = Cpu::new();
    executor.allocate(&variables).expect("variables");
    networks.initialise(&config, &mut executor, &variables).expect("weights");
    let statistics = if networks.student.is_some() { config.student.statistics } else { config.scoring.statistics };
    take_model(&mut executor, &variables, learner(&networks), statistics, &config).expect("a model")
}

/// The network that is trained: the student, where there is one.
pub(crate) fn learner(networks: &Networks) -> &EdeGan {
    networks.student.as_ref().or(networks.teacher.as_ref()).expect("a network")
}

/// Writes what others need to do the same work: `teacher.safetensors`, `student.safetensors`, `images.safetensors` and
/// `config.json`.
pub(crate) fn write(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    for (stage, name) in [(Stage::Teacher, "teacher"), (Stage::Alone, "student")] {
        model(stage).write(&folder.join(name).with_extension("safetensors")).expect("a model file");
    }
    let mut images = Weights::default();
    images.insert("images", &[IMAGES, 1, 32, 32], pixels());
    images.write(&folder.join("images.safetensors")).expect("images");
    let config = serde_json::to_string_pretty(&config(1)).expect("settings");
    fs::write(folder.join("config.json"), config).expect("settings");
}
