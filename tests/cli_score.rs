//! `pkdgan score`: pictures in, rows out.

mod command;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Output, Stdio};

use assert_cmd::Command;
use command::{Sandbox, TEST, images, stderr};
use image::{GrayImage, RgbImage};
use pkdgan::model::ModelFile;
use pkdgan::unstable::calibration::Calibration;
use pkdgan::unstable::run::read_scores;

const IDX: &str = "data/mnist/t10k-images-idx3-ubyte";

/// A row of results.
#[derive(Debug, PartialEq, serde::Deserialize)]
struct Row {
    path: String,
    score: f32,
    p_value: Option<f64>,
    verdict: Option<String>,
}

/// A sandbox with a trained student in `run`, not calibrated, and the test images as `pictures/00.png` and so on.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.trained("run", &["--stage", "student"]);
    let mut model = ModelFile::read(&sandbox.path("run/model.safetensors")).unwrap();
    model.calibration = None;
    model.write(&sandbox.path("run/model.safetensors")).unwrap();
    fs::create_dir(sandbox.path("pictures")).unwrap();
    for index in 0..TEST {
        picture(index).save(sandbox.path(&format!("pictures/{index:02}.png"))).unwrap();
    }
    sandbox
}

fn picture(index: usize) -> GrayImage {
    let idx = images(TEST);
    GrayImage::from_raw(28, 28, idx[16 + 784 * index..][..784].to_vec()).unwrap()
}

/// Puts calibration scores into the model.
fn calibrate(sandbox: &Sandbox, scores: Vec<f32>) {
    let mut model = ModelFile::read(&sandbox.path("run/model.safetensors")).unwrap();
    model.calibration = Some(Calibration::new(scores).unwrap());
    model.write(&sandbox.path("calibrated.safetensors")).unwrap();
}

fn score(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.pkdgan(&["score"]);
    command.args(arguments);
    command
}

/// The command's output, which must end with this code.
fn ended(mut command: Command, code: i32) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    output
}

fn rows(csv: &[u8]) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(csv);
    assert_eq!(reader.headers().unwrap(), &["path", "score", "p_value", "verdict"][..]);
    reader.deserialize().map(Result::unwrap).collect()
}

fn scores(rows: &[Row]) -> Vec<f32> {
    rows.iter().map(|row| row.score).collect()
}

/// The software driver named twice stands for two GPUs.
#[test]
fn adapters_share_out_pictures() {
    let sandbox = sandbox();
    let from =
        |more: &[&str]| ended(score(&sandbox, &[&["run", "pictures", IDX, "--path=fused-f32"], more].concat()), 0);
    let one = from(&["--adapter=0"]);
    let two = from(&["--adapter=0", "--adapter=0"]);
    assert!(one.stdout == two.stdout);
    assert!(stderr(&two).contains("path fused-f32 on 2 adapters"), "{}", stderr(&two));
    assert!(!stderr(&one).contains("adapters"), "{}", stderr(&one));
    let output =
        ended(score(&sandbox, &["run", "pictures", "--path=fused-f32", "--adapter=0", "--adapter=nowhere"]), 1);
    assert!(stderr(&output).contains("nowhere"), "{}", stderr(&output));
}

#[test]
fn parts_of_the_pictures_are_the_whole_dealt_out() {
    let sandbox = sandbox();
    // A picture that fails and a file that is left out belong to one part each.
    sandbox.write("pictures/10-broken.png", b"no picture");
    sandbox.write("pictures/11.json", b"{}");
    let paths = ["run", "pictures", IDX, "--format=jsonl"];
    let lines = |more: &[&str], code| -> Vec<String> {
        let output = ended(score(&sandbox, &[&paths[..], more].concat()), code);
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    };
    let whole = lines(&[], 1);
    assert_eq!(whole.len(), 2 * TEST + 1);
    let parts: Vec<Vec<String>> = (1..=3)
        .map(|part| {
            let fails = part == whole.iter().position(|line| line.contains("broken")).unwrap() % 3 + 1;
            lines(&[&format!("--shard={part}/3")], i32::from(fails))
        })
        .collect();
    assert!(parts.iter().all(|part| part.len().abs_diff(whole.len() / 3) <= 1), "{parts:?}");
    let mut together = parts.concat();
    together.sort_by_key(|line| whole.iter().position(|one| one == line));
    assert_eq!(together, whole);
    for shard in ["0/3", "4/3", "1"] {
        let output = ended(score(&sandbox, &["run", "pictures", "--shard", shard]), 2);
        assert!(stderr(&output).contains("write 1/4 for the first of four"), "{}", stderr(&output));
    }
}

