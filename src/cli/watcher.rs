//! Progress of a run's stages, for people, machines and TensorBoard. It may stop a run, and
//! changes nothing else.

use std::io::{Read, stdin};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use pkdgan::engine::DeviceKind;
use pkdgan::unstable::pipeline::{TimedDevices, Watch};
use pkdgan::unstable::run::{EventFile, RunError};
use pkdgan::unstable::train::{Event, Losses, Stage};
use serde_json::json;

use super::console::{Console, Preparing, Progress};
use super::output;

/// Shows the progress of a run's stages, writes it for TensorBoard, and passes ctrl-C on.
pub(super) struct Watcher<'a> {
    console: &'a Console,
    stop: Arc<AtomicBool>,
    shown: Option<(String, Progress)>,
    preparing: Option<Preparing>,
    /// When the program began, until its first step is done.
    started: Option<Instant>,
    /// AUROC of the last evaluation of the stage.
    auroc: Option<f64>,
    /// Folder of the event files, each in one of its stage, and the one of the stage under way.
    tensorboard: Option<PathBuf>,
    events: Option<EventFile>,
    /// Steps of a process after which each stage waits, if any, and the step at which this one does.
    wait_after: Option<usize>,
    wait_at: Option<usize>,
}

/// The variable for tests that has each stage wait, after so many steps of the process, until standard input brings a
/// byte or ends. So tests that interrupt or kill a run do not depend on how fast it is.
const WAIT_VARIABLE: &str = "PKDGAN_TEST_WAIT";

impl<'a> Watcher<'a> {
    /// One that asks training to stop once `stop` is raised, in a program that began at `started`.
    pub(super) fn new(console: &'a Console, stop: Arc<AtomicBool>, started: Instant) -> Self {
        Self {
            console,
            stop,
            shown: None,
            preparing: None,
            started: Some(started),
            auroc: None,
            tensorboard: None,
            events: None,
            wait_after: std::env::var(WAIT_VARIABLE).ok().and_then(|steps| steps.parse().ok()),
            wait_at: None,
        }
    }

    /// Writes event files for TensorBoard in a folder of each stage below this one, too.
    pub(super) fn with_tensorboard(self, folder: PathBuf) -> Self {
        Self { tensorboard: Some(folder), ..self }
    }

    /// From here on the next ctrl-C stops at once. Whether one came before, which is to be heeded now: it may have come
    /// after the last step.
    pub(super) fn last_chance(&self) -> bool {
        self.stop.swap(true, Ordering::SeqCst)
    }

    /// Clears what is shown.
    pub(super) fn finish(&mut self) {
        self.preparing = None;
        if let Some((_, progress)) = self.shown.take() {
            progress.finish();
        }
    }

    fn show(&mut self, name: String, unit: &'static str, done: usize, len: usize) {
        self.finish();
        let progress = self.console.progress(name.clone(), unit, done, len);
        self.shown = Some((name, progress));
    }

    fn steps(&mut self, stage: Stage, done: usize, losses: &Losses) {
        if let Some(started) = self.started.take() {
            let seconds = started.elapsed().as_secs_f64();
            tracing::info!("the first step was done {seconds:.2} s after the start");
            self.console.event("first_step", json!({ "stage": stage, "step": done, "seconds": seconds }));
        }
        let auroc = self.auroc.map_or_else(String::new, |auroc| format!(", AUROC {auroc:.4}"));
        let text: Vec<String> = losses.0.iter().map(|(name, value)| format!(", {name} {value:.3}")).collect();
        if let Some((_, progress)) = &mut self.shown {
            progress.update(done, &format!("{auroc}{}", text.concat()));
            let mut more = json!({ "stage": stage, "losses": losses });
            if let Some(auroc) = self.auroc {
                more["auroc"] = auroc.into();
            }
            progress.event("step", done, more);
        }
    }

    fn evaluated(&mut self, stage: Stage, step: usize, auroc: f64) {
        self.auroc = Some(auroc);
        self.console.event("evaluation", json!({ "stage": stage, "step": step, "auroc": auroc }));
        self.record(|events| events.scalars(step, [("evaluation/auroc", auroc as f32)]));
    }

    fn logged(&mut self, step: usize, losses: &Losses) {
        let rate =
            self.shown.as_ref().map(|(_, progress)| ("speed/steps_per_second".to_owned(), progress.rate(step) as f32));
        let figures: Vec<(String, f32)> =
            losses.0.iter().map(|(name, value)| (format!("loss/{name}"), *value)).chain(rate).collect();
        self.record(|events| events.scalars(step, figures.iter().map(|(name, value)| (name.as_str(), *value))));
    }

    /// Writes an event, if any are to be written. Events that cannot be written do not stop training.
    fn record(&mut self, write: impl FnOnce(&mut EventFile) -> Result<(), RunError>) {
        if let Some(events) = &mut self.events
            && let Err(error) = write(events)
        {
            self.stop_events(&error);
        }
    }

    fn stop_events(&mut self, error: &RunError) {
        self.events = None;
        self.tensorboard = None;
        tracing::warn!("{error}; TensorBoard gets no more of this run");
    }
}

impl Watch for Watcher<'_> {
    fn begin(&mut self, stage: Stage, done: usize, steps: usize) {
        self.auroc = None;
        self.wait_at = self.wait_after.map(|steps| done + steps);
        self.show(format!("training {stage}"), "steps", done, steps);
        self.console.event("begin", json!({ "stage": stage, "step": done, "steps": steps }));
        if let Some(folder) = &self.tensorboard {
            match EventFile::create(&folder.join(stage.name()), done) {
                Ok(events) => self.events = Some(events),
                Err(error) => self.stop_events(&error),
            }
        }
    }

    fn prepare(&mut self, phase: &str) {
        self.finish();
        self.preparing = Some(self.console.preparing(phase));
    }

    fn chose(&mut self, stage: Stage, kind: DeviceKind, timed: &TimedDevices) {
        self.finish();
        self.console.chose(stage, kind, timed);
    }

    fn wants_estimate(&self) -> bool {
        self.console.is_heard()
    }

    fn estimated(&mut self, stages: &[(Stage, f64)]) {
        self.finish();
        self.console.estimated(stages);
    }

    fn trained(&mut self, stage: Stage, event: Event) -> bool {
        match event {
            Event::Steps(done, losses) => {
                self.steps(stage, done, losses);
                if self.wait_at.take_if(|step| done >= *step).is_some() {
                    output::note(format_args!("waiting after step {done} of stage {stage}"));
                    // Where there is no input, it has ended.
                    let _ = stdin().read(&mut [0]);
                }
            }
            Event::Logged(step, losses) => self.logged(step, losses),
            Event::Evaluated(step, auroc) => self.evaluated(stage, step, auroc),
        }
        self.stop.load(Ordering::SeqCst)
    }

    fn scored(&mut self, network: &str, done: usize, images: usize) {
        let name = format!("scoring {network}");
        if self.shown.as_ref().is_none_or(|(shown, _)| *shown != name) {
            self.show(name, "images", 0, images);
        }
        if let Some((_, progress)) = &mut self.shown {
            progress.update(done, "");
            progress.event("scoring", done, json!({ "network": network }));
        }
    }
}
