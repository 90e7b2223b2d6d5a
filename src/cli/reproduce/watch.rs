//! Progress of a grid: a line for each cell, over the bars of the stage at hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::HumanDuration;
use pkdgan::engine::DeviceKind;
use pkdgan::unstable::pipeline::{TimedDevices, Watch};
use pkdgan::unstable::reproduce::{Cell, Observe, Survey};
use pkdgan::unstable::train::{Event, Stage};
use serde_json::json;

use crate::cli::console::Console;
use crate::cli::watcher::Watcher;

/// Shows the progress of a grid: a line a cell, the stages' bars under it.
pub(super) struct GridWatcher<'a> {
    console: &'a Console,
    watcher: Watcher<'a>,
    stop: Arc<AtomicBool>,
    started: Instant,
    /// Cost of the cells that were run, of the one under way, and of all that were to run.
    done: f64,
    current: f64,
    all: f64,
    /// Cells that it was last said to wait for.
    waited: usize,
}

impl<'a> GridWatcher<'a> {
    /// One that asks the grid to stop once `stop` is raised.
    pub(super) fn new(console: &'a Console, stop: Arc<AtomicBool>, survey: &Survey) -> Self {
        let (left, all) = (survey.left().count(), survey.cells().len());
        console.say(format!("{all} cells, {} of them done", all - left));
        let watcher = Watcher::new(console, stop.clone(), Instant::now());
        let cost = survey.left().map(Cell::cost).sum();
        Self { console, watcher, stop, started: Instant::now(), done: 0.0, current: 0.0, all: cost, waited: 0 }
    }

    /// Clears the bar.
    pub(super) fn finish(&mut self) {
        self.watcher.finish();
    }
}

impl Observe for GridWatcher<'_> {
    fn cell(&mut self, place: usize, cells: &[Cell]) {
        self.watcher.finish();
        self.done += self.current;
        self.current = cells[place].cost();
        self.console.event("cell", json!({ "cell": place + 1, "cells": cells.len(), "title": cells[place].title() }));
        let mut line = format!("[{}/{}] {}", place + 1, cells.len(), cells[place].title());
        if self.done > 0.0 {
            let seconds = self.started.elapsed().as_secs_f64() * (self.all - self.done) / self.done;
            line += &format!("; {} left for all", HumanDuration(Duration::from_secs_f64(seconds.clamp(0.0, 1e9))));
        }
        self.console.say(line);
    }

    fn waits(&mut self, left: usize) {
        if self.waited != left {
            self.waited = left;
            let cells = if left == 1 { "cell" } else { "cells" };
            self.console.say(format!("waiting for {left} {cells} that other processes are at work on"));
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

impl Watch for GridWatcher<'_> {
    fn begin(&mut self, stage: Stage, done: usize, steps: usize) {
        self.watcher.begin(stage, done, steps);
    }

    fn prepare(&mut self, phase: &str) {
        self.watcher.prepare(phase);
    }

    fn chose(&mut self, stage: Stage, kind: DeviceKind, timed: &TimedDevices) {
        self.watcher.chose(stage, kind, timed);
    }

    fn trained(&mut self, stage: Stage, event: Event) -> bool {
        self.watcher.trained(stage, event)
    }

    fn stops(&self) -> bool {
        self.stopped()
    }

    fn scored(&mut self, network: &str, done: usize, images: usize) {
        self.watcher.scored(network, done, images);
    }
}
