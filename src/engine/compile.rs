//! From graph to program: lowering, fusion, placement. It knows no backend.

use super::error::EngineError;
use super::graph::Graph;
use super::lower::lower;
use super::place::place;
use super::program::Program;
use super::variables::Variables;

impl Program {
    /// Drops ops that nothing depends on, fuses, and gives every tensor a buffer.
    ///
    /// # Errors
    /// If an op reads a variable of a group that it changes, or an output is a variable as it was
    /// before an op changed it.
    pub fn compile(graph: &Graph, variables: &Variables) -> Result<Self, EngineError> {
        for (name, x) in &graph.outputs {
            graph.refuse_stale(&format!("output {name}"), *x)?;
        }
        place(graph, variables, lower(graph))
    }
}
