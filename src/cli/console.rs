use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use pkdgan::pipeline::Watch;
use pkdgan::train::{Losses, Stage};

/// What a person sees: on stderr, so that stdout is left to results.
pub struct Console {
    quiet: bool,
}

/// Time between lines where there is no terminal to draw a bar on.
const LINE_EVERY: Duration = Duration::from_secs(10);

impl Console {
    /// One that says nothing, or all.
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Prints a line.
    pub fn say(&self, line: impl AsRef<str>) {
        if !self.quiet {
            eprintln!("{}", line.as_ref());
        }
    }

    /// Begins a stretch of `len` units of work, of which `done` are done.
    pub fn progress(&self, name: impl Into<String>, unit: &'static str, done: usize, len: usize) -> Progress {
        let drawn = !self.quiet && std::io::stderr().is_terminal();
        let bar = if drawn { ProgressBar::new(len as u64) } else { ProgressBar::hidden() };
        let name = name.into();
        let template = format!("{name:<17}[{{bar:30}}] {{pos}}/{{len}} {unit} {{msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let now = Instant::now();
        Progress { bar, name, unit, len, first: done, started: now, printed: now, lines: !self.quiet && !drawn }
    }

    /// Begins work without a known end.
    pub fn counter(&self, name: &'static str, unit: &'static str) -> Counter {
        let drawn = !self.quiet && std::io::stderr().is_terminal();
        let bar = if drawn { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let now = Instant::now();
        Counter { bar, name, unit, started: now, printed: now, lines: !self.quiet && !drawn }
    }
}

/// A stretch of work under way: a bar on a terminal, else a line now and then.
pub struct Progress {
    bar: ProgressBar,
    name: String,
    unit: &'static str,
    len: usize,
    first: usize,
    started: Instant,
    printed: Instant,
    lines: bool,
}

impl Progress {
    /// So much is done; `detail` says more.
    pub fn update(&mut self, done: usize, detail: &str) {
        let rate = done.saturating_sub(self.first) as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let left = Duration::from_secs_f64((self.len.saturating_sub(done) as f64 / rate.max(1e-9)).min(1e9));
        let message = format!("{rate:.1}/s, {} left{detail}", indicatif::HumanDuration(left));
        self.bar.set_position(done as u64);
        self.bar.set_message(message.clone());
        if self.lines && self.printed.elapsed() >= LINE_EVERY {
            self.printed = Instant::now();
            eprintln!("{} {done}/{} {}, {message}", self.name, self.len, self.unit);
        }
    }

    /// Clears the bar.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// Units of work, of which nobody knows how many there will be: a spinner on a terminal, else a line now and then.
pub struct Counter {
    bar: ProgressBar,
    name: &'static str,
    unit: &'static str,
    started: Instant,
    printed: Instant,
    lines: bool,
}

impl Counter {
    /// So much is done; `detail` says more.
    pub fn update(&mut self, done: usize, detail: &str) {
        let rate = done as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let message = || format!("{} {done} {}, {rate:.0}/s{detail}", self.name, self.unit);
        self.bar.set_message(message());
        if self.lines && self.printed.elapsed() >= LINE_EVERY {
            self.printed = Instant::now();
            eprintln!("{}", message());
        }
    }

    /// Lets something else be printed.
    pub fn aside(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Clears the spinner.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// A flag that ctrl-C raises; the second time it ends the process.
pub fn stop_on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::SeqCst) {
            // Asked twice, or after training: the latest checkpoint has to do.
            eprintln!("\nstopped");
            std::process::exit(1);
        }
        eprintln!("\nstopping after the steps under way; ctrl-C again stops at once");
    })
    .context("ctrl-C cannot be caught")?;
    Ok(stop)
}

/// Shows the progress of a run's stages, and passes ctrl-C on.
pub struct Watcher<'a> {
    console: &'a Console,
    stop: Arc<AtomicBool>,
    shown: Option<(String, Progress)>,
}

impl<'a> Watcher<'a> {
    /// One that asks training to stop once `stop` is raised.
    pub fn new(console: &'a Console, stop: Arc<AtomicBool>) -> Self {
        Self { console, stop, shown: None }
    }

    /// From here on the next ctrl-C stops at once.
    pub fn last_chance(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Clears the bar.
    pub fn finish(&mut self) {
        if let Some((_, progress)) = self.shown.take() {
            progress.finish();
        }
    }

    fn show(&mut self, name: String, unit: &'static str, done: usize, len: usize) {
        self.finish();
        let progress = self.console.progress(name.clone(), unit, done, len);
        self.shown = Some((name, progress));
    }
}

impl Watch for Watcher<'_> {
    fn begin(&mut self, stage: Stage, done: usize, steps: usize) {
        self.show(format!("training {stage}"), "steps", done, steps);
    }

    fn step(&mut self, _stage: Stage, done: usize, losses: &Losses) -> bool {
        let losses: Vec<String> = losses.0.iter().map(|(name, value)| format!(", {name} {value:.3}")).collect();
        if let Some((_, progress)) = &mut self.shown {
            progress.update(done, &losses.concat());
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
        }
    }
}
