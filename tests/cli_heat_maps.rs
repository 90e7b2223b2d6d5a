//! `pkdgan score --heat-maps` and `--boxes`: where a picture is unusual.

mod command;

use std::fs;
use std::process::Output;

use command::{Sandbox, images, stderr};
use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, ImageEncoder, Luma, Rgb, RgbImage};
use parquet::file::reader::{FileReader, SerializedFileReader};
use pkdgan::data::Fit;
use pkdgan::model::ModelFile;
use pkdgan::scoring::MapScale;
use serde_json::Value;

const MODEL: &str = "model.safetensors";

/// A sandbox with a model whose reconstructions are black, and whose maps are half the difference: from half of white on, a
/// place stands out.
fn sandbox(fit: Fit) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.trained("run", &["--stage", "student"]);
    let mut model = ModelFile::read(&sandbox.path("run/model.safetensors")).unwrap();
    model.preprocessing.fit = fit;
    // Only the last layer has a bias of its own, in the place of a norm.
    let tensors = &mut model.weights.tensors;
    let of_last = |name: &&String| name.starts_with("decoder.") && name.ends_with(".bias") && !name.contains(".norm.");
    let bias = tensors.keys().find(of_last).unwrap().clone();
    tensors.get_mut(&bias).unwrap().values.fill(-20.0);
    tensors.get_mut(&bias.replace(".bias", ".weight")).unwrap().values.fill(0.0);
    let places = 28 * 28;
    let scale = MapScale::new([28, 28], vec![0.0; places], vec![0.5; places], vec![2.0; 99]).unwrap();
    model.map_scale = Some(scale);
    model.write(&sandbox.path(MODEL)).unwrap();
    sandbox
}

/// The command's output, which must end with this code.
fn score(sandbox: &Sandbox, arguments: &[&str], code: i32) -> Output {
    let output = sandbox.pkdgan(&["score"]).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    output
}

/// The boxes of the only row of JSON lines: left, top, right, bottom, peak.
fn boxes(sandbox: &Sandbox, path: &str) -> Vec<Vec<f64>> {
    let output = score(sandbox, &[MODEL, path, "--boxes", "--format=jsonl"], 0);
    let row: Value = serde_json::from_slice(&output.stdout).unwrap();
    serde_json::from_value(row["boxes"].clone()).unwrap()
}

/// A black picture with a white square.
fn square([width, height]: [u32; 2], [left, top]: [u32; 2], side: u32) -> GrayImage {
    let inside = |at: u32, from: u32| (from..from + side).contains(&at);
    GrayImage::from_fn(width, height, |x, y| Luma([if inside(x, left) && inside(y, top) { 255 } else { 0 }]))
}

/// Asserts that the first of some boxes lies over a square, up to a network's pixel.
fn assert_over(boxes: &[Vec<f64>], [left, top]: [u32; 2], side: u32, pixel: f64) {
    let expected = [left, top, left + side, top + side].map(f64::from);
    assert_eq!(boxes.len(), 1, "{boxes:?}");
    for (found, expected) in boxes[0].iter().zip(expected) {
        assert!((found - expected).abs() <= pixel + 1.0, "{boxes:?}, not {expected:?}");
    }
    assert!(boxes[0][4] > 2.0);
}

#[test]
fn a_box_lies_over_what_is_unusual_however_the_picture_was_fitted_and_turned() {
    for (fit, pixels) in [(Fit::Pad, [20.0; 2]), (Fit::Crop, [10.0; 2]), (Fit::Stretch, [10.0, 20.0])] {
        let sandbox = sandbox(fit);
        // 280 x 560 as it is seen. The file holds it lying on its side, and says to turn it.
        let upright = square([280, 560], [100, 300], 80);
        let lying = image::imageops::rotate270(&upright);
        let mut file = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut file, 95);
        let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(&lying, 560, 280, image::ExtendedColorType::L8).unwrap();
        sandbox.write("turned.jpg", &file);
        upright.save(sandbox.path("upright.png")).unwrap();
        for name in ["turned.jpg", "upright.png"] {
            let found = boxes(&sandbox, name);
            assert_over(&found, [100, 300], 80, f64::max(pixels[0], pixels[1]));
        }
        // A picture that is as it should be has none.
        square([280, 560], [0, 0], 0).save(sandbox.path("black.png")).unwrap();
        assert!(boxes(&sandbox, "black.png").is_empty());
    }
}

