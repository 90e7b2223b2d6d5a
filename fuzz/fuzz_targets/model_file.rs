//! Model files and checkpoints: safetensors with our metadata. What is read without complaint scores a picture.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pkdgan::engine::Cpu;
use pkdgan::model::ModelFile;
use pkdgan::unstable::train::{Checkpoint, Model, Scorer};

/// Multiply-accumulates that are scored with; more only takes time.
const MOST_MACS: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let (folder, path) = pkdgan_fuzz::file("model.safetensors", &pkdgan_fuzz::safetensors(bytes));
    let _ = Checkpoint::read(&path);
    let Ok(model) = ModelFile::read(&path) else { return };
    let copy = folder.path().join("copy.safetensors");
    model.write(&copy).expect("what was read can be written");
    ModelFile::read(&copy).expect("what was written can be read");

    let macs = model.architecture.generator_macs();
    let mut executor = Cpu::new();
    let statistics = model.statistics;
    let pixels =
        vec![0.0; if macs > MOST_MACS { 0 } else { model.architecture.channels * model.architecture.side.pow(2) }];
    let Ok(placed) = Model::place(model, &mut executor) else { return };
    if macs <= MOST_MACS {
        let scorer = Scorer::new(&mut executor, &placed.variables, &placed.gan, statistics, 1);
        let Ok(scorer) = scorer else { return };
        let _ = scorer.score_pixels(&mut executor, &pixels).and_then(|pending| Ok(pending.wait()?));
    }
});
