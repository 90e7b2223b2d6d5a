use super::{Open, Watch};
use crate::engine::{Executor, set_driver_threads};
use crate::train::{Stage, TrainError};

/// Steps that a stage must have before it for a trial to pay.
const WORTH_A_TRIAL: usize = 300;

/// Opens a device for a stage of so many steps, with the number of driver threads that proves fastest in a trial: `step`
/// says how many seconds a step takes. Where nothing is to be tried, the driver chooses. Results do not depend on it.
pub(super) fn open_fastest(
    stage: Stage,
    steps: usize,
    open: &Open,
    watch: &mut dyn Watch,
    mut step: impl FnMut(&mut dyn Executor) -> Result<f64, TrainError>,
) -> Result<Box<dyn Executor>, TrainError> {
    set_driver_threads(None);
    let executor = open()?;
    let choices = executor.driver_thread_choices();
    if choices.is_empty() || steps < WORTH_A_TRIAL {
        return Ok(executor);
    }
    drop(executor);
    let mut tried = Vec::with_capacity(choices.len());
    for threads in choices {
        set_driver_threads(Some(threads));
        tried.push((threads, step(open()?.as_mut())?));
    }
    let fastest = tried.iter().min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|&(threads, _)| threads);
    set_driver_threads(fastest);
    watch.tried_threads(stage, &tried);
    let executor = open();
    set_driver_threads(None);
    Ok(executor?)
}
