//! Room on the device for what the coming steps need: a slot for each of some steps in a row, over and over. It knows
//! neither images nor networks.

use super::losses::HISTORY;
use super::pacing::IN_FLIGHT;
use crate::engine::{EngineError, Executor, Shape, VarId, Variables};

/// Bytes of all rings of a stage together. A driver may hold as much once more for each submission under way.
const BYTES: usize = 20 << 20;
/// Most slots: as many as a submission has steps at most.
const MAX_SLOTS: usize = HISTORY / (2 * IN_FLIGHT);

/// A variable with a slot for each of some steps in a row: step `s` finds its part in slot `s mod slots`.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    /// The variable, `[slots x count, C, H, W]`.
    pub variable: VarId,
    /// How many steps there is room for.
    pub slots: usize,
    /// Elements of a slot.
    pub elements: usize,
}

/// How many steps there is room for, where each takes so many bytes: one at least.
pub(super) fn slots(bytes: usize) -> usize {
    (BYTES / bytes.max(1)).clamp(1, MAX_SLOTS)
}

impl Ring {
    /// Registers a ring whose slots have this shape.
    pub(super) fn register(variables: &mut Variables, name: &str, slots: usize, [n, c, h, w]: Shape) -> Self {
        let group = variables.group(name);
        let variable = variables.add(group, name, [slots * n, c, h, w]);
        Self { variable, slots, elements: n * c * h * w }
    }

    /// Puts numbers there for steps in a row, no more than there are slots.
    pub(super) fn write(&self, executor: &mut dyn Executor, step: usize, values: &[f32]) -> Result<(), EngineError> {
        let (first, split) = self.part(step, values.len());
        let (end, start) = values.split_at(split);
        executor.write_part(self.variable, first, end)?;
        if start.is_empty() { Ok(()) } else { executor.write_part(self.variable, 0, start) }
    }

    /// The same of bytes, four an element.
    ///
    /// # Errors
    /// Bytes that do not fill whole elements, and failures of the device.
    pub fn write_bytes(&self, executor: &mut dyn Executor, step: usize, bytes: &[u8]) -> Result<(), EngineError> {
        let (first, split) = self.part(step, bytes.len() / size_of::<f32>());
        let (end, start) = bytes.split_at(split * size_of::<f32>());
        executor.write_bytes(self.variable, first, end)?;
        if start.is_empty() { Ok(()) } else { executor.write_bytes(self.variable, 0, start) }
    }

    /// Where the slot of a step begins, and how many of `len` elements fit from there to the end of the ring.
    fn part(&self, step: usize, len: usize) -> (usize, usize) {
        let first = step % self.slots * self.elements;
        (first, len.min(self.slots * self.elements - first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Cpu, Readback};

    #[test]
    fn steps_go_round() {
        let mut variables = Variables::new();
        let ring = Ring::register(&mut variables, "ring", 3, [1, 1, 1, 2]);
        let mut cpu = Cpu::new();
        cpu.allocate(&variables).unwrap();
        ring.write(&mut cpu, 7, &[7.0, 7.5, 8.0, 8.5, 9.0, 9.5]).unwrap();
        let mut there = || cpu.read(&[Readback::Variable(ring.variable)]).unwrap().wait_one().unwrap();
        assert_eq!(there(), [9.0, 9.5, 7.0, 7.5, 8.0, 8.5]);
        ring.write(&mut cpu, 10, &[10.0, 10.5]).unwrap();
        let there = cpu.read(&[Readback::Variable(ring.variable)]).unwrap().wait_one().unwrap();
        assert_eq!(there, [9.0, 9.5, 10.0, 10.5, 8.0, 8.5]);
    }

    #[test]
    fn there_is_room_for_a_step_and_a_bound_for_many() {
        assert_eq!([0, 1 << 10, 3 << 20, 1 << 30].map(slots), [256, 256, 6, 1]);
    }
}
