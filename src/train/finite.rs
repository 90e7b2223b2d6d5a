//! A look at everything that training changes, on the device: is every number finite?

use super::error::TrainError;
use crate::engine::{Executor, Graph, GroupId, Program, ProgramId, Readback, VarId, Variables};

/// A program that raises a flag once a group of variables holds a number that is infinite or NaN. It reads each number
/// once, so it runs once for many steps.
pub(super) struct FiniteCheck {
    program: ProgramId,
    /// One for each group, in their order; a flag that is raised stays.
    flags: VarId,
}

impl FiniteCheck {
    /// Loads the program for the groups; the flags are added to `variables`.
    pub(super) fn load(
        executor: &mut dyn Executor,
        variables: &mut Variables,
        groups: &[GroupId],
    ) -> Result<Self, TrainError> {
        let group = variables.group("not finite");
        let flags = variables.add(group, "flags", [1, 1, 1, groups.len()]);
        let mut graph = Graph::new();
        for (slot, &group) in groups.iter().enumerate() {
            graph.flag_not_finite(variables, group, flags, slot)?;
        }
        Ok(Self { program: executor.load(Program::compile(&graph, variables)?)?, flags })
    }

    /// Looks at what is there after everything run so far.
    pub(super) fn run(&self, executor: &mut dyn Executor) -> Result<(), TrainError> {
        Ok(executor.run(self.program, 1)?)
    }

    /// What to read back.
    pub(super) fn readback(&self) -> Readback<'static> {
        Readback::Variable(self.flags)
    }

    /// Lowers the flags.
    pub(super) fn reset(&self, executor: &mut dyn Executor, variables: &Variables) -> Result<(), TrainError> {
        let len = variables.shape(self.flags).iter().product();
        Ok(executor.write(self.flags, &vec![0.0; len])?)
    }
}

/// Whether a flag is raised among those read back.
pub(super) fn raised(flags: &[f32]) -> bool {
    flags.iter().any(|&flag| flag != 0.0)
}