#[cfg(unix)]
#[test]
fn the_array_job_scores_every_picture_once() {
    let sandbox = sandbox();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/slurm/array.sbatch");
    let task = |task: usize| {
        let mut command = Command::new("bash");
        command.arg(&script).args(["run", "pictures", "results"]).current_dir(sandbox.path(""));
        command.env("PKDGAN", env!("CARGO_BIN_EXE_pkdgan")).env("SLURM_CPUS_PER_TASK", "1");
        command.env("SLURM_ARRAY_TASK_ID", task.to_string()).env("SLURM_ARRAY_TASK_COUNT", "4");
        command
    };
    for number in 1..=4 {
        ended(task(number), 0);
    }
    assert_eq!(sandbox.list("results"), ["1.csv", "2.csv", "3.csv", "4.csv"]);
    // What is there stays, what is not is made.
    let before = sandbox.read("results/2.csv");
    sandbox.write("results/1.csv", b"kept");
    fs::remove_file(sandbox.path("results/2.csv")).unwrap();
    ended(task(1), 0);
    ended(task(2), 0);
    assert_eq!(sandbox.read("results/1.csv"), b"kept");
    assert!(sandbox.read("results/2.csv") == before);
    fs::remove_file(sandbox.path("results/1.csv")).unwrap();
    ended(task(1), 0);
    let mut found: Vec<Row> = (1..=4).flat_map(|task| rows(&sandbox.read(&format!("results/{task}.csv")))).collect();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert_eq!(found, rows(&ended(score(&sandbox, &["run", "pictures", "--path=cpu"]), 0).stdout));
}

#[test]
fn rows_come_in_order_and_agree_with_evaluation() {
    let sandbox = sandbox();
    let from = |arguments: &[&str]| rows(&ended(score(&sandbox, arguments), 0).stdout);
    let pictures = from(&["run", "pictures"]);
    let names: Vec<String> = (0..TEST).map(|index| format!("pictures/{index:02}.png")).collect();
    assert_eq!(pictures.iter().map(|row| row.path.clone()).collect::<Vec<_>>(), names);
    assert!(pictures.iter().all(|row| row.p_value.is_none() && row.verdict.is_none()));

    // The same images in an IDX file, plain and packed, in a list, and one by one: the same scores.
    let idx = from(&["run/model.safetensors", IDX]);
    assert_eq!(idx[3].path, format!("{IDX}#3"));
    assert_eq!(scores(&idx), scores(&pictures));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&images(TEST)).unwrap();
    sandbox.write("packed.gz", &packed.finish().unwrap());
    assert_eq!(scores(&from(&["run", "packed.gz"])), scores(&pictures));
    for (separator, flags) in [("\n", &["run", "-"][..]), ("\0", &["run", "-", "-0"])] {
        let output = ended(
            {
                let mut command = score(&sandbox, flags);
                command.write_stdin(names.join(separator));
                command
            },
            0,
        );
        assert_eq!(rows(&output.stdout), pictures);
    }
    for threads in ["1", "7"] {
        assert_eq!(from(&["run", "pictures", "--threads", threads]), pictures);
    }
    assert_eq!(from(&["run", "pictures/07.png"]), pictures[7..8]);

    let evaluated = read_scores(&sandbox.path("run/scores.csv")).unwrap();
    for path in ["cpu", "op-by-op", "fused-f32"] {
        let scored = from(&["run", "pictures", "--path", path]);
        assert_eq!(scored.len(), TEST);
        for (row, expected) in scored.iter().zip(&evaluated) {
            let error = (row.score - expected.score).abs() / expected.score;
            assert!(error <= 1e-4, "{path}, {}: {} and {}", row.path, row.score, expected.score);
        }
    }
}

