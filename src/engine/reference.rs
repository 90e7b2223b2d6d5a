//! The oracle of the tests: runs each op's plain reference on one thread, in `f32` or `f64`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::error::EngineError;
use super::executor::{Executor, Pending, ProgramId, Programs, Readback, State, expect_few_of, filled};
use super::number::Real;
use super::ops::{ReferenceCall, Rule};
use super::program::{Buffer, Local, Operand, Place, Program, Step, elements_of, expect_len, expect_within};
use super::shape::count;
use super::summary::AdapterSummary;
use super::variables::{GroupId, VarId, Variables};

/// The executor that runs every op's plain reference: the oracle of the tests. Computes in `f64` as
/// [`Reference::exact`], or in `f32`; values come and go as `f32` either way, but see
/// [`Reference::evaluate_exactly`].
#[derive(Default)]
pub struct Reference<T = f32> {
    variables: Variables,
    groups: HashMap<GroupId, Vec<T>>,
    programs: Programs<Loaded<T>>,
}

struct Loaded<T> {
    program: Program,
    locals: Vec<Vec<T>>,
}

impl Reference<f32> {
    /// An executor in single precision.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Reference<f64> {
    /// An executor in double precision.
    pub fn exact() -> Self {
        Self::default()
    }

    /// As [`Executor::evaluate`], with inputs and outputs in `f64` too: for difference quotients.
    pub fn evaluate_exactly(
        &mut self,
        graph: &super::Graph,
        inputs: &[(&str, &[f64])],
    ) -> Result<HashMap<String, Vec<f64>>, EngineError> {
        let id = self.load(Program::compile(graph, &Variables::new())?)?;
        for (name, values) in inputs {
            let place = self.programs.get(id)?.program.input(name, values.len())?;
            self.at(id, place)?.copy_from_slice(values);
            self.programs.set_input(id, name);
        }
        self.run(id, 1)?;
        let outputs = self.programs.get(id)?.program.outputs.clone();
        let read = |(name, operand): (String, Operand)| Ok((name, self.at(id, operand.place)?.to_vec()));
        let values = outputs.into_iter().map(read).collect();
        self.unload(id);
        values
    }
}

impl<T: Real> Reference<T> {
    /// The numbers at a place of a program.
    fn at(&mut self, program: ProgramId, place: Place) -> Result<&mut [T], EngineError> {
        Ok(slice(&mut self.groups, &mut self.programs.get_mut(program)?.locals, place))
    }

    /// So many elements of a variable from `first` on.
    fn part(&mut self, variable: VarId, first: usize, len: usize) -> Result<&mut [T], EngineError> {
        self.variables.expect(variable)?;
        expect_within(self.variables.name(variable), self.variables.shape(variable), first, len)?;
        let start = self.variables.offset(variable) + first;
        Ok(&mut self.groups.entry(variable.group).or_default()[start..start + len])
    }
}

/// The numbers at a place.
fn slice<'a, T>(groups: &'a mut HashMap<GroupId, Vec<T>>, locals: &'a mut [Vec<T>], place: Place) -> &'a mut [T] {
    let buffer = match place.buffer {
        Buffer::Group(group) => groups.entry(group).or_default(),
        Buffer::Local(local) => &mut locals[local],
    };
    &mut buffer[place.offset..place.offset + place.len]
}

impl<T: Real> Executor for Reference<T> {
    fn summary(&self) -> AdapterSummary {
        AdapterSummary::cpu("reference executor", format!("{} bits, 1 thread", 8 * size_of::<T>()))
    }

    fn allocate(&mut self, variables: &Variables) -> Result<(), EngineError> {
        self.variables = self.variables.latest(variables)?.clone();
        for group in variables.groups() {
            if let Entry::Vacant(room) = self.groups.entry(group) {
                let what = format!("the variables `{}`", variables.group_name(group));
                room.insert(filled(&what, variables.group_len(group), T::zero())?);
            }
        }
        Ok(())
    }

    fn load(&mut self, program: Program) -> Result<ProgramId, EngineError> {
        self.allocate(&program.variables)?;
        let fill = |(local, user): (&Local, &str)| match &local.content {
            Some(content) => Ok(content.iter().map(|&v| T::of(v.into())).collect()),
            None => filled(&format!("a tensor of {user}"), local.len, T::nan()),
        };
        let locals = program.locals.iter().zip(program.users()).map(fill).collect::<Result<_, EngineError>>()?;
        Ok(self.programs.add(program.input_names(), Loaded { program, locals }))
    }

