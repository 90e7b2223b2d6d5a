//! A frozen teacher's outputs for the training images, precomputed, on the device of its student.

use crate::engine::{EngineError, Executor, Graph, Tensor, VarId, Variables};
use crate::model::{Architecture, Generated};

/// What a frozen teacher makes of each training image, on the device of its student. It does not change, so it is
/// computed once and stays there, instead of being computed again each time an image is seen.
#[derive(Clone, Copy, Debug)]
pub struct TeacherOutputs {
    latent: VarId,
    reconstruction: VarId,
    reconstruction_latent: VarId,
}

impl TeacherOutputs {
    /// Registers room for the outputs to so many images.
    pub(super) fn register(variables: &mut Variables, teacher: &Architecture, images: usize) -> Self {
        let mut add = |name: &str, [c, h, w]: [usize; 3]| {
            let group = variables.group(format!("teacher.outputs.{name}"));
            variables.add(group, name, [images, c, h, w])
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
        [order, clock]: [Tensor; 2],
        batch: usize,
    ) -> Result<Generated, EngineError> {
        let mut gather = |variable| {
            let all = graph.variable(variables, variable);
            graph.gather(all, order, clock, batch)
        };
        Ok(Generated {
            latent: gather(self.latent)?,
            reconstruction: gather(self.reconstruction)?,
            reconstruction_latent: gather(self.reconstruction_latent)?,
        })
    }

    /// Puts there what [`FrozenTeacher::outputs`](super::FrozenTeacher::outputs) answered, image after image.
    pub(super) fn write(&self, executor: &mut dyn Executor, outputs: &[Vec<f32>; 3]) -> Result<(), EngineError> {
        for (variable, outputs) in
            [self.latent, self.reconstruction, self.reconstruction_latent].into_iter().zip(outputs)
        {
            executor.write(variable, outputs)?;
        }
        Ok(())
    }
}
