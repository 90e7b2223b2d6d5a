//! Runs a program over many images, batch by batch, two of them under way at once. It knows no network.

use std::collections::VecDeque;

use super::error::TrainError;
use crate::engine::{Executor, Pending, ProgramId, Readback};

/// Batches on their way at once: the device works on one while the next is prepared.
const IN_FLIGHT: usize = 2;

/// Runs a program whose input `images` takes a batch, for the images at `indices`. `pixels` makes the input of the
/// images with some indices. `take` gets how many images came before, and the named outputs for the next ones.
///
/// # Errors
/// Those of `pixels` and of `take`, and failures of the device.
pub(super) fn in_batches<const N: usize>(
    executor: &mut dyn Executor,
    program: ProgramId,
    outputs: [&str; N],
    batch: usize,
    indices: &[usize],
    pixels: impl Fn(&[usize]) -> Result<Vec<f32>, TrainError>,
    mut take: impl FnMut(usize, [&[f32]; N]) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    let mut waiting: VecDeque<(usize, Pending)> = VecDeque::new();
    let mut batches = indices.chunks(batch);
    let mut done = 0;
    loop {
        let next = batches.next();
        if let Some(images) = next {
            // The last batch is filled up with its last image, whose further outputs are dropped.
            let mut filled = images.to_vec();
            filled.resize(batch, images[images.len() - 1]);
            executor.input(program, "images", &pixels(&filled)?)?;
            executor.run(program, 1)?;
            let read = executor.read(&outputs.map(|name| Readback::Output(program, name)))?;
            waiting.push_back((images.len(), read));
        }
        if waiting.len() >= IN_FLIGHT || next.is_none() {
            let Some((images, pending)) = waiting.pop_front() else { return Ok(()) };
            let read = pending.wait()?;
            let mut read = read.iter();
            take(done, outputs.map(|_| read.next().map_or(&[][..], |read| &read[..read.len() / batch * images])))?;
            done += images;
        }
    }
}
