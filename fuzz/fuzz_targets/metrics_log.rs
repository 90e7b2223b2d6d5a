//! `metrics.jsonl` as a killed process or a broken disk may leave it, cut back to a checkpoint: only whole lines of the
//! log stay, in their order, and the log takes more lines.
//!
//! The first byte is the checkpoint's step, of stage `teacher`.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use pkdgan::unstable::run::{MetricsLog, read_metrics};
use serde_json::{Value, json};

fuzz_target!(|bytes: &[u8]| {
    let Some((&step, log)) = bytes.split_first() else { return };
    let step = u64::from(step);
    let (_folder, path) = pkdgan_fuzz::file("metrics.jsonl", log);
    let _ = read_metrics(&path);
    let _ = MetricsLog::seconds(&path, "teacher");
    let read = || fs::read(&path).expect("the log");

    let Ok(mut resumed) = MetricsLog::resume(&path, "teacher", step) else {
        assert_eq!(read(), log, "a log that is refused stays");
        return;
    };
    let left = read();
    let mut before = log.split_inclusive(|&byte| byte == b'\n');
    for line in left.split_inclusive(|&byte| byte == b'\n') {
        assert!(line.ends_with(b"\n") && before.any(|other| other == line), "a line of the log, in its place");
        // A name may be there twice in a line that is no line of ours; then the last one counts here.
        if let Ok(Value::Object(entry)) = serde_json::from_slice(line) {
            assert!(entry["stage"] != "teacher" || entry["step"].as_u64().is_some_and(|of| of <= step));
        }
    }

    let next = json!({ "stage": "teacher", "step": step + 1, "loss": 0.5 });
    resumed.append(&next).and_then(|()| resumed.sync()).expect("room for a line");
    assert_eq!(read(), [&left[..], next.to_string().as_bytes(), b"\n"].concat());
    drop(resumed);
    MetricsLog::resume(&path, "teacher", step).expect("what was resumed can be resumed again");
    assert_eq!(read(), left);
});