#[test]
fn a_heat_map_is_the_picture_under_colours_and_an_array_of_numbers() {
    let sandbox = sandbox(Fit::Pad);
    let colour = RgbImage::from_fn(112, 56, |x, y| {
        if (40..64).contains(&x) && (16..40).contains(&y) { Rgb([250, 255, 245]) } else { Rgb([3, 2, 4]) }
    });
    fs::create_dir(sandbox.path("in")).unwrap();
    colour.save(sandbox.path("in/a.png")).unwrap();
    let output = score(&sandbox, &[MODEL, "in", "data/mnist/t10k-images-idx3-ubyte", "--heat-maps=maps"], 0);
    // No column that nobody asked for.
    assert!(output.stdout.starts_with(b"path,score,p_value,verdict\n"));
    assert_eq!(sandbox.list("maps/in"), ["a.png.heat.npy", "a.png.heat.png"]);
    let map = image::open(sandbox.path("maps/in/a.png.heat.png")).unwrap().into_rgb8();
    assert_eq!(map.dimensions(), colour.dimensions());
    // Far from what is unusual the picture is as it was; in its middle it is yellow to red.
    for (x, y) in [(0, 0), (111, 0), (0, 55), (111, 55), (20, 28), (90, 28)] {
        assert_eq!(map.get_pixel(x, y), colour.get_pixel(x, y), "{x} {y}");
    }
    let Rgb([red, green, blue]) = *map.get_pixel(52, 28);
    assert!(red > 200 && green < red && blue < 150, "{red} {green} {blue}");
    // The picture alone, without the bars above and below it: 28 x 14 of the network's pixels.
    let file = sandbox.read("maps/in/a.png.heat.npy");
    assert!(file.starts_with(b"\x93NUMPY\x01\0") && file.len().is_multiple_of(4));
    assert!(String::from_utf8_lossy(&file[..128]).contains("'<f4', 'fortran_order': False, 'shape': (14, 28)"));
    let values: Vec<f32> = file[file.len() - 4 * 14 * 28..]
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    assert!(values[0] < 0.1 && values[7 * 28 + 13] > 3.5, "{values:?}");
    // Images of files of many have maps too, of their own size.
    let name = "maps/data/mnist/t10k-images-idx3-ubyte#3.heat.png";
    let digit = image::open(sandbox.path(name)).unwrap().into_rgb8();
    assert_eq!(digit.dimensions(), (28, 28));
    let seen = GrayImage::from_raw(28, 28, images(4)[16 + 3 * 784..][..784].to_vec()).unwrap();
    let dark = seen.enumerate_pixels().filter(|(.., value)| value.0[0] == 0).count();
    let kept = digit.pixels().filter(|pixel| pixel.0 == [0; 3]).count();
    assert!(kept > 0 && kept <= dark, "{kept} of {dark}");
}

#[test]
fn every_format_has_a_place_for_boxes() {
    let sandbox = sandbox(Fit::Stretch);
    fs::create_dir(sandbox.path("in")).unwrap();
    square([56, 56], [0, 0], 0).save(sandbox.path("in/a.png")).unwrap();
    square([56, 56], [20, 20], 16).save(sandbox.path("in/b.png")).unwrap();
    sandbox.write("in/c.png", b"no picture");
    let run = |format: &str, code: i32| {
        score(&sandbox, &[MODEL, "in", "--boxes", "--format", format, "-o", format], code);
        sandbox.read(format)
    };
    let rows = String::from_utf8(run("jsonl", 1)).unwrap();
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows[0]["boxes"], Value::Array(Vec::new()));
    assert_eq!(rows[1]["boxes"].as_array().unwrap().len(), 1);
    assert!(rows[2]["error"].is_string() && rows[2].get("boxes").is_none());
    let csv = run("csv", 1);
    let mut csv = csv::Reader::from_reader(&csv[..]).into_records();
    for row in &rows[..2] {
        let text = csv.next().unwrap().unwrap()[4].to_owned();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), row["boxes"]);
    }
    let parquet = SerializedFileReader::new(bytes::Bytes::from(run("parquet", 1))).unwrap();
    let columns: Vec<String> =
        parquet.metadata().file_metadata().schema().get_fields().iter().map(|field| field.name().to_owned()).collect();
    assert_eq!(columns, ["path", "score", "p_value", "verdict", "error", "boxes"]);
    let texts = parquet.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        let (_, field) = row.get_column_iter().find(|(name, _)| *name == "boxes").unwrap();
        field.to_string()
    });
    let texts: Vec<String> = texts.collect();
    assert!(texts[0].contains("[]") && texts[1].contains("[[") && texts[2] == "null", "{texts:?}");
    assert!(run("arrow", 1).windows(5).any(|part| part == b"boxes"));
}

#[test]
fn a_model_without_a_scale_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.trained("run", &["--stage", "student"]);
    let mut model = ModelFile::read(&sandbox.path("run/model.safetensors")).unwrap();
    model.map_scale = None;
    model.write(&sandbox.path(MODEL)).unwrap();
    for flag in ["--boxes", "--heat-maps=maps"] {
        let output = score(&sandbox, &[MODEL, "data/mnist/t10k-images-idx3-ubyte", flag], 2);
        for part in [MODEL, flag.split('=').next().unwrap(), "train it again", "--save-maps"] {
            assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
        }
    }
    assert!(!sandbox.path("maps").exists());
}
