//! The losses of the latest steps: their names, the history on the device, and what is read of it.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::engine::{EngineError, Graph, Readback, Tensor, VarId, Variables};

/// Rows of the loss history that the device keeps between read-backs.
pub(super) const HISTORY: usize = 1024;

/// What a group of recorded losses is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct LossNames(&'static str, &'static [&'static str]);

impl LossNames {
    /// A network's own losses: cross-entropy of the discriminator in nats; mean absolute error of the reconstructions,
    /// of pixels in -1..1; mean squared distance of the latent vectors; cross-entropy of the reconstructions with "real".
    pub(super) const OWN: Self = Self("losses", &["discriminator", "reconstruction", "latent", "adversarial"]);
    /// Those of a teacher beside a student.
    pub(super) const TEACHER: Self = Self(
        "teacher.losses",
        &["teacher_discriminator", "teacher_reconstruction", "teacher_latent", "teacher_adversarial"],
    );
    /// What the latent distances of pseudo-anomalies lack to the margin.
    pub(super) const PSEUDO_ANOMALIES: Self = Self("losses.pseudo_anomalies", &["pseudo_anomalies"]);
    /// The same of a teacher beside a student.
    pub(super) const TEACHER_PSEUDO_ANOMALIES: Self =
        Self("teacher.losses.pseudo_anomalies", &["teacher_pseudo_anomalies"]);
    /// Mean distances between teacher and student: squared, of latent vectors, and absolute, of reconstructions.
    pub(super) const DISTILLATION: Self =
        Self("distances", &["distance_latent", "distance_reconstruction", "distance_latent_again"]);
}

/// The variables that hold the losses of the latest steps.
#[derive(Clone, Debug, Default)]
pub struct History {
    parts: Vec<(VarId, &'static [&'static str])>,
}

impl History {
    /// Adds the recording of losses to a graph.
    pub(super) fn record(
        &mut self,
        graph: &mut Graph,
        variables: &mut Variables,
        clock: Tensor,
        LossNames(group, names): LossNames,
        losses: &[Tensor],
    ) -> Result<(), EngineError> {
        let group = variables.group(group);
        let variable = variables.add(group, "history", [1, 1, HISTORY, names.len()]);
        self.parts.push((variable, names));
        graph.record(variables, variable, clock, losses)
    }

    /// The variables, each `[1, 1, HISTORY, losses]`.
    pub fn variables(&self) -> impl Iterator<Item = VarId> {
        self.parts.iter().map(|(variable, _)| *variable)
    }

    /// What the losses of a step are called.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.parts.iter().flat_map(|(_, names)| names.iter().copied()).collect()
    }

    /// What to read back.
    pub(super) fn readbacks(&self) -> Vec<Readback<'static>> {
        self.variables().map(Readback::Variable).collect()
    }

    /// The losses of a step, from what was read back.
    pub(super) fn losses(&self, read: &[Vec<f32>], step: usize) -> Losses {
        let row = step % HISTORY;
        let named = self.parts.iter().zip(read).flat_map(|((_, names), values)| {
            let at = move |column: usize| values.get(row * names.len() + column).copied().unwrap_or(f32::NAN);
            names.iter().enumerate().map(move |(column, &name)| (name, at(column)))
        });
        Losses(named.collect())
    }
}

/// The losses of a step by name, unweighted, or their means over several steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses(pub Vec<(&'static str, f32)>);

impl Losses {
    /// Means over several steps.
    pub fn mean(steps: &[Self]) -> Self {
        let Some(first) = steps.first() else { return Self::default() };
        let mean = |column: usize| steps.iter().map(|losses| losses.0[column].1).sum::<f32>() / steps.len() as f32;
        Self(first.0.iter().enumerate().map(|(column, &(name, _))| (name, mean(column))).collect())
    }
}

impl Serialize for Losses {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let map: Map<String, Value> = self.0.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect();
        map.serialize(serializer)
    }
}
