use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

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
    pub fn progress(&self, name: &'static str, unit: &'static str, done: usize, len: usize) -> Progress {
        let drawn = !self.quiet && std::io::stderr().is_terminal();
        let bar = if drawn { ProgressBar::new(len as u64) } else { ProgressBar::hidden() };
        let template = format!("{name:<9}[{{bar:30}}] {{pos}}/{{len}} {unit} {{msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let now = Instant::now();
        Progress { bar, name, unit, len, first: done, started: now, printed: now, lines: !self.quiet && !drawn }
    }
}

/// A stretch of work under way: a bar on a terminal, else a line now and then.
pub struct Progress {
    bar: ProgressBar,
    name: &'static str,
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
