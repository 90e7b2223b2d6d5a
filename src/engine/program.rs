//! A program: steps in their order, with operands placed in buffers. It knows no backend.

use std::collections::HashSet;
use std::sync::Arc;

use super::conv::ConvShape;
use super::error::EngineError;
use super::kernel::{Dispatch, Target};
use super::ops::{GpuCall, Op, Rule};
use super::shape::{Shape, count};
use super::variables::{GroupId, Variables};

/// The buffer that holds a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Buffer {
    /// The variables of a group, shared by all programs.
    Group(GroupId),
    /// One of the program's own.
    Local(usize),
}

/// Where a tensor lies, in `f32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub buffer: Buffer,
    pub offset: usize,
    pub len: usize,
}

/// A buffer of the program's own.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub len: usize,
    /// Fixed content of a constant.
    pub content: Option<Arc<[f32]>>,
}

/// A tensor as a step sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand {
    pub place: Place,
    pub shape: Shape,
}

/// One op with its operands placed.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub op: Op,
    pub label: String,
    /// Steps of one level do not depend on each other.
    pub level: usize,
    pub inputs: Vec<Operand>,
    pub outputs: Vec<Operand>,
    pub mutated: Vec<Place>,
}

impl Step {
    pub(crate) fn input_shapes(&self) -> Vec<Shape> {
        self.inputs.iter().map(|x| x.shape).collect()
    }

    pub(crate) fn output_shapes(&self) -> Vec<Shape> {
        self.outputs.iter().map(|y| y.shape).collect()
    }

    /// Multiply-accumulates of one execution.
    pub(crate) fn macs(&self) -> u64 {
        self.op.macs(&self.input_shapes(), &self.output_shapes())
    }

    /// The convolution that it is, if it is one.
    pub(crate) fn convolution(&self) -> Option<ConvShape> {
        self.op.convolution(&self.input_shapes(), &self.output_shapes())
    }

    /// Its kernels in order.
    pub(crate) fn dispatches(&self, target: &Target) -> Vec<Dispatch> {
        self.op.gpu(&GpuCall { inputs: &self.input_shapes(), outputs: &self.output_shapes(), target })
    }
}

/// A graph made ready to run: which ops, in which order, on which buffers.
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) steps: Vec<Step>,
    pub(crate) locals: Vec<Local>,
    pub(crate) inputs: Vec<(String, Operand)>,
    pub(crate) outputs: Vec<(String, Operand)>,
    pub(crate) variables: Variables,
}

impl Program {
    /// Multiply-accumulates of one run.
    pub fn macs(&self) -> u64 {
        self.steps.iter().map(Step::macs).sum()
    }

    /// Its convolutions, each once, in the order they run first.
    pub(crate) fn convolutions(&self) -> Vec<ConvShape> {
        let mut known = HashSet::new();
        self.steps.iter().filter_map(Step::convolution).filter(|&shape| known.insert(shape)).collect()
    }

    /// The ops in the order they run, by scope and name.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.label.as_str())
    }

    /// What its runs are called in errors.
    pub(crate) fn name(&self) -> String {
        match &self.steps[..] {
            [] => "a program without ops".into(),
            [only] => format!("the kernels of {}", only.label),
            [first, .., last] => format!("the kernels from {} to {}", first.label, last.label),
        }
    }

    /// For each of its own buffers the op that uses it first.
    pub(crate) fn users(&self) -> Vec<&str> {
        let mut users = vec!["the program's inputs and outputs"; self.locals.len()];
        for step in self.steps.iter().rev() {
            let operands = step.inputs.iter().chain(&step.outputs);
            for place in operands.map(|operand| operand.place).chain(step.mutated.iter().copied()) {
                if let Buffer::Local(local) = place.buffer {
                    users[local] = &step.label;
                }
            }
        }
        users
    }

    /// The buffers that it takes, those of variables first: what each is for, and how many numbers it holds.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = (String, usize)> {
        let variables = &self.variables;
        let named = |group| format!("the variables `{}`", variables.group_name(group));
        let groups = variables.groups().map(move |group| (named(group), variables.group_len(group)));
        let locals = self.locals.iter().zip(self.users());
        groups.chain(locals.map(|(local, user)| (format!("a tensor of {user}"), local.len)))
    }

    /// What the inputs are called that an op or an output reads.
    pub(super) fn input_names(&self) -> Vec<String> {
        let reads = self.steps.iter().flat_map(|step| &step.inputs).chain(self.outputs.iter().map(|(_, y)| y));
        let places: HashSet<Place> = reads.map(|operand| operand.place).collect();
        self.inputs.iter().filter(|(_, x)| places.contains(&x.place)).map(|(name, _)| name.clone()).collect()
    }

    /// Place of a named input that takes so many values.
    pub(crate) fn input(&self, name: &str, len: usize) -> Result<Place, EngineError> {
        let operand = find(&self.inputs, name, "input")?;
        expect_len(name, operand.shape, len)?;
        Ok(operand.place)
    }

    /// Place of a named output.
    pub(crate) fn output(&self, name: &str) -> Result<Place, EngineError> {
        Ok(find(&self.outputs, name, "output")?.place)
    }
}

fn find(operands: &[(String, Operand)], name: &str, kind: &str) -> Result<Operand, EngineError> {
    let found = operands.iter().find(|(known, _)| known == name);
    found
        .map(|(_, operand)| *operand)
        .ok_or_else(|| EngineError::Binding { name: name.into(), problem: format!("the program has no such {kind}") })
}

/// Refuses `len` elements from `first` on that `shape` does not have.
pub(crate) fn expect_within(name: &str, shape: Shape, first: usize, len: usize) -> Result<(), EngineError> {
    if first.checked_add(len).is_some_and(|end| end <= count(shape)) {
        return Ok(());
    }
    let problem = format!("{len} elements from {first} on do not lie in shape {shape:?}");
    Err(EngineError::Binding { name: name.into(), problem })
}

/// The elements of a variable of bytes that so many bytes fill, four each.
pub(crate) fn elements_of(name: &str, bytes: usize) -> Result<usize, EngineError> {
    if bytes.is_multiple_of(size_of::<f32>()) {
        return Ok(bytes / size_of::<f32>());
    }
    Err(EngineError::Binding { name: name.into(), problem: format!("{bytes} bytes do not fill whole elements") })
}

/// Refuses a number of values that does not fill `shape`.
pub(crate) fn expect_len(name: &str, shape: Shape, len: usize) -> Result<(), EngineError> {
    if count(shape) == len {
        return Ok(());
    }
    Err(EngineError::Binding { name: name.into(), problem: format!("{len} values do not fill shape {shape:?}") })
}
