//! Lists of numbers as people write them, and of a grid's cells: how far each is.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use indicatif::HumanDuration;
use pkdgan::unstable::pipeline::Plan;
use pkdgan::unstable::reproduce::{Cell, ReproduceError, State};
use serde_json::json;

use crate::cli::output;

/// Numbers as `0-9` or `0,1,4`, in ascending order.
#[derive(Clone)]
pub(super) struct List<T>(pub Vec<T>);

/// Most numbers of a list.
const MAX_ITEMS: u64 = 10_000;

impl<T: TryFrom<u64>> FromStr for List<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("`{text}` is no list of numbers; write 0-9 or 0,1,4");
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let mut numbers = BTreeSet::new();
        for item in text.split(',') {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            let (first, last) = number(first).zip(number(last)).ok_or_else(malformed)?;
            if first > last || last - first >= MAX_ITEMS {
                return Err(malformed());
            }
            numbers.extend(first..=last);
        }
        let numbers = numbers.into_iter().map(|number| T::try_from(number).map_err(|_| malformed()));
        Ok(Self(numbers.collect::<Result<_, _>>()?))
    }
}

/// Says how far a grid is: what is done, running, failed and to do, and how much work is left.
pub(super) fn print_status(cells: &[Cell], json: bool) -> anyhow::Result<ExitCode> {
    let states = cells.iter().map(|cell| Ok((cell, cell.state()?))).collect::<Result<Vec<_>, ReproduceError>>()?;
    let count = |wanted: fn(&State) -> bool| states.iter().filter(|(_, state)| wanted(state)).count();
    let done = count(|state| *state == State::Done);
    let running = count(|state| *state == State::Running);
    let failed = count(|state| matches!(state, State::Failed { .. }));
    let begun = count(|state| *state == State::Begun);
    let to_do = count(|state| *state == State::New);
    let left = work_left(&states)?;
    if json {
        let listed = |(cell, state): &(&Cell, State)| json!({ "cell": cell.title(), "state": name(state), "folder": cell.folder });
        let listed: Vec<_> = states.iter().map(listed).collect();
        output::line(serde_json::to_string_pretty(&json!({
            "cells": cells.len(), "done": done, "running": running, "failed": failed, "begun": begun, "to_do": to_do,
            "seconds_of_work_left": left, "list": listed,
        }))?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (cell, state) in &states {
        let why = match state {
            State::Failed { why, .. } => format!(": {why}"),
            State::Running | State::Begun => String::new(),
            State::New | State::Done => continue,
        };
        output::line(format_args!("{:<8} {}  {}{why}", name(state), cell.title(), cell.folder.display()))?;
    }
    let all = cells.len();
    output::line(format_args!(
        "{done} of {all} cells done, {running} running, {failed} failed, {begun} begun but at rest, {to_do} to do"
    ))?;
    if let Some(seconds) = left.filter(|_| done < all) {
        let left = HumanDuration(Duration::from_secs_f64(seconds.clamp(0.0, 1e9)));
        output::line(format_args!("{left} of work left for one process, by what the cells that are done took"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Seconds that one process would take for the cells that are not done; none where no cell is done.
fn work_left(states: &[(&Cell, State)]) -> Result<Option<f64>, ReproduceError> {
    let (mut seconds, mut cost, mut left) = (0.0, 0.0, 0.0);
    for (cell, state) in states {
        if *state == State::Done {
            seconds += cell.report()?.seconds_total;
            cost += cell.cost();
        } else {
            left += cell.cost();
        }
    }
    Ok((cost > 0.0).then(|| left * seconds / cost))
}

fn name(state: &State) -> &'static str {
    match state {
        State::New => "to do",
        State::Begun => "begun",
        State::Running => "running",
        State::Failed { .. } => "failed",
        State::Done => "done",
    }
}

/// Lists the cells, how far each is, and their settings.
pub(super) fn print_cells(cells: &[Cell], json: bool) -> anyhow::Result<ExitCode> {
    let states = cells.iter().map(state).collect::<Result<Vec<_>, _>>()?;
    if json {
        let cell = |(cell, state): (&Cell, &String)| json!({ "cell": cell.title(), "state": state, "folder": cell.folder, "config": cell.config });
        output::line(serde_json::to_string_pretty(&cells.iter().zip(&states).map(cell).collect::<Vec<_>>())?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = |texts: &mut dyn Iterator<Item = String>| texts.map(|text| text.chars().count()).max().unwrap_or(0);
    let titles = width(&mut cells.iter().map(Cell::title));
    let budgets = width(&mut cells.iter().map(budget));
    for (place, (cell, state)) in cells.iter().zip(&states).enumerate() {
        let place = format!("[{}/{}]", place + 1, cells.len());
        let (title, budget, folder) = (cell.title(), budget(cell), cell.folder.display());
        output::line(format_args!("{place:<9} {title:<titles$}  {budget:<budgets$}  {folder}: {state}"))?;
    }
    let done = states.iter().filter(|state| *state == "done").count();
    output::line(format_args!("{done} of {} cells done; --json prints every setting of each", cells.len()))?;
    Ok(ExitCode::SUCCESS)
}

fn state(cell: &Cell) -> Result<String, ReproduceError> {
    match cell.state() {
        Ok(state) => Ok(name(&state).into()),
        Err(ReproduceError::Foreign { difference, .. }) => Ok(format!("another run: {difference}")),
        Err(error) => Err(error),
    }
}

/// Steps and batch size of each stage.
fn budget(cell: &Cell) -> String {
    let stages = Plan::new(&cell.config).stages.into_iter().map(|stage| {
        let budget = stage.budget(&cell.config);
        format!("{stage} {} x {}", budget.steps, budget.batch_size)
    });
    stages.collect::<Vec<_>>().join(", ")
}
