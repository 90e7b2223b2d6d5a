//! Training on a folder of pictures.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use pkdgan::config::{Goal, Recipe};
use pkdgan::training::{Outcome, Progress, Training};
use pkdgan::unstable::config::resolve;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::detached::{keeps_threads, long, same_process};
use crate::errors::exception;
use crate::options::{device_kind, gpu_options};

/// What a training is doing.
struct Event {
    phase: String,
    done: usize,
    total: usize,
    losses: Vec<(&'static str, f32)>,
}

impl Event {
    fn of(progress: &Progress) -> Option<Self> {
        let event = |phase: String, done, total| Self { phase, done, total, losses: Vec::new() };
        Some(match *progress {
            Progress::Reading { done, pictures } => event("reading".into(), done, pictures),
            Progress::Preparing { phase } => event(format!("preparing {phase}"), 0, 0),
            Progress::Training { stage, step, steps, losses } => {
                Self { losses: losses.to_vec(), ..event(format!("training {stage}"), step, steps) }
            }
            Progress::Scoring { network, done, images } => event(format!("scoring {network}"), done, images),
            _ => return None,
        })
    }
}

/// Trains on the pictures of a folder, fills the run folder, and returns the path of the model and what was found out.
/// `settings` are as those of `--set`, the folder of the pictures among them.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "Python names them")]
pub(crate) fn train(
    py: Python<'_>,
    pictures: PathBuf,
    run_folder: PathBuf,
    recipe: &str,
    stage: &str,
    settings: Vec<String>,
    device: &str,
    adapter: Option<String>,
    callback: Option<Py<PyAny>>,
) -> PyResult<(PathBuf, Option<f64>, f64, Vec<String>)> {
    same_process()?;
    keeps_threads();
    let recipe = Recipe::ALL
        .into_iter()
        .find(|known| known.name() == recipe)
        .ok_or_else(|| exception(&pkdgan::config::ConfigError::UnknownRecipe { name: recipe.to_owned() }))?;
    let goal = match stage {
        "all" => Goal::All,
        "teacher" => Goal::Teacher,
        "student" => Goal::Student,
        other => {
            return Err(PyValueError::new_err(format!("there is no stage `{other}`; there are all, teacher, student")));
        }
    };
    let images = ["data.dataset=images".to_owned(), "data.normal=0".to_owned()];
    let sets: Vec<String> = images.into_iter().chain(settings).collect();
    let config = resolve(recipe, None, &sets).map_err(|error| exception(&error))?;
    let kind = device_kind(device)?;
    let work = |stop: &AtomicBool, events: &Sender<Event>| {
        let mut training = Training::on_images(pictures).config(config).goal(goal).gpu(gpu_options(adapter));
        if let Some(kind) = kind {
            training = training.device(kind);
        }
        let watched = training.on_progress(|progress| {
            if let Some(event) = Event::of(&progress) {
                // Nobody may listen any more.
                let _ = events.send(event);
            }
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        watched.run(&run_folder)
    };
    let tell = |py: Python<'_>, event: Event| {
        let Some(callback) = &callback else { return Ok(()) };
        let told = PyDict::new(py);
        told.set_item("phase", event.phase)?;
        told.set_item("done", event.done)?;
        told.set_item("total", event.total)?;
        let losses = PyDict::new(py);
        event.losses.into_iter().try_for_each(|(name, loss)| losses.set_item(name, loss))?;
        told.set_item("losses", losses)?;
        callback.call1(py, (told,)).map(drop)
    };
    match long(py, work, tell)?.map_err(|error| exception(&error))? {
        Outcome::Done(run) => {
            let skipped = run.skipped().iter().map(ToString::to_string).collect();
            Ok((run.model_path(), run.auroc(), run.seconds(), skipped))
        }
        Outcome::Stopped { stage, step, steps } => {
            Err(PyRuntimeError::new_err(format!("stopped in {stage} after step {step} of {steps}")))
        }
    }
}
