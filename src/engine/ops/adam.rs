//! The optimizer: Adam on all parameters of a network at once, and the table of its step sizes.

use std::collections::HashSet;
use std::f64::consts::PI;

use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::cpu::{self, CpuKernel};
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Mutation, Source, Tensor};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::Shape;
use crate::engine::variables::{GroupId, VarId, Variables};

/// How the learning rate changes over a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schedule {
    /// It does not.
    Constant,
    /// From the full rate to zero by half a cosine.
    Cosine,
}

/// Adam (Kingma and Ba 2015, algorithm 1) with bias correction.
///
/// ```
/// use pkdgan::engine::{AdamSettings, Schedule};
///
/// let settings = AdamSettings::new(1e-3, 100).schedule(Schedule::Cosine);
/// assert_eq!(settings.table().len(), 200);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AdamSettings {
    /// Full learning rate.
    pub learning_rate: f64,
    /// How it changes.
    pub schedule: Schedule,
    /// Decay of the first and of the second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Number of steps of the run.
    pub steps: usize,
}

impl AdamSettings {
    /// A constant learning rate over so many steps, with the paper's decay rates 0.9 and 0.999 and epsilon 1e-8.
    pub fn new(learning_rate: f64, steps: usize) -> Self {
        Self { learning_rate, schedule: Schedule::Constant, betas: [0.9, 0.999], epsilon: 1e-8, steps }
    }

    /// How the learning rate changes.
    #[must_use]
    pub fn schedule(self, schedule: Schedule) -> Self {
        Self { schedule, ..self }
    }

    /// Decay of the first and of the second moment.
    #[must_use]
    pub fn betas(self, betas: [f64; 2]) -> Self {
        Self { betas, ..self }
    }

    /// What is added to the root of the second moment.
    #[must_use]
    pub fn epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    /// The table `[1, 1, steps, 2]` that the optimizer reads by step: step size with the first
    /// moment's bias corrected, and the factor that corrects the root of the second moment.
    pub fn table(&self) -> Vec<f32> {
        let [first, second] = self.betas;
        (0..self.steps)
            .flat_map(|step| {
                let rate = match self.schedule {
                    Schedule::Constant => self.learning_rate,
                    Schedule::Cosine => 0.5 * self.learning_rate * (1.0 + (PI * step as f64 / self.steps as f64).cos()),
                };
                let t = step as f64 + 1.0;
                let correction = |beta: f64| 1.0 - beta.powf(t);
                [(rate / correction(first)) as f32, (1.0 / correction(second).sqrt()) as f32]
            })
            .collect()
    }
}

/// The groups that an optimizer works on: a network's parameters and their mirrors.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AdamGroups {
    /// Parameters.
    pub parameters: GroupId,
    /// Their gradients.
    pub gradients: GroupId,
    /// First moments.
    pub first: GroupId,
    /// Second moments.
    pub second: GroupId,
}

impl AdamGroups {
    /// Adds gradients and moments beside the parameters.
    pub fn mirror(variables: &mut Variables, parameters: GroupId) -> Self {
        let name = variables.group_name(parameters).to_owned();
        let mut add = |kind: &str| variables.mirror(parameters, format!("{name}.{kind}"));
        Self { parameters, gradients: add("gradient"), first: add("adam_m"), second: add("adam_v") }
    }
}

/// One update of all parameters of a group. Inputs: step, table, then the gradients, which the
/// program places in the gradient group.
#[derive(Clone, Debug)]
pub(crate) struct Adam {
    pub groups: AdamGroups,
    /// Where each gradient input belongs.
    pub places: Vec<VarId>,
    pub betas: [f64; 2],
    pub epsilon: f32,
    pub len: usize,
}

impl Rule for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn infer(&self, _inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        Ok(Vec::new())
    }

    fn mutates(&self) -> Vec<Mutation> {
        let AdamGroups { parameters, gradients, first, second } = self.groups;
        [parameters, first, second, gradients].map(Mutation::Group).into()
    }

    /// The gradients, so that the kernel reads their group.
    fn placed_inputs(&self) -> Vec<(usize, VarId)> {
        (2..).zip(self.places.iter().copied()).collect()
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        let table = call.inputs[1];
        let row = call.inputs[0][0].to_usize().unwrap_or(0).min(table.len() / 2 - 1);
        let (rate, correction) = (table[2 * row], table[2 * row + 1]);
        let [first, second] = self.betas.map(T::of);
        let [newest, newest_square] = self.betas.map(|beta| T::of(1.0 - beta));
        let epsilon = T::of(self.epsilon.into());
        let [parameters, m, v, gradients] = &mut call.mutated[..] else { return };
        for (((p, m), v), &g) in parameters.iter_mut().zip(m.iter_mut()).zip(v.iter_mut()).zip(gradients.iter()) {
            *m = first * *m + newest * g;
            *v = second * *v + newest_square * g * g;
            *p = *p - rate * *m / (v.sqrt() * correction + epsilon);
        }
    }

    fn cpu(&self, _inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        cpu::adam(self.betas, self.epsilon)
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        let variables = (0..4).map(Slot::Mutated);
        let bindings: Vec<Slot> = variables.chain([Slot::Input(0), Slot::Input(1)]).collect();
        let dispatch = Dispatch::new("adam", &bindings)
            .with("BETA1", self.betas[0] as f32)
            .with("BETA2", self.betas[1] as f32)
            // Rounded once: in single precision 1 - 0.999 is 1.3e-5 off.
            .with("NEWEST1", (1.0 - self.betas[0]) as f32)
            .with("NEWEST2", (1.0 - self.betas[1]) as f32)
            .with("EPSILON", self.epsilon)
            .with("ROWS", call.inputs[1][2]);
        vec![dispatch.over_vec4s(self.len, call.target)]
    }
}

impl Graph {
    /// Updates every parameter of `groups.parameters` by Adam. `gradients` are those of the group's
    /// variables in their order; `table` is [`AdamSettings::table`] and `step` the scalar counter of
    /// steps already taken.
    pub fn adam(
        &mut self,
        variables: &Variables,
        groups: AdamGroups,
        settings: &AdamSettings,
        [step, table]: [Tensor; 2],
        gradients: &[Tensor],
    ) -> Result<(), EngineError> {
        let places: Vec<VarId> = variables.of(groups.gradients).collect();
        if places.len() != gradients.len() {
            let problem = format!("{} gradients for {} parameters", gradients.len(), places.len());
            return Err(EngineError::Shape { op: "adam".into(), problem });
        }
        // Each gradient is written where the optimizer reads it, so it must be a tensor of its own.
        let mut taken = HashSet::new();
        let mut inputs = vec![step, table];
        for &gradient in gradients {
            let own = matches!(self.values[gradient.0 as usize].source, Source::Node(_)) && taken.insert(gradient);
            inputs.push(if own { gradient } else { self.copy(gradient)? });
        }
        let op = Adam {
            groups,
            places,
            betas: settings.betas,
            epsilon: settings.epsilon as f32,
            len: variables.group_len(groups.parameters),
        };
        self.push_many(op, &inputs)?;
        Ok(())
    }
}
