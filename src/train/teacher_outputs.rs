//! A frozen teacher's outputs for the training images, precomputed: where they lie, and their way to the device.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::error::TrainError;
use super::ring::Ring;
use crate::engine::{EngineError, Executor, Graph, Tensor, Variables};
use crate::files::{read_at, scratch, write_at};
use crate::model::{Architecture, Generated};

/// Most numbers of all reconstructions together: 2 GiB. Beyond that, computing them in each step costs less than
/// reading them from a disk.
const MAX_NUMBERS: usize = 1 << 29;

/// Most numbers of all outputs that stay in memory: 64 MiB.
const IN_MEMORY: usize = 1 << 24;

/// Room on the device for what a frozen teacher makes of the images of coming steps. It does not change, so it is
/// computed once for each image, instead of again each time that one is seen.
#[derive(Clone, Copy, Debug)]
pub struct TeacherOutputs {
    latent: Ring,
    reconstruction: Ring,
    reconstruction_latent: Ring,
}

/// Numbers of what a teacher makes of an image: latent vector, reconstruction and its latent vector.
fn sizes(teacher: &Architecture) -> [usize; 3] {
    let &Architecture { channels, side, latents, .. } = teacher;
    [latents, channels * side * side, latents]
}

impl TeacherOutputs {
    /// Whether it pays to compute the outputs for so many images once.
    pub(super) fn pay(teacher: &Architecture, images: usize) -> bool {
        sizes(teacher)[1].checked_mul(images).is_some_and(|numbers| numbers <= MAX_NUMBERS)
    }

    /// Bytes that a step takes.
    pub(super) fn bytes(teacher: &Architecture, batch: usize) -> usize {
        sizes(teacher).iter().sum::<usize>() * batch * size_of::<f32>()
    }

    /// Registers room for the outputs to the images of so many steps.
    pub(super) fn register(variables: &mut Variables, teacher: &Architecture, batch: usize, slots: usize) -> Self {
        let mut add = |name: &str, [c, h, w]: [usize; 3]| {
            Ring::register(variables, &format!("teacher.outputs.{name}"), slots, [batch, c, h, w])
        };
        let &Architecture { channels, side, latents, .. } = teacher;
        Self {
            latent: add("latent", [latents, 1, 1]),
            reconstruction: add("reconstruction", [channels, side, side]),
            reconstruction_latent: add("reconstruction_latent", [latents, 1, 1]),
        }
    }

    /// Adds the outputs to the images of a step to its graph.
    pub(super) fn gather(
        &self,
        graph: &mut Graph,
        variables: &Variables,
        clock: Tensor,
        batch: usize,
    ) -> Result<Generated, EngineError> {
        // One slot after the other.
        let places: Vec<f32> = (0..self.latent.slots * batch).map(|place| place as f32).collect();
        let places = graph.constant([1, 1, 1, places.len()], &places)?;
        let mut gather = |ring: Ring| {
            let all = graph.variable(variables, ring.variable);
            graph.gather(all, places, clock, batch)
        };
        Ok(Generated {
            latent: gather(self.latent)?,
            reconstruction: gather(self.reconstruction)?,
            reconstruction_latent: gather(self.reconstruction_latent)?,
        })
    }

    /// Puts there what [`PrecomputedOutputs::read`] gave for the images of steps in a row.
    pub(super) fn write(
        &self,
        executor: &mut dyn Executor,
        step: usize,
        outputs: &[Vec<f32>; 3],
    ) -> Result<(), EngineError> {
        let rings = [self.latent, self.reconstruction, self.reconstruction_latent];
        rings.iter().zip(outputs).try_for_each(|(ring, outputs)| ring.write(executor, step, outputs))
    }
}

/// What a frozen teacher makes of each training image, a row each: few rows in memory, many in a file without a name.
pub struct PrecomputedOutputs {
    rows: Rows,
    folder: PathBuf,
    sizes: [usize; 3],
    /// Those of an image.
    row: Vec<f32>,
}

enum Rows {
    Memory(Vec<f32>),
    File(File),
}

