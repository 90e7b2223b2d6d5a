//! Event files: framing and checksums, and what they say of a run. That TensorBoard reads them, `tests/tensorboard/`
//! checks.

mod command;

use std::fs;
use std::path::{Path, PathBuf};

use command::Sandbox;
use pkdgan::unstable::run::EventFile;
use prost::Message;
use tempfile::TempDir;

/// The fields of `event.proto` that are written, under names of its.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    simple_value: f32,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// CRC-32C bit by bit (polynomial 0x1EDC6F41 reflected), masked as TensorFlow does.
fn checksum(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    });
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The events of a file; every byte belongs to a record whose checksums are right.
fn read(path: &Path) -> Vec<Event> {
    let bytes = fs::read(path).unwrap();
    let mut rest = &bytes[..];
    let mut events = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        assert_eq!(rest[8..12], checksum(&rest[..8]).to_le_bytes());
        let message = &rest[12..12 + length];
        assert_eq!(rest[12 + length..16 + length], checksum(message).to_le_bytes());
        events.push(Event::decode(message).unwrap());
        rest = &rest[16 + length..];
    }
    events
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn the_checksum_is_the_published_one() {
    // RFC 3720, B.4: 32 bytes of zero have the CRC 0x8a9136aa.
    assert_eq!(checksum(&[0; 32]), 0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8));
}

#[test]
fn records_are_framed_and_checked() {
    let folder = TempDir::new().unwrap();
    let mut events = EventFile::create(folder.path(), 0).unwrap();
    events.scalars(50, [("loss/a", 0.5), ("loss/b", 0.0)]).unwrap();
    events.scalars(100, [("loss/a", f32::NAN)]).unwrap();
    let name = events.path().file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("events.out.tfevents."), "{name}");
    // Every event file of TensorFlow begins with these: a record of 24 bytes, the checksum of that, a double.
    assert_eq!(fs::read(events.path()).unwrap()[..13], [24, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22, 9]);

    let read = read(events.path());
    assert_eq!(read.len(), 4);
    assert_eq!(read[0].file_version.as_deref(), Some("brain.Event:2"));
    assert_eq!((read[1].step, read[1].session_log.clone()), (1, Some(SessionLog { status: 1 })));
    let value = |tag: &str, simple_value| Value { tag: tag.into(), simple_value };
    assert_eq!(read[2].step, 50);
    assert_eq!(read[2].summary.as_ref().unwrap().value, [value("loss/a", 0.5), value("loss/b", 0.0)]);
    assert!(read[3].summary.as_ref().unwrap().value[0].simple_value.is_nan());
    assert!(read.iter().all(|event| event.wall_time > 1.7e9));
    assert!(read.windows(2).all(|pair| pair[0].wall_time <= pair[1].wall_time));
}

#[test]
fn a_resumed_stage_goes_on_in_a_later_file_and_a_new_one_begins_anew() {
    let folder = TempDir::new().unwrap();
    let first = EventFile::create(folder.path(), 0).unwrap().path().to_owned();
    fs::write(folder.path().join("events.out.tfevents.1.theirs"), "").unwrap();
    let second = EventFile::create(folder.path(), 70).unwrap().path().to_owned();
    assert!(first.exists() && first < second);
    // TensorBoard forgets what was said of this step and later ones.
    assert_eq!(read(&second)[1].step, 71);
    let third = EventFile::create(folder.path(), 0).unwrap().path().to_owned();
    assert_eq!(files(folder.path()), [folder.path().join("events.out.tfevents.1.theirs"), third]);
}

#[test]
fn a_run_writes_its_log_for_tensorboard() {
    let sandbox = Sandbox::new();
    sandbox.train("run", &["--stage=all", "--steps=120", "--evaluate-every=60", "--tensorboard"]).assert().success();
    let log = String::from_utf8(sandbox.read("run/metrics.jsonl")).unwrap();
    let mut compared = 0;
    for stage in ["teacher", "step1", "step2"] {
        let [file] = &files(&sandbox.path(&format!("run/tensorboard/{stage}")))[..] else { panic!("one file a stage") };
        let events = read(file);
        let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        for line in lines.filter(|line| line["stage"] == stage) {
            for (name, figure) in line.as_object().unwrap() {
                let tag = match name.as_str() {
                    "stage" | "step" | "seconds" => continue,
                    "auroc" => "evaluation/auroc".to_owned(),
                    name => format!("loss/{name}"),
                };
                let of_step = events.iter().filter(|event| line["step"] == event.step);
                let values = of_step.filter_map(|event| event.summary.as_ref()).flat_map(|summary| &summary.value);
                let found: Vec<f32> = values.filter(|value| value.tag == tag).map(|value| value.simple_value).collect();
                assert_eq!(found, [figure.as_f64().unwrap() as f32], "{stage} {name}");
                compared += 1;
            }
        }
    }
    // Four losses at steps 50, 100 and 120 of the teacher and two evaluations; three distances, then eleven losses,
    // once each.
    assert_eq!(compared, 3 * 4 + 2 + 3 + 11);

    // In a folder for many runs, under the name of this one.
    sandbox.train("other", &["--tensorboard", "logs"]).assert().success();
    assert_eq!(files(&sandbox.path("logs/other/teacher")).len(), 1);
}
