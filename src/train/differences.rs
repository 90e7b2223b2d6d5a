//! How many images differ from their reconstructions, place by place.

use rayon::prelude::*;

use super::batches::in_batches;
use super::error::TrainError;
use crate::anomaly_map::{MAX_IMAGES, MapScale, difference};
use crate::data::{Images, at_most};
use crate::engine::{Executor, Graph, Program, ProgramId, Variables};
use crate::model::{EdeGan, Statistics};

/// Name of the program's output.
const RECONSTRUCTION: &str = "reconstruction";

/// A generator loaded to reconstruct, in batches of a fixed size.
pub struct Differences {
    program: ProgramId,
    batch: usize,
    side: usize,
}

impl Differences {
    /// Loads the program of `gan` for batches of `batch` images.
    ///
    /// # Errors
    /// Failures of the device.
    pub fn new(
        executor: &mut dyn Executor,
        variables: &Variables,
        gan: &EdeGan,
        statistics: Statistics,
        batch: usize,
    ) -> Result<Self, TrainError> {
        let [channels, side, width] = gan.encoder1.spec.input;
        let mut graph = Graph::new();
        let images = graph.input("images", [batch, channels, side, width]);
        let made = gan.generate(&mut graph, variables, images, statistics.scoring())?;
        graph.output(RECONSTRUCTION, made.reconstruction);
        let program = executor.load(Program::compile(&graph, variables)?)?;
        Ok(Self { program, batch, side })
    }

    /// Gives what `make` makes of the difference `[H, W]` of each image at `indices`, in that order, with how many came
    /// before. Differences are as of [`difference`].
    ///
    /// # Errors
    /// Unreadable images, failures of the device.
    pub fn each<T: Send>(
        &self,
        executor: &mut dyn Executor,
        images: &Images,
        indices: &[usize],
        make: impl Fn(usize, Vec<f32>) -> T + Sync,
        mut take: impl FnMut(usize, T),
    ) -> Result<(), TrainError> {
        let (side, size) = (self.side, [images.height(), images.width()]);
        let len = images.channels() * side * side;
        let pixels = |batch: &[usize]| Ok(images.to_signed_padded(batch, side)?);
        let made = |first: usize, [reconstructions]: [&[f32]; 1]| {
            let pairs = indices[first..].par_iter().zip(reconstructions.par_chunks_exact(len));
            let made = pairs.enumerate().map(|(place, (&index, made))| {
                Ok(make(first + place, difference(&images.image(index)?, made, size, side)))
            });
            let made = made.collect::<Result<Vec<_>, TrainError>>()?;
            made.into_iter().enumerate().for_each(|(place, made)| take(first + place, made));
            Ok(())
        };
        in_batches(executor, self.program, [RECONSTRUCTION], self.batch, indices, pixels, made)
    }

    /// Gives back what the program takes on the device.
    pub fn unload(self, executor: &mut dyn Executor) {
        executor.unload(self.program);
    }

    /// The scale of heat maps by held-out normal images, of which [`MAX_IMAGES`] at most are looked at; none by too few.
    ///
    /// # Errors
    /// As of [`Self::each`].
    pub fn scale(
        &self,
        executor: &mut dyn Executor,
        images: &Images,
        held_out: &[usize],
    ) -> Result<Option<MapScale>, TrainError> {
        let mut differences = Vec::new();
        let held_out = at_most(held_out, MAX_IMAGES);
        self.each(
            executor,
            images,
            &held_out,
            |_, difference| difference,
            |_, difference| differences.push(difference),
        )?;
        Ok(MapScale::fit([images.height(), images.width()], &differences))
    }
}
