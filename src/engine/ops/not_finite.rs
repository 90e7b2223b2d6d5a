//! The op that raises a flag where a variable is no longer finite.

use super::{GpuCall, ReferenceCall, Rule};
use crate::engine::cpu::{CpuKernel, sum};
use crate::engine::error::EngineError;
use crate::engine::graph::{Graph, Mutation};
use crate::engine::kernel::{Dispatch, Slot};
use crate::engine::number::Real;
use crate::engine::shape::{Shape, count};
use crate::engine::variables::{GroupId, VarId, Variables};

/// `flags[slot] = 1` where a number of a group is infinite or NaN; else nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotFinite {
    /// Only read, but a whole group is no tensor.
    pub group: GroupId,
    pub flags: VarId,
    pub slot: usize,
    pub len: usize,
}

impl Rule for NotFinite {
    fn name(&self) -> &'static str {
        "not_finite"
    }

    fn infer(&self, _inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        if self.group == self.flags.group() {
            return Err("the flags lie in the group that is looked through; give them one of their own".into());
        }
        Ok(Vec::new())
    }

    fn mutates(&self) -> Vec<Mutation> {
        vec![Mutation::Group(self.group), Mutation::Variable(self.flags)]
    }

    fn reference<T: Real>(&self, call: &mut ReferenceCall<T>) {
        if call.mutated[0].iter().any(|number| !number.is_finite()) {
            call.mutated[1][self.slot] = T::one();
        }
    }

    fn cpu(&self, _inputs: &[Shape], _outputs: &[Shape]) -> CpuKernel {
        let slot = self.slot;
        CpuKernel::new(move |call| {
            // Zero times a number is zero, unless it is infinite or none.
            if sum(call.arch, [call.mutated[0]], |[number]| 0.0 * number) != 0.0 {
                call.mutated[1][slot] = 1.0;
            }
        })
    }

    fn gpu(&self, call: &GpuCall) -> Vec<Dispatch> {
        // Groups are padded to whole `vec4`s, with zeros.
        let dispatch = Dispatch::new("not_finite", &[Slot::Mutated(0), Slot::Mutated(1)]).with("FLAG", self.slot);
        vec![dispatch.over(self.len.div_ceil(4), call.target)]
    }
}

impl Graph {
    /// Sets place `slot` of the variable `flags` to 1 if any number in `group` is infinite or NaN, and leaves it as it
    /// is if none is. The flags lie in another group.
    pub fn flag_not_finite(
        &mut self,
        variables: &Variables,
        group: GroupId,
        flags: VarId,
        slot: usize,
    ) -> Result<(), EngineError> {
        if slot >= count(variables.shape(flags)) {
            let problem = format!("{} flags have no place {slot}", count(variables.shape(flags)));
            return Err(EngineError::Shape { op: "not_finite".into(), problem });
        }
        self.push_many(NotFinite { group, flags, slot, len: variables.group_len(group) }, &[])?;
        Ok(())
    }
}
