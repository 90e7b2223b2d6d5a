//! Placement: every tensor gets a buffer, and buffers are used again. It knows no backend, and no op by name.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::EngineError;
use super::graph::{Graph, Mutation, Source, Tensor};
use super::lower::Lowered;
use super::ops::Rule;
use super::program::{Buffer, Local, Operand, Place, Program, Step};
use super::shape::{Shape, count};
use super::variables::{VarId, Variables};

/// Gives every tensor a place. Tensors whose last reader has run leave their buffer to later ones;
/// a step never writes to a buffer that it reads, which WebGPU forbids.
pub(crate) fn place(graph: &Graph, variables: &Variables, lowered: Lowered) -> Result<Program, EngineError> {
    let Lowered { nodes, outputs } = lowered;
    let mut placer = Placer { graph, variables, places: HashMap::new(), locals: Vec::new(), free: Vec::new() };
    let mut last_use: HashMap<Tensor, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        last_use.extend(node.inputs.iter().chain(&node.outputs).map(|&x| (x, index)));
        for (input, variable) in node.op.placed_inputs() {
            placer.places.insert(node.inputs[input], placer.variable(variable));
        }
    }
    last_use.extend(outputs.iter().map(|(_, x)| (*x, nodes.len())));

    let mut steps = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.into_iter().enumerate() {
        let inputs: Vec<Operand> = node.inputs.iter().map(|&x| placer.operand(x)).collect();
        let outputs: Vec<Operand> = node.outputs.iter().map(|&x| placer.operand(x)).collect();
        let mutated: Vec<Place> = node.mutates.iter().map(|&mutation| placer.mutated(mutation)).collect();
        let written = outputs.iter().map(|y| y.place.buffer).chain(mutated.iter().map(|place| place.buffer));
        // Placed inputs are there for the order of things; the kernel reads the group that it changes.
        let placed = node.op.placed_inputs();
        let is_placed = |index: usize| placed.iter().any(|&(input, _)| input == index);
        let read = inputs.iter().enumerate().filter(|&(index, _)| !is_placed(index)).map(|(_, x)| x.place.buffer);
        if written.clone().any(|buffer| read.clone().any(|other| other == buffer)) {
            let problem = "reads and changes variables of one group; keep them in different groups".into();
            return Err(EngineError::Shape { op: node.label, problem });
        }
        let mut finished: Vec<Tensor> = node.inputs.iter().chain(&node.outputs).copied().collect();
        finished.sort_unstable();
        finished.dedup();
        for x in finished {
            if last_use.get(&x) == Some(&index) {
                placer.release(x);
            }
        }
        steps.push(Step { op: node.op, label: node.label, inputs, outputs, mutated });
    }

    let inputs = (0..graph.values.len() as u32)
        .map(Tensor)
        .filter_map(|x| match &graph.values[x.0 as usize].source {
            Source::Input(name) => Some((name.clone(), x)),
            _ => None,
        })
        .map(|(name, x)| (name, placer.operand(x)))
        .collect();
    let outputs = outputs.into_iter().map(|(name, x)| (name, placer.operand(x))).collect();
    Ok(Program { steps, locals: placer.locals, inputs, outputs, variables: variables.clone() })
}

struct Placer<'a> {
    graph: &'a Graph,
    variables: &'a Variables,
    places: HashMap<Tensor, Place>,
    locals: Vec<Local>,
    /// Local buffers that hold nothing at present.
    free: Vec<usize>,
}

impl Placer<'_> {
    fn operand(&mut self, x: Tensor) -> Operand {
        let shape = self.graph.shape(x);
        let place = match self.places.get(&x) {
            Some(&place) => place,
            None => {
                let place = self.choose(x, shape);
                self.places.insert(x, place);
                place
            }
        };
        Operand { place, shape }
    }

    fn choose(&mut self, x: Tensor, shape: Shape) -> Place {
        let len = count(shape);
        match &self.graph.values[x.0 as usize].source {
            &Source::Variable { var, .. } => self.variable(var),
            Source::Constant(data) => self.fresh(len, Some(data.clone())),
            Source::Node(_) => self.reused(len).unwrap_or_else(|| self.fresh(len, None)),
            Source::Input(_) | Source::Detached(_) => self.fresh(len, None),
        }
    }

    fn fresh(&mut self, len: usize, content: Option<Arc<[f32]>>) -> Place {
        self.locals.push(Local { len, content });
        Place { buffer: Buffer::Local(self.locals.len() - 1), offset: 0, len }
    }

    /// The smallest free buffer that is large enough.
    fn reused(&mut self, len: usize) -> Option<Place> {
        let fitting = self.free.iter().enumerate().filter(|&(_, &local)| self.locals[local].len >= len);
        let (slot, _) = fitting.min_by_key(|&(_, &local)| (self.locals[local].len, local))?;
        Some(Place { buffer: Buffer::Local(self.free.swap_remove(slot)), offset: 0, len })
    }

    /// Gives a tensor's buffer back, if it is one that others may take.
    fn release(&mut self, x: Tensor) {
        if let (Source::Node(_), Some(Place { buffer: Buffer::Local(local), .. })) =
            (&self.graph.values[x.0 as usize].source, self.places.get(&x))
        {
            self.free.push(*local);
        }
    }

    fn variable(&self, var: VarId) -> Place {
        Place {
            buffer: Buffer::Group(var.group),
            offset: self.variables.offset(var),
            len: count(self.variables.shape(var)),
        }
    }

    fn mutated(&self, mutation: Mutation) -> Place {
        match mutation {
            Mutation::Variable(var) => self.variable(var),
            Mutation::Group(group) => {
                Place { buffer: Buffer::Group(group), offset: 0, len: self.variables.group_len(group) }
            }
        }
    }
}
