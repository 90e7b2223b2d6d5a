//! Fusion: two ops become one where one can do the other's work. The ops say what they can; nothing here names one.

use std::collections::{HashMap, HashSet};

use super::graph::{Node, Tensor};
use super::ops::{Fusible, GradientInputs, LossOf, Rule};

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
        let loss = node.op.gradient_of().and_then(|loss| match loss {
            LossOf::Input(input) => makers.get(&node.inputs[input]).copied(),
            LossOf::Named(name) => {
                before.iter().position(|loss| loss.op.name() == name && loss.inputs[..2] == node.inputs[..2])
            }
        });
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
    let (x, other, dy) = (node.inputs[0], node.inputs[1], node.inputs[node.inputs.len() - 1]);
    let absorbed = loss.op.absorb_gradient(&mut loss.inputs, GradientInputs { x, other, dy }, earlier(dy));
    if absorbed {
        loss.outputs.push(node.outputs[0]);
    }
    absorbed
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
    let Some(next) = node.op.fusible() else { return false };
    if x != maker.outputs[0] || (x != node.inputs[0] && next != Fusible::Add) {
        return false;
    }
    if matches!(next, Fusible::Activation(_)) {
        return maker.op.absorb(next);
    }
    let other = node.inputs.iter().copied().find(|&input| input != x);
    let Some(other) = other.filter(|&other| earlier(other)) else { return false };
    let absorbed = maker.op.absorb(next);
    if absorbed {
        maker.inputs.push(other);
    }
    absorbed
}
