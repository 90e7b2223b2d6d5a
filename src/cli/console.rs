//! What people and machines see of long work, on stderr: lines, bars, JSON events; and ctrl-C. It knows no command.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use pkdgan::config::Config;
use pkdgan::data::DataError;
use pkdgan::engine::DeviceKind;
use pkdgan::unstable::pipeline::{Data, TimedDevices};
use pkdgan::unstable::threads::can_start;
use pkdgan::unstable::train::Stage;
use serde_json::{Value, json};

use super::output;

/// How the course of long work is shown, on stderr.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Show {
    /// A bar on a terminal, nothing elsewhere
    #[default]
    Auto,
    /// A line every ten seconds
    Plain,
    /// A JSON object a line, at most one a second of each event, and no other lines but errors and warnings
    Json,
    /// Nothing
    None,
}

/// What a person sees, or a machine that asked for it: on stderr, so that stdout is left to results.
pub(super) struct Console {
    quiet: bool,
    show: Show,
}

/// Time between lines for people.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Time between pictures of a spinner.
const SPINNING: Duration = Duration::from_millis(100);
/// Time between lines for machines.
const JSON_EVERY: Duration = Duration::from_secs(1);

impl Console {
    /// One that says nothing, or all.
    pub(super) fn new(quiet: bool) -> Self {
        Self::showing(quiet, Show::Auto)
    }

    /// The same, with the course of long work shown in this way.
    pub(super) fn showing(quiet: bool, show: Show) -> Self {
        let terminal = output::has_terminal();
        let drawn = show == Show::Json || !quiet && (show != Show::Auto || terminal);
        Self { quiet: quiet || show == Show::Json, show: if drawn { show } else { Show::None } }
    }

    /// Prints a line.
    pub(super) fn say(&self, line: impl AsRef<str>) {
        if !self.quiet {
            output::note(line.as_ref());
        }
    }

    /// Prints an event, where a machine asked for them: an object with `event`, its name, and more.
    pub(super) fn event(&self, name: &str, mut more: Value) {
        if self.show == Show::Json {
            more["event"] = name.into();
            output::note(format_args!("{more}"));
        }
    }

    /// Whether anybody is told anything beside results.
    pub(super) fn is_heard(&self) -> bool {
        !self.quiet || self.show == Show::Json
    }

    /// Says how many seconds the stages will take.
    pub(super) fn estimated(&self, stages: &[(Stage, f64)]) {
        let all: f64 = stages.iter().map(|(_, seconds)| seconds).sum();
        let parts: Vec<String> = stages.iter().map(|(stage, seconds)| format!("{stage} {}", about(*seconds))).collect();
        let parts = if parts.len() > 1 { format!(" ({})", parts.join(", ")) } else { String::new() };
        self.say(format!("training will take about {}{parts}, if the machine has nothing else to do", about(all)));
        let stages: Vec<_> =
            stages.iter().map(|(stage, seconds)| json!({ "stage": stage, "seconds": seconds })).collect();
        self.event("estimate", json!({ "seconds": all, "stages": stages }));
    }

    /// Says which kind of device proved faster for a stage.
    pub(super) fn chose(&self, stage: Stage, kind: DeviceKind, timed: &TimedDevices) {
        let times: Vec<String> =
            timed.iter().map(|(kind, seconds)| format!("{kind} {:.2} ms", 1e3 * seconds)).collect();
        self.say(format!(
            "{stage}: on the {kind}, for a step takes: {}; `--device` chooses otherwise",
            times.join(", ")
        ));
        self.event("device", json!({ "stage": stage, "device": kind, "timed": timed }));
    }

