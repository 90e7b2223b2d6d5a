//! `pkdgan score` beside data frames: results in Parquet and Arrow, read back here (`tests/tables/check.py` reads them with
//! pyarrow), and images from NumPy and Parquet files.

mod command;

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::{Output, Stdio};

use arrow_array::{Array, Float32Array, Float64Array, RecordBatch, StringArray};
use arrow_ipc::reader::{FileReader, StreamReader};
use assert_cmd::Command;
use command::{Sandbox, TEST, images, stderr};
use image::GrayImage;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use pkdgan::model::ModelFile;
use pkdgan::unstable::calibration::Calibration;

const IDX: &str = "data/mnist/t10k-images-idx3-ubyte";

/// A row of results.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
struct Row {
    path: String,
    score: Option<f32>,
    p_value: Option<f64>,
    verdict: Option<String>,
    error: Option<String>,
}

/// A sandbox with a trained student, calibrated, and a picture that is none.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.trained("run", &["--stage", "student"]);
    let path = sandbox.path("run/model.safetensors");
    let mut model = ModelFile::read(&path).unwrap();
    model.calibration = Some(Calibration::new((0..99).map(|n| n as f32 / 50.0).collect()).unwrap());
    model.write(&path).unwrap();
    sandbox.write("broken.png", b"no picture");
    sandbox
}

fn score(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.pkdgan(&["score", "run"]);
    command.args(arguments);
    command
}

