//! The graph: a static single-assignment tape of ops, whose shapes are checked as they are added. It knows no backend,
//! and no op by name.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::EngineError;
use super::ops::{Op, Rule};
use super::shape::{SCALAR, Shape, count};
use super::variables::{GroupId, VarId, Variables};

/// A value of a [`Graph`]: a handle, cheap to copy, meaningful only in the graph that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tensor(pub(crate) u32);

/// What an op changes in place, beside the tensors it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mutation {
    Variable(VarId),
    Group(GroupId),
}

impl Mutation {
    /// The group that it touches.
    pub(crate) fn group(&self) -> GroupId {
        match *self {
            Self::Variable(var) => var.group,
            Self::Group(group) => group,
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Input(String),
    Constant(Arc<[f32]>),
    Variable {
        var: VarId,
        name: String,
        version: u32,
    },
    /// The same numbers as another value, but no gradient passes.
    Detached(Tensor),
    Node(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub shape: Shape,
    pub source: Source,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub op: Op,
    pub label: String,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
    pub mutates: Vec<Mutation>,
}

/// A static single-assignment tape of ops over `f32` tensors in NCHW.
///
/// Methods that add ops stand with each op under `src/engine/ops/`.
///
/// # Errors
/// Methods that add ops check shapes at once. They return [`EngineError::Shape`], which names the op and the scope it was
/// built in, or [`EngineError::Stale`] for a tensor of a variable that an op has changed since.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(crate) values: Vec<Value>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) outputs: Vec<(String, Tensor)>,
    pub(crate) scope: String,
    versions: HashMap<Mutation, u32>,
    leaves: HashMap<(VarId, u32), Tensor>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the part of the network that the next ops belong to, for errors and profiles.
    pub fn scope(&mut self, scope: impl Into<String>) {
        self.scope = scope.into();
    }

    /// A tensor given by the host before each run.
    pub fn input(&mut self, name: impl Into<String>, shape: Shape) -> Tensor {
        self.value(shape, Source::Input(name.into()))
    }

    /// A tensor of fixed numbers, the width running fastest.
    ///
    /// # Errors
    /// [`EngineError::Shape`] where `data` does not fill `shape`.
    pub fn constant(&mut self, shape: Shape, data: &[f32]) -> Result<Tensor, EngineError> {
        if data.len() != count(shape) {
            return Err(EngineError::Shape {
                op: self.label("constant"),
                problem: format!("{} values do not fill shape {shape:?}", data.len()),
            });
        }
        Ok(self.value(shape, Source::Constant(data.into())))
    }

    /// A fixed scalar.
    pub fn scalar(&mut self, number: f32) -> Tensor {
        self.value(SCALAR, Source::Constant([number].into()))
    }

    /// The present content of a variable. Ask again after an op that changes it.
    pub fn variable(&mut self, variables: &Variables, var: VarId) -> Tensor {
        let version = self.version(var);
        if let Some(&leaf) = self.leaves.get(&(var, version)) {
            return leaf;
        }
        let name = format!("{}.{}", variables.group_name(var.group), variables.name(var));
        let leaf = self.value(variables.shape(var), Source::Variable { var, name, version });
        self.leaves.insert((var, version), leaf);
        leaf
    }

    /// The same numbers, but gradients stop here.
    pub fn detach(&mut self, x: Tensor) -> Tensor {
        self.value(self.shape(x), Source::Detached(x))
    }

    /// Makes `x` readable by the host after a run, under `name`.
    pub fn output(&mut self, name: impl Into<String>, x: Tensor) {
        self.outputs.push((name.into(), x));
    }

    /// Shape of a tensor.
    pub fn shape(&self, x: Tensor) -> Shape {
        self.values[x.0 as usize].shape
    }

    /// Adds an op that makes a single tensor.
    pub(crate) fn push(&mut self, op: impl Into<Op>, inputs: &[Tensor]) -> Result<Tensor, EngineError> {
        Ok(self.push_many(op, inputs)?[0])
    }

    /// Adds an op and returns the tensors it makes.
    pub(crate) fn push_many(&mut self, op: impl Into<Op>, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let op = op.into();
        let label = self.label(op.name());
        for &input in inputs {
            self.refuse_stale(&label, input)?;
        }
        let shapes: Vec<Shape> = inputs.iter().map(|&x| self.shape(x)).collect();
        if let Some(&empty) = inputs.iter().find(|&&x| count(self.shape(x)) == 0) {
            let problem = format!("{} of shape {:?} has no elements", self.describe(empty), self.shape(empty));
            return Err(EngineError::Shape { op: label, problem });
        }
        let made = op.infer(&shapes).map_err(|problem| EngineError::Shape { op: label.clone(), problem })?;
        let node = self.nodes.len();
        let outputs: Vec<Tensor> = made.into_iter().map(|shape| self.value(shape, Source::Node(node))).collect();
        let mutates = op.mutates();
        for &mutation in &mutates {
            *self.versions.entry(mutation).or_default() += 1;
        }
        self.nodes.push(Node { op, label, inputs: inputs.to_vec(), outputs: outputs.clone(), mutates });
        Ok(outputs)
    }

    /// The tensor behind any number of detachments.
    pub(crate) fn resolve(&self, mut x: Tensor) -> Tensor {
        while let Source::Detached(inner) = self.values[x.0 as usize].source {
            x = inner;
        }
        x
    }

    /// Refuses that `reader` reads a variable as it was before the latest op that changed it.
    pub(crate) fn refuse_stale(&self, reader: &str, x: Tensor) -> Result<(), EngineError> {
        match &self.values[self.resolve(x).0 as usize].source {
            Source::Variable { var, name, version } if *version != self.version(*var) => {
                Err(EngineError::Stale { op: reader.into(), variable: name.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The constant behind a scalar tensor, if it is one.
    pub(crate) fn known_scalar(&self, x: Tensor) -> Option<f32> {
        match &self.values[x.0 as usize].source {
            Source::Constant(data) if data.len() == 1 => Some(data[0]),
            _ => None,
        }
    }

    /// What a person would call the tensor.
    pub(crate) fn describe(&self, x: Tensor) -> String {
        match &self.values[x.0 as usize].source {
            Source::Input(name) | Source::Variable { name, .. } => name.clone(),
            Source::Constant(_) => "a constant".into(),
            Source::Detached(inner) => format!("detached {}", self.describe(*inner)),
            Source::Node(node) => format!("the result of {}", self.nodes[*node].label),
        }
    }

    fn version(&self, var: VarId) -> u32 {
        let of = |mutation| self.versions.get(&mutation).copied().unwrap_or(0);
        of(Mutation::Variable(var)) + of(Mutation::Group(var.group))
    }

    pub(crate) fn label(&self, op: &str) -> String {
        if self.scope.is_empty() { op.into() } else { format!("{}/{op}", self.scope) }
    }

    fn value(&mut self, shape: Shape, source: Source) -> Tensor {
        self.values.push(Value { shape, source });
        Tensor(self.values.len() as u32 - 1)
    }
}
