use std::collections::{HashMap, HashSet};

use super::activation::Activation;
use super::conv::Epilogue;
use super::graph::{Node, Tensor};
use super::ops::Op;
use super::ops::activation::{Activate, ActivationGrad};
use super::ops::add_scaled::AddScaled;

/// Makes one op of several that can be one dispatch.
pub(crate) fn fuse(nodes: &mut Vec<Node>, kept: &HashSet<Tensor>) {
    fuse_into_makers(nodes, kept);
    fuse_losses(nodes);
}

/// Lets losses give their gradients, where what those take beside is there in time: as a rule a constant.
fn fuse_losses(nodes: &mut Vec<Node>) {
    let mut makers: HashMap<Tensor, usize> = HashMap::new();
    let mut dropped = Vec::with_capacity(nodes.len());
    for index in 0..nodes.len() {
        let (before, rest) = nodes.split_at_mut(index);
        let node = &rest[0];
        let loss = match node.op {
            Op::BceWithLogitsGrad(_) => before
                .iter()
                .position(|loss| matches!(loss.op, Op::BceWithLogits(_)) && loss.inputs[..2] == node.inputs[..2]),
            Op::DistanceGrad(_) => makers.get(&node.inputs[2]).copied(),
            _ => None,
        };
        let gives = loss.filter(|&loss| {
            give_gradient(&mut before[loss], node, |x| makers.get(&x).is_none_or(|&maker| maker < loss))
        });
        dropped.push(gives.is_some());
        makers.extend(node.outputs.iter().map(|&y| (y, gives.unwrap_or(index))));
    }
    let mut dropped = dropped.into_iter();
    nodes.retain(|_| !dropped.next().unwrap_or(false));
}

/// Lets a loss do the work of `node`, its gradient, if it can; `earlier` says whether a tensor is ready for it.
fn give_gradient(loss: &mut Node, node: &Node, earlier: impl Fn(Tensor) -> bool) -> bool {
    let [x, other] = [node.inputs[0], node.inputs[1]];
    let dy = node.inputs[node.inputs.len() - 1];
    match &mut loss.op {
        Op::BceWithLogits(op) if !op.gradient && earlier(dy) => op.gradient = true,
        // A distance is the same both ways round: the first gradient is by whatever comes first.
        Op::Distance(op) if op.gradients == 0 && earlier(dy) => {
            op.gradients = 1;
            loss.inputs = vec![x, other];
        }
        Op::Distance(op) if op.gradients == 1 && loss.inputs == [other, x, dy] => op.gradients = 2,
        _ => return false,
    }
    if loss.inputs.len() == 2 {
        loss.inputs.push(dy);
    }
    loss.outputs.push(node.outputs[0]);
    true
}

/// Moves activations into the op that feeds them, and sums of gradients and the gradients of activations into the convolution that
/// the gradient comes from, where nothing else reads the tensor in between.
fn fuse_into_makers(nodes: &mut Vec<Node>, kept: &HashSet<Tensor>) {
    let mut readers: HashMap<Tensor, usize> = HashMap::new();
    for &x in nodes.iter().flat_map(|node| &node.inputs).chain(kept) {
        *readers.entry(x).or_default() += 1;
    }
    let mut makers: HashMap<Tensor, usize> = HashMap::new();
    let mut dropped = Vec::with_capacity(nodes.len());
    for index in 0..nodes.len() {
        let (before, rest) = nodes.split_at_mut(index);
        let node = &rest[0];
        let absorbed = node.inputs.iter().filter(|x| readers.get(x) == Some(&1)).find_map(|&x| {
            let &maker = makers.get(&x)?;
            absorb(&mut before[maker], node, x, |x| makers.get(&x).is_none_or(|&m| m < maker)).then_some(maker)
        });
        dropped.push(absorbed.is_some());
        match absorbed {
            Some(maker) => {
                before[maker].outputs[0] = node.outputs[0];
                makers.insert(node.outputs[0], maker);
            }
            None => makers.extend(node.outputs.iter().map(|&y| (y, index))),
        }
    }
    let mut dropped = dropped.into_iter();
    nodes.retain(|_| !dropped.next().unwrap_or(false));
}

/// Lets `maker` of `x` do the work of `node`, which reads it, if it can; `earlier` says whether a tensor is ready for it.
fn absorb(maker: &mut Node, node: &Node, x: Tensor, earlier: impl Fn(Tensor) -> bool) -> bool {
    let other = node.inputs.iter().copied().find(|&input| input != x);
    if x != maker.outputs[0] || (x != node.inputs[0] && !matches!(node.op, Op::AddScaled(_))) {
        return false;
    }
    if let (&Op::Activation(Activate(activation)), Op::BatchNorm(norm)) = (&node.op, &mut maker.op)
        && norm.activation == Activation::Identity
    {
        norm.activation = activation;
        return true;
    }
    let Some(epilogue) = maker.op.epilogue().filter(|epilogue| epilogue.is_open()) else { return false };
    match (&node.op, other.filter(|&other| earlier(other))) {
        (&Op::Activation(Activate(activation)), _) => epilogue.activation = activation,
        (&Op::ActivationGrad(ActivationGrad(activation)), Some(y)) => {
            epilogue.gate = Some(activation);
            maker.inputs.push(y);
        }
        (Op::AddScaled(AddScaled { factor: 1.0 }), Some(other)) if !epilogue.adds => {
            epilogue.adds = true;
            maker.inputs.push(other);
        }
        _ => return false,
    }
    true
}

impl Op {
    /// What a convolution does to its sums.
    fn epilogue(&mut self) -> Option<&mut Epilogue> {
        match self {
            Self::Conv2d(op) => Some(&mut op.epilogue),
            Self::ConvTranspose2d(op) => Some(&mut op.epilogue),
            _ => None,
        }
    }
}