/// The command's output, which must end with this code.
fn ended(sandbox: &Sandbox, arguments: &[&str], code: i32) -> Output {
    let output = score(sandbox, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    output
}

/// The rows of JSON lines, the format that the others are held to.
fn jsonl(sandbox: &Sandbox, paths: &[&str], code: i32) -> Vec<Row> {
    let output = ended(sandbox, &[paths, &["--format=jsonl"]].concat(), code);
    output.stdout.split_inclusive(|&byte| byte == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect()
}

fn scores(rows: &[Row]) -> Vec<Option<f32>> {
    rows.iter().map(|row| row.score).collect()
}

fn from_parquet(bytes: Vec<u8>) -> (Vec<Row>, Vec<(String, Option<String>)>) {
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    let notes = reader.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let text = |field: &Field| match field {
        Field::Null => None,
        Field::Str(text) => Some(text.clone()),
        other => panic!("{other:?}"),
    };
    let row = |row: parquet::record::Row| {
        let [path, score, p_value, verdict, error] = ["path", "score", "p_value", "verdict", "error"].map(|name| {
            let found = row.get_column_iter().find(|(column, _)| *column == name);
            found.unwrap_or_else(|| panic!("no {name}")).1.clone()
        });
        let score = match score {
            Field::Null => None,
            Field::Float(score) => Some(score),
            other => panic!("{other:?}"),
        };
        let p_value = match p_value {
            Field::Null => None,
            Field::Double(p_value) => Some(p_value),
            other => panic!("{other:?}"),
        };
        Row { path: text(&path).unwrap(), score, p_value, verdict: text(&verdict), error: text(&error) }
    };
    let rows = reader.get_row_iter(None).unwrap().map(|one| row(one.unwrap())).collect();
    (rows, notes.into_iter().map(|note| (note.key, note.value)).collect())
}

fn from_arrow(batch: &RecordBatch) -> Vec<Row> {
    let text = |name: &str, row| {
        let column = batch.column_by_name(name).unwrap().as_any().downcast_ref::<StringArray>().unwrap();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let scores = batch.column_by_name("score").unwrap().as_any().downcast_ref::<Float32Array>().unwrap();
    let p_values = batch.column_by_name("p_value").unwrap().as_any().downcast_ref::<Float64Array>().unwrap();
    let row = |row| Row {
        path: text("path", row).unwrap(),
        score: scores.is_valid(row).then(|| scores.value(row)),
        p_value: p_values.is_valid(row).then(|| p_values.value(row)),
        verdict: text("verdict", row),
        error: text("error", row),
    };
    (0..batch.num_rows()).map(row).collect()
}

#[test]
fn parquet_and_arrow_have_the_rows_of_json() {
    let sandbox = sandbox();
    let paths = [IDX, "broken.png", IDX];
    let expected = jsonl(&sandbox, &paths, 1);
    assert_eq!(expected.len(), 2 * TEST + 1);
    let failed = &expected[TEST];
    assert!(failed.score.is_none() && failed.error.as_ref().unwrap().contains("broken.png: no picture"), "{failed:?}");
    assert!(expected[0].verdict.is_some() && expected[0].p_value.is_some());

    let printed = |format: &str| ended(&sandbox, &[&paths[..], &["--format", format]].concat(), 1).stdout;
    let written = |format: &str| {
        sandbox.write("results", b"old");
        let output = ended(&sandbox, &[&paths[..], &["--format", format, "-o", "results"]].concat(), 1);
        assert!(output.stdout.is_empty());
        sandbox.read("results")
    };
    for bytes in [printed("parquet"), written("parquet")] {
        let (rows, notes) = from_parquet(bytes);
        assert_eq!(rows, expected);
        let note = |key: &str| notes.iter().find(|(name, _)| name == key).and_then(|(_, value)| value.as_deref());
        assert_eq!(note("pkdgan.model"), Some(&*Path::new("run").join("model.safetensors").display().to_string()));
        assert_eq!(note("pkdgan.alpha"), Some("0.01"));
        assert_eq!(note("pkdgan.threshold"), None);
    }

    let stream = StreamReader::try_new(Cursor::new(printed("arrow")), None).unwrap();
    assert_eq!(stream.schema().metadata().get("pkdgan.alpha").map(|alpha| alpha.to_string()).as_deref(), Some("0.01"));
    let rows: Vec<Row> = stream.flat_map(|batch| from_arrow(&batch.unwrap())).collect();
    assert_eq!(rows, expected);
    let file = FileReader::try_new(Cursor::new(written("arrow")), None).unwrap();
    assert_eq!(file.num_batches(), 1);
    let rows: Vec<Row> = file.flat_map(|batch| from_arrow(&batch.unwrap())).collect();
    assert_eq!(rows, expected);

    let (rows, notes) = from_parquet(ended(&sandbox, &[IDX, "--format=parquet", "--threshold=0.5"], 0).stdout);
    assert_eq!(rows.len(), TEST);
    assert!(notes.contains(&("pkdgan.threshold".into(), Some("0.5".into()))), "{notes:?}");
}

#[test]
fn files_without_rows_have_their_columns() {
    let sandbox = sandbox();
    fs::create_dir(sandbox.path("none")).unwrap();
    let printed = |format: &str| ended(&sandbox, &["none", "--format", format], 0).stdout;
    assert!(from_parquet(printed("parquet")).0.is_empty());
    let stream = StreamReader::try_new(Cursor::new(printed("arrow")), None).unwrap();
    assert_eq!(stream.schema().fields().len(), 5);
    assert_eq!(stream.count(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_binary_goes_to_a_terminal() {
    let sandbox = sandbox();
    for (format, remedy) in [("parquet", "--output scores.parquet"), ("arrow", "--output scores.arrow")] {
        for output in ["", "--output -"] {
            let command = format!("{} score run {IDX} --format {format} {output}", env!("CARGO_BIN_EXE_pkdgan"));
            let mut shell = std::process::Command::new("script");
            shell.args(["-qec", &command, "/dev/null"]).current_dir(sandbox.path("")).stdin(Stdio::null());
            let output = shell.output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains(remedy) && !said.contains("PAR1"), "{said}");
            assert_eq!(output.status.code(), Some(1), "{said}");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_failed_output_is_an_error_and_leaves_no_file() {
    let sandbox = sandbox();
    for format in ["parquet", "arrow"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pkdgan"));
        command.current_dir(sandbox.path("")).args(["score", "run", IDX, "--format", format]);
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("No space left"), "{}", stderr(&output));
        // Whoever reads a pipe may have enough.
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pkdgan"));
        command.current_dir(sandbox.path("")).args(["score", "run", IDX, "--format", format]);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(!stderr(&output).contains("error"), "{}", stderr(&output));
        // A rate that the model cannot promise is refused before anything is written.
        let output = ended(&sandbox, &[IDX, "--format", format, "-o", "results", "--alpha=0.0001"], 2);
        assert!(!sandbox.path("results").exists(), "{}", stderr(&output));
    }
}

/// A `.npy` file of bytes.
fn npy(shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
}

fn npz(arrays: &[(&str, Vec<u8>)], packed: bool) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let method = if packed { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
    for (name, bytes) in arrays {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        archive.start_file(format!("{name}.npy"), options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A Parquet file of two row groups with a column of pictures, or of none.
fn parquet_file(pictures: &[Option<Vec<u8>>]) -> Vec<u8> {
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::writer::SerializedFileWriter;
    let schema = parquet::schema::parser::parse_message_type("message m { optional binary image; }").unwrap();
    let mut out = SerializedFileWriter::new(Vec::new(), schema.into(), Default::default()).unwrap();
    for part in pictures.chunks(pictures.len().div_ceil(2)) {
        let mut group = out.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> = part.iter().flatten().map(|picture| picture.clone().into()).collect();
        let levels: Vec<i16> = part.iter().map(|picture| picture.is_some().into()).collect();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    out.into_inner().unwrap()
}

#[test]
fn the_same_images_have_the_same_scores_in_every_file() {
    let sandbox = sandbox();
    let expected = jsonl(&sandbox, &[IDX], 0);
    let pixels = &images(TEST)[16..];
    let array = npy(&format!("({TEST}, 28, 28)"), pixels);
    let labels = npy(&format!("({TEST},)"), &[0; TEST]);
    sandbox.write("images.npy", &array);
    // Whatever the name.
    sandbox.write("images.dat", &npz(&[("x", array.clone()), ("y", labels)], false));
    sandbox.write("packed.npz", &npz(&[("one", array.clone()), ("two", array)], true));
    let png = |pixels: &[u8]| {
        let mut bytes = Cursor::new(Vec::new());
        let picture = GrayImage::from_raw(28, 28, pixels.to_vec()).unwrap();
        picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    let mut pictures: Vec<_> = pixels.chunks(784).map(|pixels| Some(png(pixels))).collect();
    pictures[3] = None;
    pictures[4] = Some(b"no picture".to_vec());
    sandbox.write("images.parquet", &parquet_file(&pictures));

    let rows = jsonl(&sandbox, &["images.npy"], 0);
    assert_eq!(rows[5].path, "images.npy#5");
    assert_eq!(scores(&rows), scores(&expected));
    let rows = jsonl(&sandbox, &["images.dat"], 0);
    assert_eq!(rows[5].path, "images.dat#x#5");
    assert_eq!(scores(&rows), scores(&expected));
    let rows = jsonl(&sandbox, &["packed.npz"], 0);
    assert_eq!(rows[TEST + 5].path, "packed.npz#two#5");
    assert_eq!(scores(&rows[..TEST]), scores(&expected));
    assert_eq!(scores(&rows[TEST..]), scores(&expected));
    let rows = jsonl(&sandbox, &["images.parquet"], 1);
    assert_eq!(rows[5].path, "images.parquet#5");
    assert!(rows[3].error.as_ref().unwrap().contains("images.parquet#3: no bytes in this row"), "{:?}", rows[3]);
    assert!(
        rows[4].error.as_ref().unwrap().contains("images.parquet#4: no picture of a known format"),
        "{:?}",
        rows[4]
    );
    let there = |row: &usize| ![3, 4].contains(row);
    let of = |rows: &[Row]| (0..TEST).filter(there).map(|row| rows[row].score).collect::<Vec<_>>();
    assert_eq!(of(&rows), of(&expected));

    // In a folder, on a part of it, and with maps.
    fs::create_dir(sandbox.path("all")).unwrap();
    for name in ["images.npy", "packed.npz"] {
        fs::rename(sandbox.path(name), sandbox.path("all").join(name)).unwrap();
    }
    let rows = jsonl(&sandbox, &["all", "--shard=2/3", "--save-maps=maps"], 0);
    assert_eq!(rows.len(), TEST);
    assert_eq!(rows[0].path, Path::new("all").join("images.npy#1").display().to_string());
    assert_eq!(rows[0].score, expected[1].score);
    let maps = sandbox.list("maps/all");
    assert!(
        maps.contains(&"images.npy#1.map.png".into()) && maps.contains(&"packed.npz#two#1.map.png".into()),
        "{maps:?}"
    );
}

#[test]
fn arrays_that_are_not_read_are_named_with_the_remedy_and_the_others_scored() {
    let sandbox = sandbox();
    let floats =
        [b"\x93NUMPY\x01\0\x3d\0", &b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2)}\n"[..]].concat();
    sandbox.write("floats.npy", &floats);
    sandbox.write("cut.npy", &npy("(2, 28, 28)", &[7; 800]));
    sandbox.write("cut.parquet", b"PAR1 and so on");
    let rows = jsonl(&sandbox, &["floats.npy", "cut.npy", "cut.parquet", IDX], 1);
    assert_eq!(rows.len(), 4 + TEST);
    let errors = [&rows[0], &rows[2], &rows[3]].map(|row| row.error.clone().unwrap());
    assert!(errors[0].contains("floats.npy: values of type <f4; 'uint8' and 'uint16' are read"), "{errors:?}");
    assert!(errors[1].contains("cut.npy: ends at byte"), "{errors:?}");
    assert!(errors[2].contains("cut.parquet: no whole Parquet file"), "{errors:?}");
    assert_eq!(rows[1].path, "cut.npy#0");
    assert!(rows[1].score.is_some());
}
