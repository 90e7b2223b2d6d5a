//! Lowering: detached tensors are resolved, dead ops dropped, neighbours fused. It knows no buffers.

use std::collections::HashSet;

use super::fuse::fuse;
use super::graph::{Graph, Node, Tensor};

/// The nodes of a graph that matter, in order, with detached tensors replaced by what they detach.
pub(crate) struct Lowered {
    pub nodes: Vec<Node>,
    pub outputs: Vec<(String, Tensor)>,
}

/// Resolves, drops what no output and no variable depends on, and fuses.
pub(crate) fn lower(graph: &Graph) -> Lowered {
    let mut nodes = graph.nodes.clone();
    for input in nodes.iter_mut().flat_map(|node| &mut node.inputs) {
        *input = graph.resolve(*input);
    }
    let outputs: Vec<(String, Tensor)> =
        graph.outputs.iter().map(|(name, x)| (name.clone(), graph.resolve(*x))).collect();
    let kept = outputs.iter().map(|(_, x)| *x).collect();
    drop_dead(&mut nodes, &kept);
    fuse(&mut nodes, &kept);
    Lowered { nodes, outputs }
}

fn drop_dead(nodes: &mut Vec<Node>, kept: &HashSet<Tensor>) {
    let mut needed = kept.clone();
    let mut alive = vec![false; nodes.len()];
    for (node, alive) in nodes.iter().zip(&mut alive).rev() {
        *alive = !node.mutates.is_empty() || node.outputs.iter().any(|y| needed.contains(y));
        if *alive {
            needed.extend(&node.inputs);
        }
    }
    let mut alive = alive.into_iter();
    nodes.retain(|_| alive.next().unwrap_or(false));
}
