//! Checkpoints: when they are written; and those that are torn or have flipped bits, each of which is found out, so
//! that the one before it takes its place.

mod command;

use std::fs;
use std::io::{Seek, Write};
use std::time::Duration;

use command::{Sandbox, stderr};
use pkdgan::unstable::train::{Checkpoint, CheckpointEvery};
use pkdgan::unstable::weights::Weights;

/// Networks of one channel, so that the file is small.
const SMALL_NETWORKS: [&str; 5] = [
    "--set=network.generator=[1,1,1]",
    "--set=network.discriminator=[1,1,1]",
    "--set=network.latents=1",
    "--steps=3",
    "--device=cpu",
];

#[test]
fn every_flipped_byte_and_every_truncation_is_found_out() {
    let sandbox = Sandbox::new();
    sandbox.train("run", &SMALL_NETWORKS).assert().success();
    let bytes = sandbox.read("run/checkpoint.safetensors");
    let path = sandbox.path("checkpoint.safetensors");
    // Written in place: a file that is cut to nothing and written again waits for the disk each time.
    let mut file = fs::File::create(&path).unwrap();
    let mut read = |bytes: &[u8]| {
        file.rewind().unwrap();
        file.write_all(bytes).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        Checkpoint::read(&path)
    };
    let sound = read(&bytes).unwrap();
    let mut harmless = Vec::new();
    for place in 0..bytes.len() {
        for flip in [1 << (place % 8), 0xff] {
            let mut flipped = bytes.clone();
            flipped[place] ^= flip;
            match read(&flipped) {
                // What is not part of the state: the key of the checksum, and blanks that became other blanks.
                Ok(state) => {
                    assert!(state == sound, "byte {place} ^ {flip:#x} went unnoticed");
                    harmless.push(place);
                }
                Err(error) => assert!(error.to_string().contains("checkpoint.safetensors"), "{error}"),
            }
        }
    }
    println!("{} bytes, {} flips, harmless at {harmless:?}", bytes.len(), 2 * bytes.len());
    assert!(bytes.len() > 5_000 && harmless.len() < 40, "{harmless:?}");
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
    }
}

/// A run stopped in the middle of its teacher, and one that was not.
fn stopped_and_whole(sandbox: &Sandbox) {
    sandbox.train("whole", &["--steps=40", "--checkpoint-every=15"]).assert().success();
    sandbox.train("run", &["--steps=40", "--checkpoint-every=15"]).assert().success();
    // As it was after its last checkpoint, but for the network that came after it.
    for file in ["model.safetensors", "report.json", "scores.csv"] {
        fs::remove_file(sandbox.path(&format!("run/{file}"))).unwrap();
    }
}

