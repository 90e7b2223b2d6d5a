//! Placement: every tensor gets a buffer, and buffers are used again. It knows no backend, and no op by name.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::EngineError;
use super::graph::{Graph, Mutation, Source, Tensor};
use super::levels::levels;
use super::lower::Lowered;
use super::ops::Rule;
use super::program::{Buffer, Local, Operand, Place, Program, Step};
use super::shape::{Shape, count};
use super::variables::{VarId, Variables};

/// Gives every tensor a place. Tensors whose last reader has run leave their buffer to ones of later levels, so that steps
/// may run one after the other or level by level. A step never writes to a buffer that it reads, which WebGPU forbids.
pub(crate) fn place(graph: &Graph, variables: &Variables, lowered: Lowered) -> Result<Program, EngineError> {
    let Lowered { nodes, outputs } = lowered;
    let mut placer = Placer { graph, variables, places: HashMap::new(), locals: Vec::new(), free: Vec::new() };
    let levels = levels(graph, &nodes);
    let mut last_use: HashMap<Tensor, usize> = HashMap::new();
    let mut last_level: HashMap<Tensor, usize> = HashMap::new();
    for (index, (node, &level)) in nodes.iter().zip(&levels).enumerate() {
        for &x in node.inputs.iter().chain(&node.outputs) {
            last_use.insert(x, index);
            last_level.entry(x).and_modify(|last| *last = level.max(*last)).or_insert(level);
        }
        for (input, variable) in node.op.placed_inputs() {
            placer.places.insert(node.inputs[input], placer.variable(variable));
        }
    }
    last_use.extend(outputs.iter().map(|(_, x)| (*x, nodes.len())));

    let mut steps = Vec::with_capacity(nodes.len());
    for (index, (node, level)) in nodes.into_iter().zip(levels).enumerate() {
        let inputs: Vec<Operand> = node.inputs.iter().map(|&x| placer.operand(x, level)).collect();
        let outputs: Vec<Operand> = node.outputs.iter().map(|&x| placer.operand(x, level)).collect();
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
                placer.release(x, last_level[&x]);
            }
        }
        steps.push(Step { op: node.op, label: node.label, level, inputs, outputs, mutated });
    }

    let inputs = (0..graph.values.len() as u32)
        .map(Tensor)
        .filter_map(|x| match &graph.values[x.0 as usize].source {
            Source::Input(name) => Some((name.clone(), x)),
            _ => None,
        })
        .map(|(name, x)| (name, placer.operand(x, 0)))
        .collect();
    let outputs = outputs.into_iter().map(|(name, x)| (name, placer.operand(x, 0))).collect();
    Ok(Program { steps, locals: placer.locals, inputs, outputs, variables: variables.clone() })
}

struct Placer<'a> {
    graph: &'a Graph,
    variables: &'a Variables,
    places: HashMap<Tensor, Place>,
    locals: Vec<Local>,
    /// Local buffers that hold nothing at present, with the last level that used each.
    free: Vec<(usize, usize)>,
}

impl Placer<'_> {
    /// Where a step of `level` finds or puts a tensor.
    fn operand(&mut self, x: Tensor, level: usize) -> Operand {
        let shape = self.graph.shape(x);
        let place = match self.places.get(&x) {
            Some(&place) => place,
            None => {
                let place = self.choose(x, shape, level);
                self.places.insert(x, place);
                place
            }
        };
        Operand { place, shape }
    }

    fn choose(&mut self, x: Tensor, shape: Shape, level: usize) -> Place {
        let len = count(shape);
        match &self.graph.values[x.0 as usize].source {
            &Source::Variable { var, .. } => self.variable(var),
            Source::Constant(data) => self.fresh(len, Some(data.clone())),
            Source::Node(_) => self.reused(len, level).unwrap_or_else(|| self.fresh(len, None)),
            Source::Input(_) | Source::Detached(_) => self.fresh(len, None),
        }
    }

    fn fresh(&mut self, len: usize, content: Option<Arc<[f32]>>) -> Place {
        self.locals.push(Local { len, content });
        Place { buffer: Buffer::Local(self.locals.len() - 1), offset: 0, len }
    }

    /// The smallest buffer that is large enough and free before `level`.
    fn reused(&mut self, len: usize, level: usize) -> Option<Place> {
        let fits = |&(_, &(local, last)): &(usize, &(usize, usize))| self.locals[local].len >= len && last < level;
        let fitting = self.free.iter().enumerate().filter(fits);
        let (slot, _) = fitting.min_by_key(|&(_, &(local, _))| (self.locals[local].len, local))?;
        Some(Place { buffer: Buffer::Local(self.free.swap_remove(slot).0), offset: 0, len })
    }

    /// Gives a tensor's buffer back after its last level, if it is one that others may take.
    fn release(&mut self, x: Tensor, level: usize) {
        if let (Source::Node(_), Some(Place { buffer: Buffer::Local(local), .. })) =
            (&self.graph.values[x.0 as usize].source, self.places.get(&x))
        {
            self.free.push((*local, level));
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
