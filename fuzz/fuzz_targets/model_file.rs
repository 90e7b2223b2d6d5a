//! Model files and checkpoints: safetensors with our metadata. What is read without complaint scores a picture.
//!
//! The length of the header stands first in the file, where mutations seldom find it again, so it is set here: the
//! input is the header, a zero byte, then the tensors' bytes. An input that begins with a zero byte is the file itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pkdgan::engine::Cpu;
use pkdgan::model::ModelFile;
use pkdgan::unstable::train::{Checkpoint, Model, Scorer};

/// Multiply-accumulates that are scored with; more only takes time.
const MOST_MACS: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let whole = match bytes.split_first() {
        Some((0, file)) => file.to_vec(),
        _ => {
            let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
            let (header, tensors) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
            [&(header.len() as u64).to_le_bytes()[..], header, tensors].concat()
        }
    };
    let (folder, path) = pkdgan_fuzz::file("model.safetensors", &whole);
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