fn assert_goes_on(sandbox: &Sandbox, said: &[&str]) {
    let output = sandbox.pkdgan(&["train", "--resume", "run"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    for part in said {
        assert!(stderr(&output).contains(part), "no {part:?} in {}", stderr(&output));
    }
    for file in ["model.safetensors", "scores.csv"] {
        let [whole, run] = ["whole", "run"].map(|run| sandbox.read(&format!("{run}/{file}")));
        assert!(whole == run, "{file} differs");
    }
}

#[test]
fn the_checkpoint_before_takes_the_place_of_a_damaged_one() {
    let sandbox = Sandbox::new();
    let (last, before) = ("run/checkpoint.safetensors", "run/checkpoint.previous.safetensors");
    stopped_and_whole(&sandbox);
    let step = |file: &str| Weights::read(&sandbox.path(file)).unwrap().tensors["clock/clock"].values[0];
    assert_eq!([step(before), step(last)], [30.0, 40.0], "checkpoints by steps fall on those steps");

    // Torn.
    let bytes = sandbox.read(last);
    sandbox.write(last, &bytes[..bytes.len() / 2]);
    assert_goes_on(&sandbox, &["checkpoint.safetensors: byte", "the checkpoint before it", "checkpoint.previous"]);
    assert_eq!([step(before), step(last)], [30.0, 40.0]);

    // A flipped bit in a tensor.
    stopped_again(&sandbox);
    let mut flipped = bytes.clone();
    flipped[bytes.len() - 9] ^= 4;
    sandbox.write(last, &flipped);
    assert_goes_on(&sandbox, &["checksum", "the checkpoint before it"]);

    // Not a number, with a checksum that is right.
    stopped_again(&sandbox);
    let mut weights = Weights::read(&sandbox.path(last)).unwrap();
    let name = "teacher.generator.adam_v/decoder.deconv2.weight";
    weights.tensors.get_mut(name).unwrap().values[3] = f32::NAN;
    weights.write(&sandbox.path(last)).unwrap();
    assert_goes_on(&sandbox, &[name, "NaN", "the checkpoint before it"]);

    // Killed between the renames: nothing is damaged, so there is nothing to say.
    stopped_again(&sandbox);
    fs::remove_file(sandbox.path(last)).unwrap();
    assert_goes_on(&sandbox, &[]);
    assert_eq!(step(last), 40.0);

    // Both: the stage begins anew, to the same bytes.
    stopped_again(&sandbox);
    sandbox.write(last, &flipped);
    sandbox.write(before, b"no checkpoint");
    assert_goes_on(&sandbox, &["checkpoint.safetensors: metadata", "checkpoint.previous", "anew"]);
}

fn stopped_again(sandbox: &Sandbox) {
    for file in ["model.safetensors", "report.json", "scores.csv"] {
        fs::remove_file(sandbox.path(&format!("run/{file}"))).unwrap();
    }
}

#[test]
fn a_damaged_network_of_a_finished_stage_is_named_with_the_remedy() {
    let sandbox = Sandbox::new();
    // Both steps train the teacher too: the second writes no file over that it may have to start from again.
    let joint = ["--stage=all", "--set=distillation.step1.structure=4", "--set=distillation.step2.structure=4"];
    sandbox.train("whole", &joint).assert().success();
    sandbox.train("run", &joint).assert().success();
    let files = ["teacher", "teacher-step1", "student-step1", "teacher-joint", "model"]
        .map(|name| format!("{name}.safetensors"));
    let same = |when: &str| {
        for file in files.iter().map(String::as_str).chain(["scores.csv"]) {
            let [whole, run] = ["whole", "run"].map(|run| sandbox.read(&format!("{run}/{file}")));
            assert!(whole == run, "{when}: {file} differs");
        }
    };
    same("never stopped");
    for (file, stage) in files.iter().zip(["teacher", "step1", "step1", "step2", "step2"]) {
        let bytes = sandbox.read(&format!("run/{file}"));
        sandbox.write(&format!("run/{file}"), &bytes[..bytes.len() - 100]);
        let output = sandbox.pkdgan(&["train", "--resume", "run"]).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains(&format!("run/{file}: byte")) && said.contains(&format!("stage {stage} left: remove it")),
            "{said}"
        );
        // The remedy.
        fs::remove_file(sandbox.path(&format!("run/{file}"))).unwrap();
        sandbox.pkdgan(&["train", "--resume", "run"]).assert().success();
        same(file);
    }
    // The second step from its beginning, after both of its files were there.
    for file in ["checkpoint.safetensors", "checkpoint.previous.safetensors", "model.safetensors"] {
        fs::remove_file(sandbox.path(&format!("run/{file}"))).unwrap();
    }
    sandbox.pkdgan(&["train", "--resume", "run"]).assert().success();
    same("without checkpoints");
}

#[test]
fn intervals_are_times_steps_or_both() {
    let of = |text: &str| text.parse::<CheckpointEvery>();
    let time = |seconds: f64| Some(Duration::from_secs_f64(seconds));
    for (text, expected, steps) in [
        ("30s", time(30.0), None),
        ("0.5 s", time(0.5), None),
        ("5m", time(300.0), None),
        ("2min", time(120.0), None),
        ("1h", time(3600.0), None),
        ("500", None, Some(500)),
        ("1 step", None, Some(1)),
        ("500 steps", None, Some(500)),
        ("5m,500", time(300.0), Some(500)),
        ("500, 5m", time(300.0), Some(500)),
    ] {
        let every = of(text).unwrap();
        assert_eq!((every.time, every.steps.map(|steps| steps.get())), (expected, steps), "{text}");
    }
    for text in ["", "0", "0s", "-5s", "1.5", "5d", "s", "nan s", "inf h", "5m,6m", "5,6", "5m,", "1e3", "500 stops"] {
        let said = of(text).unwrap_err().to_string();
        assert!(said.contains(&format!("`{text}`")) && said.contains("30s"), "{said}");
    }
    let sandbox = Sandbox::new();
    let output = sandbox.train("run", &["--checkpoint-every=soon"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--checkpoint-every") && stderr(&output).contains("`soon`"),
        "{}",
        stderr(&output)
    );
    assert!(!sandbox.path("run").exists());
}
