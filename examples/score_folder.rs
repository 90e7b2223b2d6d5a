//! Scores every picture of a folder with a trained model: one line for each, the score first, on stdout.
//!
//! ```text
//! cargo run --release --example score_folder -- runs/photos/model.safetensors photos/new
//! ```

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use pkdgan::model::ModelFile;
use pkdgan::scoring::{DetectorOptions, score_pictures};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [model, pictures] = &arguments[..] else { return Err("usage: score_folder MODEL.safetensors PICTURES".into()) };
    let model = ModelFile::read(model)?;
    let inspected = score_pictures(&model, [pictures], DetectorOptions::default())?;
    eprintln!("path: {}", inspected.choice().path);
    let mut out = std::io::stdout().lock();
    for inspected in inspected {
        let inspected = inspected?;
        match (inspected.score, &model.calibration) {
            // The p-value is the share of normal images that score as high.
            (Ok(score), Some(calibration)) => {
                writeln!(out, "{score:.6}\tp = {:.4}\t{}", calibration.p_value(score)?, inspected.picture)?;
            }
            (Ok(score), None) => writeln!(out, "{score:.6}\t{}", inspected.picture)?,
            // The others go on.
            (Err(fault), _) => eprintln!("error: {fault}"),
        }
    }
    Ok(())
}
