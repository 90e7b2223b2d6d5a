//! Trains on a folder of pictures, all of them normal. Without arguments it draws 60 pictures itself in a new
//! temporary folder, and trains for a few seconds only.
//!
//! ```text
//! cargo run --release --example train_folder
//! cargo run --release --example train_folder -- photos/good runs/photos
//! ```

use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use image::{GrayImage, Luma};
use pkdgan::config::{Goal, Recipe};
use pkdgan::training::{Outcome, Progress, Training};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (training, run) = match &arguments[..] {
        [pictures, run] => (Training::on_images(pictures), run.clone()),
        [] => {
            let folder = tempfile::Builder::new().prefix("pkdgan-example-").tempdir()?.keep();
            draw(&folder.join("pictures"))?;
            // A shorter training than a recipe's: any setting can be changed.
            let mut config = Recipe::Default.images(32);
            config.training.steps = 60;
            let training = Training::on_images(folder.join("pictures")).config(config).goal(Goal::Teacher);
            (training, folder.join("run"))
        }
        _ => return Err("usage: train_folder [PICTURES RUN]".into()),
    };
    let training = training.on_progress(|progress| {
        if let Progress::Training { stage, step, steps, losses } = progress {
            let losses: Vec<String> = losses.iter().map(|(name, loss)| format!("{name} {loss:.4}")).collect();
            eprintln!("{stage}: step {step} of {steps}, {}", losses.join(", "));
        }
        // `Break` would stop here; the same command would then go on from the checkpoint.
        ControlFlow::Continue(())
    });
    match training.run(&run)? {
        Outcome::Done(run) => {
            for error in run.skipped() {
                eprintln!("skipped: {error}");
            }
            println!("{}", run.model_path().display());
        }
        Outcome::Stopped { stage, step, steps } => println!("stopped in {stage} after step {step} of {steps}"),
    }
    Ok(())
}

/// Sixty pictures of a disc near the centre.
fn draw(folder: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    for n in 0..60_u32 {
        let (x0, y0) = (14 + n % 5, 14 + n % 7);
        let picture = GrayImage::from_fn(32, 32, |x, y| {
            let distance = x.abs_diff(x0).pow(2) + y.abs_diff(y0).pow(2);
            Luma([255_u32.saturating_sub(3 * distance) as u8])
        });
        picture.save(folder.join(format!("{n:02}.png")))?;
    }
    Ok(())
}