    fn expect_room(&self, program: &Program) -> Result<(), EngineError> {
        expect_few_of(program)
    }

    fn unload(&mut self, program: ProgramId) {
        self.programs.remove(program);
    }

    fn write(&mut self, variable: VarId, values: &[f32]) -> Result<(), EngineError> {
        self.variables.expect(variable)?;
        expect_len(self.variables.name(variable), self.variables.shape(variable), values.len())?;
        let start = self.variables.offset(variable);
        let buffer = self.groups.entry(variable.group).or_default();
        for (slot, &value) in buffer[start..start + values.len()].iter_mut().zip(values) {
            *slot = T::of(value.into());
        }
        Ok(())
    }

    fn write_part(&mut self, variable: VarId, first: usize, values: &[f32]) -> Result<(), EngineError> {
        let room = self.part(variable, first, values.len())?;
        for (slot, &value) in room.iter_mut().zip(values) {
            *slot = T::of(value.into());
        }
        Ok(())
    }

    fn write_bytes(&mut self, variable: VarId, first: usize, bytes: &[u8]) -> Result<(), EngineError> {
        self.variables.expect(variable)?;
        let len = elements_of(self.variables.name(variable), bytes.len())?;
        let room = self.part(variable, first, len)?;
        for (slot, word) in room.iter_mut().zip(bytes.as_chunks().0) {
            *slot = T::of_word(u32::from_le_bytes(*word));
        }
        Ok(())
    }

    fn input(&mut self, program: ProgramId, name: &str, values: &[f32]) -> Result<(), EngineError> {
        let place = self.programs.get(program)?.program.input(name, values.len())?;
        for (slot, &value) in self.at(program, place)?.iter_mut().zip(values) {
            *slot = T::of(value.into());
        }
        self.programs.set_input(program, name);
        Ok(())
    }

    fn run(&mut self, program: ProgramId, times: usize) -> Result<(), EngineError> {
        self.programs.expect_inputs(program)?;
        let Loaded { program, locals } = self.programs.get_mut(program)?;
        for _ in 0..times {
            for step in &program.steps {
                execute(step, &mut self.groups, locals);
            }
        }
        Ok(())
    }

    fn read(&mut self, what: &[Readback]) -> Result<Pending, EngineError> {
        let mut values = Vec::with_capacity(what.len());
        for item in what {
            let numbers: &[T] = match *item {
                Readback::Variable(variable) => {
                    self.variables.expect(variable)?;
                    let start = self.variables.offset(variable);
                    let buffer = self.groups.entry(variable.group).or_default();
                    &buffer[start..start + count(self.variables.shape(variable))]
                }
                Readback::Output(id, name) => {
                    let place = self.programs.get(id)?.program.output(name)?;
                    self.at(id, place)?
                }
            };
            values.push(numbers.iter().map(|v| v.to_single()).collect());
        }
        Ok(Pending(State::Ready(values)))
    }
}

/// Runs one op on copies of its operands, so that no element can be left over from an earlier run.
fn execute<T: Real>(step: &Step, groups: &mut HashMap<GroupId, Vec<T>>, locals: &mut [Vec<T>]) {
    let inputs: Vec<Vec<T>> = step.inputs.iter().map(|x| slice(groups, locals, x.place).to_vec()).collect();
    let mut outputs: Vec<Vec<T>> = step.outputs.iter().map(|y| vec![T::nan(); y.place.len]).collect();
    let mut mutated: Vec<Vec<T>> = step.mutated.iter().map(|&place| slice(groups, locals, place).to_vec()).collect();
    step.op.reference(&mut ReferenceCall {
        inputs: inputs.iter().map(Vec::as_slice).collect(),
        input_shapes: &step.input_shapes(),
        outputs: &mut outputs,
        output_shapes: &step.output_shapes(),
        mutated: mutated.iter_mut().map(Vec::as_mut_slice).collect(),
    });
    let written = step.outputs.iter().map(|y| y.place).zip(&outputs).chain(step.mutated.iter().copied().zip(&mutated));
    for (place, numbers) in written {
        slice(groups, locals, place).copy_from_slice(numbers);
    }
}