#[test]
fn json_lines_say_the_same() {
    let sandbox = sandbox();
    calibrate(&sandbox, (1..200).map(|n| n as f32 / 100.0).collect());
    sandbox.write("pictures/99.png", b"");
    let csv = rows(&ended(score(&sandbox, &["calibrated.safetensors", "pictures"]), 1).stdout);
    let json = ended(score(&sandbox, &["calibrated.safetensors", "pictures", "--format", "jsonl"]), 1);
    let lines = String::from_utf8(json.stdout).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), TEST + 1);
    for (line, row) in lines.iter().zip(&csv) {
        assert_eq!(&serde_json::from_str::<Row>(line).unwrap(), row);
    }
    let failed: serde_json::Value = serde_json::from_str(lines[TEST]).unwrap();
    assert_eq!(failed["path"], "pictures/99.png");
    assert!(failed["error"].as_str().unwrap().contains("empty file") && failed.get("score").is_none(), "{failed}");
}

#[test]
fn verdicts_go_by_p_value_or_threshold() {
    let sandbox = sandbox();
    let known = scores(&rows(&ended(score(&sandbox, &["run", "pictures"]), 0).stdout));
    let mut sorted = known.clone();
    sorted.sort_by(f32::total_cmp);
    // A hundred times the median, and every score once: p-values on both sides of any rate.
    calibrate(&sandbox, [vec![sorted[TEST / 2]; 100], known.clone()].concat());
    let calibration = ModelFile::read(&sandbox.path("calibrated.safetensors")).unwrap().calibration.unwrap();
    let judged = |more: &[&str], code| {
        let arguments = [&["calibrated.safetensors", "pictures"], more].concat();
        rows(&ended(score(&sandbox, &arguments), code).stdout)
    };
    for (flags, alpha) in [(&[][..], 0.01), (&["--alpha", "0.1"], 0.1), (&["--alpha", "0.9"], 0.9)] {
        let judged = judged(flags, 0);
        for (row, &score) in judged.iter().zip(&known) {
            let p_value = calibration.p_value(score).unwrap();
            assert_eq!(row.p_value, Some(p_value));
            assert_eq!(row.verdict.as_deref(), Some(if p_value <= alpha { "anomalous" } else { "normal" }));
        }
        let found = judged.iter().filter(|row| row.verdict.as_deref() == Some("anomalous")).count();
        assert!(alpha < 0.05 || (0 < found && found < TEST), "{alpha}: {found}");
    }
    let threshold = format!("--threshold={}", sorted[TEST - 4]);
    let by_threshold = judged(&[&threshold], 0);
    for (row, &score) in by_threshold.iter().zip(&known) {
        assert_eq!(row.verdict.as_deref() == Some("anomalous"), score > sorted[TEST - 4]);
        assert_eq!(row.p_value, Some(calibration.p_value(score).unwrap()));
    }
    judged(&[&threshold, "--fail-on-anomaly"], 3);
    judged(&["--threshold", "1e9", "--fail-on-anomaly"], 0);

    // What is anomalous weighs more than what failed.
    sandbox.write("pictures/99.png", b"no picture");
    assert_eq!(judged(&[&threshold, "--fail-on-anomaly"], 3), by_threshold);
    judged(&["--threshold", "1e9", "--fail-on-anomaly"], 1);
}

#[test]
fn the_default_rate_is_the_least_that_can_be_promised_and_advice_can_be_typed_back() {
    let sandbox = sandbox();
    for count in [1, 2, 8, 20, 59, 98, 99] {
        // All far below what is scored.
        calibrate(&sandbox, (0..count).map(|n| n as f32 * 1e-6).collect());
        let output = ended(score(&sandbox, &["calibrated.safetensors", "pictures"]), 0);
        let said = stderr(&output);
        assert!(rows(&output.stdout).iter().all(|row| row.verdict.as_deref() == Some("anomalous")), "{count}: {said}");
        let typed = said.split("--alpha ").nth(1).map(|rest| rest.split_whitespace().next().unwrap().to_owned());
        assert_eq!(typed.is_some(), count < 99, "{said}");
        let refused = ended(score(&sandbox, &["calibrated.safetensors", "pictures", "--alpha", "1e-5"]), 2);
        let advised = stderr(&refused).split("choose ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        for alpha in typed.iter().chain([&advised]) {
            let again = ended(score(&sandbox, &["calibrated.safetensors", "pictures", "--alpha", alpha]), 0);
            assert!(again.stdout == output.stdout, "{count}: {alpha}");
            let least = 1.0 / (f64::from(count) + 1.0);
            let alpha: f64 = alpha.parse().unwrap();
            assert!(least <= alpha && alpha < 1.011 * least, "{alpha} for {least}");
        }
    }
}

