//! What keeps a student close to its teacher (P-KDGAN, arXiv 2007.06963), as a graph.

use super::gan::mean_distance;
use crate::config::DistillationWeights;
use crate::engine::{EngineError, Graph, Measure, Tensor};
use crate::model::Generated;

/// The distances between teacher and student, unweighted scalars.
///
/// The paper takes L2 distances of latent vectors and L1 of images; squared distances of our unit-RMS latent vectors
/// train better, for the norm's gradient does not fade as the distance does.
pub(super) struct DistillationLosses {
    pub latent: Tensor,
    pub reconstruction: Tensor,
    pub reconstruction_latent: Tensor,
}

impl DistillationLosses {
    /// Adds the distances to a graph; no gradient reaches the teacher.
    pub(super) fn new(graph: &mut Graph, teacher: &Generated, student: &Generated) -> Result<Self, EngineError> {
        let mut distance = |teacher: Tensor, student: Tensor, measure| {
            let teacher = graph.detach(teacher);
            mean_distance(graph, student, teacher, measure)
        };
        Ok(Self {
            latent: distance(teacher.latent, student.latent, Measure::MeanSquared)?,
            reconstruction: distance(teacher.reconstruction, student.reconstruction, Measure::L1)?,
            reconstruction_latent: distance(
                teacher.reconstruction_latent,
                student.reconstruction_latent,
                Measure::MeanSquared,
            )?,
        })
    }

    /// w1, wx and w2 with their terms.
    pub(super) fn terms(&self, weights: &DistillationWeights) -> [(Tensor, f64); 3] {
        [
            (self.latent, weights.latent),
            (self.reconstruction, weights.reconstruction),
            (self.reconstruction_latent, weights.reconstruction_latent),
        ]
    }
}