impl PrecomputedOutputs {
    /// Room for so many images; a file goes to `folder`.
    pub(super) fn new(folder: &Path, teacher: &Architecture, images: usize) -> Result<Self, TrainError> {
        let sizes = sizes(teacher);
        let row: usize = sizes.iter().sum();
        let rows = if images.saturating_mul(row) <= IN_MEMORY {
            Rows::Memory(vec![0.0; images * row])
        } else {
            let failed = |source| TrainError::Outputs { folder: folder.to_owned(), source };
            Rows::File(scratch(folder).map_err(failed)?)
        };
        Ok(Self { rows, folder: folder.to_owned(), sizes, row: vec![0.0; row] })
    }

    /// Puts down what the teacher makes of training images in a row, from number `first` on.
    pub(super) fn write(&mut self, first: usize, outputs: [&[f32]; 3]) -> Result<(), TrainError> {
        let images = outputs[0].len() / self.sizes[0];
        for image in 0..images {
            let mut rest = &mut self.row[..];
            for (output, size) in outputs.iter().zip(self.sizes) {
                let (part, after) = rest.split_at_mut(size);
                part.copy_from_slice(&output[image * size..][..size]);
                rest = after;
            }
            let (place, len) = (first + image, self.row.len());
            let offset = self.offset(place);
            match &mut self.rows {
                Rows::Memory(rows) => rows[place * len..][..len].copy_from_slice(&self.row),
                Rows::File(file) => {
                    let written = write_at(file, bytemuck::cast_slice(&self.row), offset);
                    written.map_err(|source| TrainError::Outputs { folder: self.folder.clone(), source })?;
                }
            }
        }
        Ok(())
    }

    /// Reads those for training images by their numbers.
    pub(super) fn read(&mut self, images: &[u32], outputs: &mut [Vec<f32>; 3]) -> Result<(), TrainError> {
        outputs.iter_mut().for_each(Vec::clear);
        for &image in images {
            let (offset, len) = (self.offset(image as usize), self.row.len());
            let mut rest = match &self.rows {
                Rows::Memory(rows) => &rows[image as usize * len..][..len],
                Rows::File(file) => {
                    let read = read_at(file, bytemuck::cast_slice_mut(&mut self.row), offset);
                    read.map_err(|source| TrainError::Outputs { folder: self.folder.clone(), source })?;
                    &self.row[..]
                }
            };
            for (output, size) in outputs.iter_mut().zip(self.sizes) {
                let (part, after) = rest.split_at(size);
                output.extend_from_slice(part);
                rest = after;
            }
        }
        Ok(())
    }

    fn offset(&self, image: usize) -> u64 {
        image as u64 * size_of_val(&self.row[..]) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Recipe;
    use crate::data::Dataset;

    #[test]
    fn outputs_come_back_from_memory_and_from_a_file() {
        let teacher = Recipe::Default.config(Dataset::Mnist).teacher();
        let [latents, pixels, _] = sizes(&teacher);
        let many = IN_MEMORY / (latents + pixels);
        let folder = tempfile::tempdir().unwrap();
        for (images, in_memory) in [(20, true), (many, false)] {
            let mut outputs = PrecomputedOutputs::new(folder.path(), &teacher, images).unwrap();
            assert_eq!(matches!(outputs.rows, Rows::Memory(_)), in_memory);
            let made = |image: usize, size: usize, kind: f32| vec![image as f32 + kind; size];
            for first in [0, 3] {
                let of = |size: usize, kind: f32| (first..first + 3).flat_map(|n| made(n, size, kind)).collect();
                let [z, x, again]: [Vec<f32>; 3] = [of(latents, 0.25), of(pixels, 0.5), of(latents, 0.75)];
                outputs.write(first, [&z, &x, &again]).unwrap();
            }
            let mut read = Default::default();
            outputs.read(&[4, 0, 5], &mut read).unwrap();
            for (output, (size, kind)) in read.iter().zip([(latents, 0.25), (pixels, 0.5), (latents, 0.75)]) {
                assert!(*output == [4, 0, 5].map(|image| made(image, size, kind)).concat());
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