    /// Begins a stretch of `len` units of work, of which `done` are done. `name` is for people.
    pub(super) fn progress(&self, name: impl Into<String>, unit: &'static str, done: usize, len: usize) -> Progress {
        let bar = if self.show == Show::Auto { ProgressBar::new(len as u64) } else { ProgressBar::hidden() };
        let name = name.into();
        let template = format!("{name:<17}[{{bar:30}}] {{pos}}/{{len}} {unit} {{msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let now = Instant::now();
        Progress { bar, name, unit, len, first: done, started: now, printed: None, show: self.show }
    }

    /// Begins to make a phase of work ready: a device is opened, and on a GPU kernels are compiled.
    pub(super) fn preparing(&self, phase: &str) -> Preparing {
        let what = format!("{phase}: preparing (on a GPU the first time compiles kernels)");
        self.event("prepare", json!({ "phase": phase }));
        if self.show == Show::Plain {
            output::note(format_args!("{what}"));
        }
        let bar = if self.show == Show::Auto { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        bar.set_message(what);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        // The bar's thread would panic where it cannot be started.
        if self.show == Show::Auto && can_start().is_ok() {
            bar.enable_steady_tick(SPINNING);
        }
        Preparing(bar)
    }

    /// Reads the data of a run, and names the files that are skipped.
    pub(super) fn load(&self, config: &Config) -> Result<Data, DataError> {
        let mut shown: Option<Progress> = None;
        let mut last = 0;
        let data = Data::load(config, &mut |done, pictures| {
            // A second folder begins anew.
            if done < last {
                shown.take().into_iter().for_each(Progress::finish);
            }
            last = done;
            let shown = shown.get_or_insert_with(|| self.progress("reading", "pictures", 0, pictures));
            shown.update(done, "");
            shown.event("reading", done, json!({}));
        });
        shown.into_iter().for_each(Progress::finish);
        let data = data?;
        for error in data.own.iter().flat_map(|own| &own.skipped) {
            self.say(format!("skipped: {error}"));
        }
        if let Some(own) = &data.own {
            own.noted.lines(own.range).iter().for_each(|line| self.say(line));
        }
        Ok(data)
    }

    /// Begins work without a known end.
    pub(super) fn counter(&self, name: &'static str, unit: &'static str) -> Counter {
        let drawn = !self.quiet && output::has_terminal();
        let bar = if drawn { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let now = Instant::now();
        Counter { bar, name, unit, started: now, printed: now, lines: !self.quiet && !drawn }
    }
}

/// A time as people say it, in its two largest units.
fn about(seconds: f64) -> String {
    let whole = seconds.round().min(1e15) as u64;
    match whole {
        0..=119 => format!("{} s", whole.max(1)),
        120..=7199 => format!("{} min", (seconds / 60.0).round()),
        7200..=172_799 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} days {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// Work that is being made ready: a spinner until it is dropped.
pub(super) struct Preparing(ProgressBar);

impl Drop for Preparing {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A stretch of work under way: a bar, or a line now and then.
pub(super) struct Progress {
    bar: ProgressBar,
    name: String,
    unit: &'static str,
    len: usize,
    first: usize,
    started: Instant,
    printed: Option<Instant>,
    show: Show,
}

impl Progress {
    /// So much is done; `detail` says more to people.
    pub(super) fn update(&mut self, done: usize, detail: &str) {
        let left = Duration::from_secs_f64(self.seconds_left(done));
        let message = format!("{:.1}/s, {} left{detail}", self.rate(done), indicatif::HumanDuration(left));
        self.bar.set_position(done as u64);
        self.bar.set_message(message.clone());
        let since = self.printed.unwrap_or(self.started).elapsed();
        if self.show == Show::Plain && since >= LINE_EVERY {
            self.printed = Some(Instant::now());
            output::note(format_args!("{} {done}/{} {}, {message}", self.name, self.len, self.unit));
        }
    }

    /// Says the same to machines, if it is time to: `more` with how much is done, how fast, and how long is left.
    pub(super) fn event(&mut self, name: &str, done: usize, mut more: Value) {
        let due = self.printed.is_none_or(|printed| printed.elapsed() >= JSON_EVERY) || done == self.len;
        if self.show != Show::Json || !due {
            return;
        }
        self.printed = Some(Instant::now());
        more["event"] = name.into();
        // `steps` is how many there are in all, `step` how many are done.
        more[self.unit] = self.len.into();
        more[self.unit.trim_end_matches('s')] = done.into();
        more[format!("{}_per_second", self.unit)] = json!(self.rate(done));
        more["seconds_left"] = json!(self.seconds_left(done));
        output::note(format_args!("{more}"));
    }

    /// Clears the bar.
    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }

    /// Units a second since it began.
    pub(super) fn rate(&self, done: usize) -> f64 {
        done.saturating_sub(self.first) as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }

    fn seconds_left(&self, done: usize) -> f64 {
        (self.len.saturating_sub(done) as f64 / self.rate(done).max(1e-9)).min(1e9)
    }
}

/// Units of work, of which nobody knows how many there will be: a spinner on a terminal, else a line now and then.
pub(super) struct Counter {
    bar: ProgressBar,
    name: &'static str,
    unit: &'static str,
    started: Instant,
    printed: Instant,
    lines: bool,
}

impl Counter {
    /// So much is done; `detail` says more.
    pub(super) fn update(&mut self, done: usize, detail: &str) {
        let rate = done as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let message = || format!("{} {done} {}, {rate:.0}/s{detail}", self.name, self.unit);
        self.bar.set_message(message());
        if self.lines && self.printed.elapsed() >= LINE_EVERY {
            self.printed = Instant::now();
            output::note(message());
        }
    }

    /// Lets something else be printed.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Clears the spinner.
    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// A flag that ctrl-C raises, `when` that takes effect; the second time it ends the process.
pub(super) fn stop_on_interrupt(when: &'static str) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::SeqCst) {
            // Asked twice, or after what heeds the flag: what is saved has to do.
            output::note("\nstopped");
            std::process::exit(1);
        }
        output::note(format_args!("\nstopping {when}; ctrl-C again stops at once"));
    })
    .context("ctrl-C cannot be caught, for which a thread is started")?;
    Ok(stop)
}