#[test]
fn wrong_usage_is_told_apart() {
    let sandbox = sandbox();
    calibrate(&sandbox, vec![1.0; 20]);
    for (arguments, code, named) in [
        (&["run"][..], 2, "PATH"),
        (&["run", "pictures", "--fail-on-anomaly"], 2, "--threshold"),
        (&["run", "pictures", "--alpha", "0.1"], 2, "--threshold"),
        (&["calibrated.safetensors", "pictures", "--alpha", "0.01"], 2, "99 calibration images"),
        (&["calibrated.safetensors", "pictures", "--alpha", "7"], 2, "above 0 and below 1"),
        (&["calibrated.safetensors", "pictures", "--alpha", "0.1", "--threshold", "1"], 2, "--threshold"),
        (&["run", "pictures", "--threshold", "nan"], 2, "not finite"),
        (&["run", "pictures", "--path", "scenic"], 2, "op-by-op"),
        (&["run", "pictures", "--path", "fused-f32", "--device", "cpu"], 2, "--device cpu"),
        (&["run", "pictures", "--adapter", "no such card"], 1, "no such card"),
        (&["nowhere", "pictures"], 1, "nowhere"),
        (&["data", "pictures"], 1, "model.safetensors"),
        (&["pictures/00.png", "pictures"], 1, "pictures/00.png"),
    ] {
        let output = ended(score(&sandbox, arguments), code);
        assert!(stderr(&output).contains(named), "{arguments:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    let output = ended(score(&sandbox, &["run", "pictures"]), 0);
    assert!(stderr(&output).contains("not calibrated") && stderr(&output).contains("30 pictures scored"));
    let output = ended(score(&sandbox, &["run", "pictures", "--quiet"]), 0);
    assert_eq!(stderr(&output), "");
}

#[test]
fn bad_files_are_named_and_the_others_scored() {
    let sandbox = sandbox();
    let whole = sandbox.read("pictures/00.png");
    let mut huge = whole.clone();
    huge[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    // The header's checksum is right, so that its lengths are believed.
    let sum = crc32(&huge[12..29]);
    huge[29..33].copy_from_slice(&sum.to_be_bytes());
    for (name, bytes) in [
        ("bad/cut.png", &whole[..whole.len() / 2]),
        ("bad/empty.jpg", &[]),
        ("bad/huge.png", &huge),
        ("bad/notes.dat", b"buy flowers"),
        ("bad/notes.txt", b"buy flowers"),
        ("bad/cut.idx", &images(TEST)[..16 + 784 * 2 + 5]),
        ("bad/labels.idx", &command::labels(3)),
    ] {
        fs::create_dir_all(sandbox.path("bad")).unwrap();
        sandbox.write(name, bytes);
    }
    let output = ended(score(&sandbox, &["run", "bad", "missing.png", "pictures"]), 1);
    let said = stderr(&output);
    for named in [
        "bad/cut.png",
        "bad/empty.jpg: empty file",
        "bad/huge.png: 60000 x 60000",
        "bad/notes.dat: no picture of a known format",
        "bad/cut.idx: ends at byte",
        "bad/labels.idx: byte 3",
        "missing.png: cannot be read",
        "32 pictures scored",
        "7 failed, 1 left out",
    ] {
        assert!(said.contains(named), "{named}: {said}");
    }
    let rows = rows(&output.stdout);
    // The whole images of the IDX file come first.
    assert_eq!(rows[0].path, "bad/cut.idx#0");
    assert_eq!(rows[2].path, "pictures/00.png");
    assert_eq!(rows.len(), TEST + 2);
    assert_eq!(rows[0].score, rows[2].score);

    let mut model = ModelFile::read(&sandbox.path("run/model.safetensors")).unwrap();
    model.weights.tensors.get_mut("decoder.deconv1.weight").unwrap().values[0] = f32::NAN;
    model.write(&sandbox.path("broken.safetensors")).unwrap();
    let output = ended(score(&sandbox, &["broken.safetensors", "pictures/00.png"]), 1);
    assert!(stderr(&output).contains("`decoder.deconv1.weight` has the value NaN"), "{}", stderr(&output));

    fs::create_dir(sandbox.path("none")).unwrap();
    let output = ended(score(&sandbox, &["run", "none"]), 0);
    assert_eq!(output.stdout, b"path,score,p_value,verdict\n");
    assert!(stderr(&output).contains("nothing to score"));
}

/// The checksum of PNG's chunks.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[test]
fn a_file_is_written_whole() {
    let sandbox = sandbox();
    let printed = ended(score(&sandbox, &["run", "pictures"]), 0).stdout;
    sandbox.write("scores.csv", b"old");
    let output = ended(score(&sandbox, &["run", "pictures", "--output", "scores.csv"]), 0);
    assert!(output.stdout.is_empty());
    assert_eq!(sandbox.read("scores.csv"), printed);
    let output = ended(score(&sandbox, &["run", "pictures", "--output", "no/such/folder.csv"]), 1);
    assert!(stderr(&output).contains("no/such/folder.csv: cannot be written"), "{}", stderr(&output));
}

#[test]
fn names_are_quoted_and_need_not_be_unicode() {
    let sandbox = sandbox();
    let odd = "od,d \"name\"\n.png";
    fs::copy(sandbox.path("pictures/00.png"), sandbox.path(odd)).unwrap();
    let output = ended(score(&sandbox, &["run", odd]), 0);
    assert_eq!(rows(&output.stdout)[0].path, odd);
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let names = [b"caf\xe8.png", b"caf\xe9.png"].map(|name| std::ffi::OsStr::from_bytes(name));
        for name in names {
            fs::copy(sandbox.path("pictures/00.png"), sandbox.path("").join(name)).unwrap();
        }
        for (format, written) in
            [("csv", ["caf\\xE8.png", "caf\\xE9.png"]), ("jsonl", ["caf\\\\xE8.png", "caf\\\\xE9.png"])]
        {
            let mut command = score(&sandbox, &["run", "--format", format, "--save-maps", "maps"]);
            command.args(names);
            let rows = String::from_utf8(ended(command, 0).stdout).unwrap();
            assert!(written.iter().all(|name| rows.contains(name)), "{rows}");
        }
        assert_eq!(sandbox.list("maps"), ["caf%E8.png.map.png", "caf%E9.png.map.png"]);
    }
}

#[test]
fn maps_show_what_the_network_saw() {
    let sandbox = sandbox();
    ended(score(&sandbox, &["run", "pictures", IDX, "pictures/../pictures/03.png", "--save-maps", "maps"]), 0);
    let panels = |name: &str| image::open(sandbox.path(&format!("maps/{name}.map.png"))).unwrap().into_luma8();
    for (name, index) in [("pictures/03.png", 3), (&*format!("{IDX}#5"), 5), ("pictures/%2E%2E/pictures/03.png", 3)] {
        let map = panels(name);
        assert_eq!(map.dimensions(), (3 * 140, 140));
        for (x, y, pixel) in picture(index).enumerate_pixels() {
            let at = |panel: u32, dx, dy| map.get_pixel(140 * panel + 5 * x + dx, 5 * y + dy)[0];
            for (dx, dy) in [(0, 0), (4, 0), (2, 4)] {
                assert_eq!(at(0, dx, dy), pixel[0], "{name} {x} {y}");
                assert_eq!(at(2, dx, dy), at(0, dx, dy).abs_diff(at(1, dx, dy)), "{name} {x} {y}");
            }
        }
        let made: Vec<u8> =
            map.enumerate_pixels().filter(|(x, ..)| (140..280).contains(x)).map(|(.., p)| p[0]).collect();
        assert!(made.iter().any(|&value| value != made[0]), "{name}: the reconstruction is blank");
    }
    assert_eq!(sandbox.list("maps/pictures").len(), TEST + 1);
    assert!(!sandbox.path("pictures/03.png.map.png").exists());
}

#[test]
fn pictures_of_other_shapes_and_colours_are_made_to_fit() {
    let sandbox = sandbox();
    RgbImage::from_fn(90, 41, |x, y| image::Rgb([x as u8, y as u8, 7])).save(sandbox.path("wide.png")).unwrap();
    RgbImage::from_fn(90, 41, |x, y| image::Rgb([x as u8, y as u8, 7])).save(sandbox.path("wide.bmp")).unwrap();
    let rows = rows(&ended(score(&sandbox, &["run", "wide.png", "wide.bmp"]), 0).stdout);
    assert_eq!(rows[0].score, rows[1].score);
    assert!(rows[0].score > 0.0);
}

/// The binary as a process whose pipes stay open.
fn process(sandbox: &Sandbox, arguments: &[&str]) -> std::process::Child {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("pkdgan"));
    command.current_dir(sandbox.path("")).arg("score").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_closed_output_ends_quietly() {
    let sandbox = sandbox();
    let mut child = process(&sandbox, &["run", "-", "--quiet"]);
    let mut list = child.stdin.take().unwrap();
    list.write_all(b"pictures/00.png\n").unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(out.next().unwrap().unwrap().starts_with("path,"));
    // A row comes as soon as its name is there, though the list is not at its end.
    assert!(out.next().unwrap().unwrap().starts_with("pictures/00.png,"));
    drop(out);
    // The list stays open: the next row is what fails.
    list.write_all(b"pictures/01.png\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}

/// Most memory held after so many pictures, in kilobytes.
#[cfg(target_os = "linux")]
fn peak(sandbox: &Sandbox, count: usize) -> u64 {
    let mut child = process(sandbox, &["run", "-", "--quiet"]);
    let mut list = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for index in 0..count {
            writeln!(list, "pictures/{:02}.png", index % TEST).unwrap();
        }
        list
    });
    let mut rows = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..=count {
        rows.next().unwrap().unwrap();
    }
    let status = fs::read_to_string(Path::new("/proc").join(child.id().to_string()).join("status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    drop(writer.join().unwrap());
    assert!(child.wait().unwrap().success());
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_number_of_pictures() {
    let sandbox = sandbox();
    let (few, many) = (peak(&sandbox, 200), peak(&sandbox, 20_000));
    assert!(many < few + 4_096, "{few} kB after 200 pictures, {many} kB after 20,000");
}

#[test]
fn a_reader_that_leaves_early_is_no_proof_that_all_is_normal() {
    let sandbox = sandbox();
    let code = |flags: &[&str]| {
        // A pipe that nobody reads.
        let (_, closed) = std::io::pipe().unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pkdgan"));
        command.current_dir(sandbox.path("")).env("PKDGAN_CACHE", sandbox.path("cache")).stdout(closed);
        command.args(["score", "run", "pictures", "--quiet", "--threshold=1e9"]).args(flags).status().unwrap().code()
    };
    assert_eq!(code(&[]), Some(0));
    assert_eq!(code(&["--fail-on-anomaly"]), Some(1));
}

#[cfg(unix)]
#[test]
fn an_interrupt_while_the_list_is_open_writes_nothing_when_it_ends() {
    let sandbox = sandbox();
    for format in ["csv", "parquet", "arrow"] {
        interrupted(&sandbox, format);
        fs::remove_dir_all(sandbox.path("maps")).unwrap();
    }
}

/// Interrupts it after the first picture of a list that goes on.
#[cfg(unix)]
fn interrupted(sandbox: &Sandbox, format: &str) {
    let mut child = process(sandbox, &["run", "-", "--output=out", "--format", format, "--save-maps=maps"]);
    let mut list = child.stdin.take().unwrap();
    list.write_all(b"pictures/00.png\n").unwrap();
    while !sandbox.path("maps/pictures/00.png.map.png").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // The picture is done, and what is waited for is the next name.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("stopping")));
    drop(list);
    let last: Vec<String> = said.collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{last:?}");
    assert!(last.iter().any(|line| line.contains("stopped; nothing was written")), "{last:?}");
    assert!(!sandbox.path("out").exists());
}

/// What comes of this on standard input.
fn fed(sandbox: &Sandbox, arguments: &[&str], input: &[u8], code: i32) -> Output {
    let mut command = score(sandbox, arguments);
    command.write_stdin(input);
    ended(command, code)
}

#[test]
fn a_list_or_a_picture_comes_through_standard_input() {
    let sandbox = sandbox();
    let named = rows(&ended(score(&sandbox, &["run", "pictures/07.png"]), 0).stdout);
    let list = rows(&fed(&sandbox, &["run", "-"], b"\xef\xbb\xbfpictures/07.png\r\n", 0).stdout);
    assert_eq!(list, named);
    for picture in ["pictures/07.png", "07.jpg", "07.bmp", "07.pgm"] {
        self::picture(7).save(sandbox.path(picture)).unwrap();
        let named = rows(&ended(score(&sandbox, &["run", picture]), 0).stdout);
        let piped = rows(&fed(&sandbox, &["run", "-"], &sandbox.read(picture), 0).stdout);
        assert_eq!((piped[0].path.as_str(), piped[0].score), ("-", named[0].score), "{picture}");
    }
    for (input, said) in [
        (&b"\xff\xfep\0i\0c\0"[..], "UTF-16"),
        (&images(2)[..], "it is no text; name the files themselves"),
        (&sandbox.read("pictures/07.png")[..90], "damaged"),
    ] {
        let output = fed(&sandbox, &["run", "-"], input, 1);
        assert!(stderr(&output).contains(said), "{said}: {}", stderr(&output));
    }
}

#[test]
fn a_damaged_picture_is_refused_and_scored_on_demand() {
    let sandbox = sandbox();
    RgbImage::from_fn(90, 80, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]))
        .save(sandbox.path("whole.jpg"))
        .unwrap();
    let whole = sandbox.read("whole.jpg");
    sandbox.write("cut.jpg", &whole[..whole.len() * 6 / 10]);
    let output = ended(score(&sandbox, &["run", "cut.jpg", "whole.jpg"]), 1);
    assert!(stderr(&output).contains("cut.jpg: damaged: it is cut short"), "{}", stderr(&output));
    assert_eq!(rows(&output.stdout).len(), 1);
    let output = ended(score(&sandbox, &["run", "cut.jpg", "whole.jpg", "--lenient"]), 0);
    for part in ["note: cut.jpg: damaged: it is cut short", "note: 1 picture is damaged"] {
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    assert_eq!(rows(&output.stdout).len(), 2);
}

#[test]
fn files_of_other_kinds_are_called_what_they_are() {
    let sandbox = sandbox();
    let padded = |start: &[u8]| [start, &[0; 300]].concat();
    for (name, bytes, said) in [
        ("a.heic", padded(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), "a HEIC picture"),
        ("a.avif", padded(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1"), "an AVIF picture"),
        ("a.jp2", padded(b"\0\0\0\x0cjP  \r\n\x87\n"), "a JPEG 2000 picture"),
        ("a.tga", padded(&[0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 9, 0, 24, 0]), "a TGA picture"),
        ("b.tga", padded(&[0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 9, 0, 8, 0]), "a TGA picture"),
        ("a.ico", padded(&[0, 0, 1, 0, 1, 0]), "an icon"),
        ("a.psd", padded(b"8BPS\0\x01"), "a Photoshop picture"),
        ("a.pdf", padded(b"%PDF-1.7\n"), "a PDF document"),
        ("a.svg", b"<svg/>".to_vec(), "an SVG drawing"),
        ("a", vec![0, 0], "no picture of a known format"),
    ] {
        sandbox.write(name, &bytes);
        let output = ended(score(&sandbox, &["run", name]), 1);
        let line = stderr(&output).lines().find(|line| line.contains(&format!("{name}: "))).unwrap().to_owned();
        assert!(line.contains(&format!("{name}: {said}")), "{line}");
        assert!(!line.contains("IDX") && !line.contains("element"), "{line}");
    }
}

#[test]
fn what_has_no_score_is_counted_on_the_last_line() {
    let sandbox = sandbox();
    fs::create_dir_all(sandbox.path("pictures/@eaDir")).unwrap();
    for litter in ["Thumbs.db", "desktop.ini", ".DS_Store", "@eaDir/00.png"] {
        sandbox.write(&format!("pictures/{litter}"), b"no picture");
    }
    let output = ended(score(&sandbox, &["run", "pictures", "-q"]), 0);
    assert_eq!((rows(&output.stdout).len(), stderr(&output)), (TEST, String::new()));
    sandbox.write("pictures/00.json", b"{}");
    sandbox.write("pictures/00.xml", b"<a/>");
    let output = ended(score(&sandbox, &["run", "pictures", "-q", "--exclude", "1?.png"]), 0);
    assert_eq!(rows(&output.stdout).len(), TEST - 10);
    assert!(stderr(&output).contains("20 pictures scored, 0 anomalous, 0 failed, 12 left out"), "{}", stderr(&output));
    let output = ended(score(&sandbox, &["run", ".", "--include", "pictures/0*"]), 0);
    assert_eq!(rows(&output.stdout).len(), 10);
    // Whoever names a file wants it.
    let output = ended(score(&sandbox, &["run", "pictures/00.json", "pictures/01.png", "-q", "--exclude=*"]), 1);
    assert!(stderr(&output).contains("1 pictures scored, 0 anomalous, 1 failed"), "{}", stderr(&output));
    let output = ended(score(&sandbox, &["run", "pictures", "--include", "[a"]), 2);
    assert!(stderr(&output).contains("`[a` is no pattern of names"), "{}", stderr(&output));
}

#[test]
fn a_long_name_has_a_map_and_is_no_end_of_the_others() {
    let sandbox = sandbox();
    let long = ["a", "b"].map(|end| format!("{}{end}.png", "x".repeat(244)));
    for name in &long {
        fs::copy(sandbox.path("pictures/00.png"), sandbox.path("pictures").join(name)).unwrap();
    }
    let output = ended(score(&sandbox, &["run", "pictures", "--save-maps", "maps"]), 0);
    assert_eq!(rows(&output.stdout).len(), TEST + 2);
    let maps = sandbox.list("maps/pictures");
    assert_eq!(maps.len(), TEST + 2);
    let long: Vec<&String> = maps.iter().filter(|name| name.starts_with("xxx")).collect();
    assert!(long.len() == 2 && long.iter().all(|name| name.len() <= 255 && name.ends_with(".map.png")), "{long:?}");
    // A path of many folders fits no more, which is one picture's fault.
    let folder = vec!["y".repeat(200); 2].join("/");
    fs::create_dir_all(sandbox.path(&folder)).unwrap();
    fs::copy(sandbox.path("pictures/00.png"), sandbox.path(&folder).join("00.png")).unwrap();
    let maps = vec!["m".repeat(250); 15].join("/");
    let output = ended(score(&sandbox, &["run", &folder, "pictures", "--save-maps", &maps]), 1);
    assert!(stderr(&output).contains("yyy/00.png: "), "{}", stderr(&output));
    assert_eq!(rows(&output.stdout).len(), TEST + 2);
}

#[cfg(unix)]
#[test]
fn results_go_where_they_are_told_to() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let sandbox = sandbox();
    let printed = ended(score(&sandbox, &["run", "pictures"]), 0).stdout;
    assert_eq!(ended(score(&sandbox, &["run", "pictures", "-o", "-"]), 0).stdout, printed);
    // A link is followed, and the file behind it keeps its permissions.
    sandbox.write("file.csv", b"old");
    fs::set_permissions(sandbox.path("file.csv"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("file.csv", sandbox.path("link.csv")).unwrap();
    ended(score(&sandbox, &["run", "pictures", "-o", "link.csv"]), 0);
    assert!(sandbox.path("link.csv").is_symlink());
    assert_eq!(sandbox.read("file.csv"), printed);
    assert_eq!(fs::metadata(sandbox.path("file.csv")).unwrap().permissions().mode() & 0o777, 0o640);
    // Devices and pipes are written into.
    ended(score(&sandbox, &["run", "pictures", "-o", "/dev/null"]), 0);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    assert_eq!(ended(score(&sandbox, &["run", "pictures", "-o", "/dev/stdout"]), 0).stdout, printed);
    nix::unistd::mkfifo(&sandbox.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let pipe = sandbox.path("pipe");
    let reader = std::thread::spawn(move || fs::read(pipe).unwrap());
    ended(score(&sandbox, &["run", "pictures", "-o", "pipe"]), 0);
    assert_eq!(reader.join().unwrap(), printed);
    // An input stays.
    for input in ["pictures/00.png", "run/model.safetensors"] {
        let before = sandbox.read(input);
        let output = ended(score(&sandbox, &["run", "pictures/00.png", "-o", input]), 1);
        assert!(stderr(&output).contains("it is one of the inputs"), "{}", stderr(&output));
        assert!(sandbox.read(input) == before);
    }
}
