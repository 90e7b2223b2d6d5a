//! A grid in several processes: this one starts them, watches the cells and writes the results; they train.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, stdin};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, available_parallelism, sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::HumanDuration;
use pkdgan::unstable::reproduce::{Cell, State};
use serde_json::json;

use crate::cli::console::Console;
use crate::cli::output;

/// Time between looks at the processes.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Of those looks, every so many-th is one at the cells too: it reads the configuration of each that is not done.
const CELLS_EVERY: usize = 10;
/// Limits the threads of a process.
const THREADS: &str = "RAYON_NUM_THREADS";

/// A process that runs cells, and what it says.
struct Worker {
    process: Child,
    said: JoinHandle<String>,
}

/// Runs this command in so many processes, each with its share of the cores, until all have ended. They end on their own,
/// or soon after `stop` is raised, or when this process dies. Cells may be left, where processes were killed.
///
/// # Errors
/// A process that cannot be started, and folders of cells that cannot be read.
pub(super) fn run(jobs: usize, cells: &[Cell], console: &Console, stop: &AtomicBool) -> anyhow::Result<()> {
    let threads = (available_parallelism().map_or(1, usize::from) / jobs).max(1);
    console.say(format!("{jobs} processes, {threads} {} each", if threads == 1 { "thread" } else { "threads" }));
    let mut progress = Progress::new(cells)?;
    let mut workers = (0..jobs).map(|number| Worker::start(number, threads)).collect::<Result<Vec<_>, _>>()?;
    let mut said = HashSet::new();
    let mut looks = 0;
    while !workers.is_empty() {
        sleep(LOOK_EVERY);
        looks += 1;
        if stop.load(Ordering::SeqCst) {
            // What a worker reads its standard input for is the end of it.
            workers.iter_mut().for_each(|worker| drop(worker.process.stdin.take()));
        }
        for mut worker in std::mem::take(&mut workers) {
            match worker.process.try_wait().context("a process of the grid cannot be waited for")? {
                None => workers.push(worker),
                Some(status) if status.success() => {}
                Some(status) => {
                    let text = worker.said.join().unwrap_or_default();
                    // Several may stumble over the same.
                    if said.insert(text.clone()) {
                        let id = worker.process.id();
                        output::note(format_args!("process {id} ended ({status}); its cell goes on elsewhere\n{text}"));
                    }
                }
            }
        }
        if looks % CELLS_EVERY == 0 || workers.is_empty() {
            progress.show(cells, console)?;
        }
    }
    Ok(())
}

impl Worker {
    /// Starts a process that runs cells of the same grid, with its share of the adapters.
    fn start(number: usize, threads: usize) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("the program's own file cannot be found")?;
        let mut command = Command::new(program);
        command.args(std::env::args_os().skip(1)).arg(format!("--worker={number}"));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        if std::env::var_os(THREADS).is_none() {
            command.env(THREADS, threads.to_string());
        }
        let mut process = command.spawn().context("a process for the grid cannot be started")?;
        let stderr = process.stderr.take();
        let said = spawn(move || stderr.and_then(|stderr| io::read_to_string(stderr).ok()).unwrap_or_default());
        Ok(Self { process, said })
    }
}

/// Raises a flag once the process that started this one is gone, or wants it to stop.
pub(super) fn stop_with_parent(stop: &Arc<AtomicBool>) {
    let stop = stop.clone();
    spawn(move || {
        let _ = stdin().read_to_end(&mut Vec::new());
        stop.store(true, Ordering::SeqCst);
    });
}

/// What was said about each cell.
struct Progress {
    states: HashMap<PathBuf, State>,
    started: Instant,
    /// What it cost to run the cells that became done, and what it will cost to run all others.
    cost: [f64; 2],
}

impl Progress {
    fn new(cells: &[Cell]) -> anyhow::Result<Self> {
        let states = cells.iter().map(|cell| Ok((cell.folder.clone(), cell.state()?)));
        let states: HashMap<PathBuf, State> = states.collect::<anyhow::Result<_>>()?;
        let left = cells.iter().filter(|cell| states[&cell.folder] != State::Done);
        let cost = [0.0, left.map(Cell::cost).sum()];
        Ok(Self { states, started: Instant::now(), cost })
    }

    /// A line for each cell that began, ended or failed since the last look.
    fn show(&mut self, cells: &[Cell], console: &Console) -> anyhow::Result<()> {
        for (place, cell) in cells.iter().enumerate() {
            let before = &self.states[&cell.folder];
            if *before == State::Done {
                continue;
            }
            let state = cell.state()?;
            if state == *before {
                continue;
            }
            let mut what = match &state {
                State::Running => "begun".to_owned(),
                State::Done => "done".to_owned(),
                State::Failed { why, .. } => format!("failed: {why}"),
                State::New | State::Begun => "left".to_owned(),
            };
            if state == State::Done {
                self.cost[0] += cell.cost();
                self.cost[1] -= cell.cost();
                let left = self.started.elapsed().as_secs_f64() * self.cost[1] / self.cost[0];
                what += &format!("; {} left for all", HumanDuration(Duration::from_secs_f64(left.clamp(0.0, 1e9))));
            }
            console.event(
                "cell",
                json!({ "cell": place + 1, "cells": cells.len(), "title": cell.title(), "state": what }),
            );
            console.say(format!("[{}/{}] {}: {what}", place + 1, cells.len(), cell.title()));
            self.states.insert(cell.folder.clone(), state);
        }
        Ok(())
    }
}
