//! Levels: ops of one level do not depend on each other, so that a GPU may run them side by side. It knows no backend, and no
//! op by name.

use std::collections::HashMap;

use super::graph::{Graph, Mutation, Node, Source, Tensor};
use super::variables::GroupId;

/// The first levels at which the variables of a group may be read and changed.
#[derive(Clone, Copy, Default)]
struct Open {
    read: usize,
    change: usize,
}

/// The first level at which each node may run: after what it reads, and after whoever reads or changes a group of variables
/// that it changes.
pub(crate) fn levels(graph: &Graph, nodes: &[Node]) -> Vec<usize> {
    let mut tensors: HashMap<Tensor, usize> = HashMap::new();
    let mut groups: HashMap<GroupId, Open> = HashMap::new();
    let mut level_of = |node: &Node| {
        let read = |x: &Tensor| match graph.values[x.0 as usize].source {
            Source::Variable { var, .. } => Some(var.group),
            _ => None,
        };
        let read: Vec<GroupId> = node.inputs.iter().filter_map(read).collect();
        let changed: Vec<GroupId> = node.mutates.iter().map(Mutation::group).collect();
        let open = |group: &GroupId| groups.get(group).copied().unwrap_or_default();
        let after_makers = node.inputs.iter().filter_map(|x| tensors.get(x).copied());
        let after_changes = read.iter().map(|group| open(group).read);
        let after_readers = changed.iter().map(|group| open(group).change);
        let level = after_makers.chain(after_changes).chain(after_readers).max().unwrap_or(0);
        tensors.extend(node.outputs.iter().map(|&y| (y, level + 1)));
        for group in read {
            let open = groups.entry(group).or_default();
            open.change = open.change.max(level + 1);
        }
        groups.extend(changed.into_iter().map(|group| (group, Open { read: level + 1, change: level + 1 })));
        level
    };
    nodes.iter().map(&mut level_of).collect()
}
