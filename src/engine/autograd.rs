//! Gradients: walks the tape backwards and adds each op's backward ops to it. It knows no op by name, and no backend.

use std::collections::HashMap;

use super::error::EngineError;
use super::graph::{Graph, Source, Tensor};
use super::ops::Rule;

/// What an op's backward rule is given: its own inputs and outputs and the gradients that arrive at
/// the outputs.
pub(crate) struct Arrived<'a> {
    pub inputs: &'a [Tensor],
    pub outputs: &'a [Tensor],
    /// Gradient of the loss by each output; `None` where nothing depends on the output.
    pub upstream: &'a [Option<Tensor>],
    /// Which inputs lead to a tensor whose gradient was asked for.
    pub wanted: &'a [bool],
}

impl Arrived<'_> {
    /// The gradient by the first output, which every differentiable op receives.
    pub(super) fn gradient(&self) -> Result<Tensor, EngineError> {
        self.upstream[0].ok_or_else(|| EngineError::NotDifferentiable { op: "a side output".into() })
    }

    /// The gradient by one input as `make` adds it, if it is wanted.
    pub(super) fn wants(
        &self,
        input: usize,
        make: impl FnOnce() -> Result<Tensor, EngineError>,
    ) -> Result<Option<Tensor>, EngineError> {
        self.wanted[input].then(make).transpose()
    }
}

impl Graph {
    /// Adds the nodes that compute the gradients of the scalar `loss` by each tensor of `wrt`, in
    /// that order. Gradients of tensors that were used several times are sums.
    ///
    /// # Errors
    /// If `loss` is not a scalar, if a tensor of `wrt` does not influence it, if an op in between
    /// cannot be differentiated by the input that leads to it, or if a variable on the way was changed since it was
    /// read.
    pub fn gradients(&mut self, loss: Tensor, wrt: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let scope = self.scope.clone();
        let gradients = self.walk_back(loss, wrt);
        self.scope(scope);
        gradients
    }

    fn walk_back(&mut self, loss: Tensor, wrt: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        if self.shape(loss) != super::shape::SCALAR {
            return Err(EngineError::Shape {
                op: "gradients".into(),
                problem: format!("the loss must be a scalar, not {:?}", self.shape(loss)),
            });
        }
        let wanted = self.leads_to(wrt);
        let mut gradients: HashMap<Tensor, Tensor> = HashMap::new();
        gradients.insert(loss, self.scalar(1.0));
        for index in (0..self.nodes.len()).rev() {
            let node = &self.nodes[index];
            let upstream: Vec<Option<Tensor>> = node.outputs.iter().map(|y| gradients.get(y).copied()).collect();
            if upstream.iter().all(Option::is_none) || !node.outputs.iter().any(|&y| wanted[y.0 as usize]) {
                continue;
            }
            let (op, label) = (node.op.clone(), node.label.clone());
            let (inputs, outputs) = (node.inputs.clone(), node.outputs.clone());
            let wanted_inputs: Vec<bool> = inputs.iter().map(|&x| wanted[x.0 as usize]).collect();
            self.scope(format!("{label}'"));
            let arrived = Arrived { inputs: &inputs, outputs: &outputs, upstream: &upstream, wanted: &wanted_inputs };
            let downstream = op.backward(self, &arrived)?;
            let missing = |&input: &usize| wanted_inputs[input] && downstream.get(input).copied().flatten().is_none();
            if let Some(input) = (0..inputs.len()).find(missing) {
                return Err(EngineError::NotDifferentiable {
                    op: format!("{label} by {}", self.describe(inputs[input])),
                });
            }
            for (&input, gradient) in inputs.iter().zip(downstream) {
                let Some(gradient) = gradient else { continue };
                let sum = match gradients.get(&input) {
                    Some(&before) => self.add(before, gradient)?,
                    None => gradient,
                };
                gradients.insert(input, sum);
            }
        }
        wrt.iter()
            .map(|x| gradients.get(x).copied().ok_or_else(|| EngineError::Unreachable { name: self.describe(*x) }))
            .collect()
    }

    /// For each value, whether it depends on a tensor of `wrt` by a path that gradients can take.
    fn leads_to(&self, wrt: &[Tensor]) -> Vec<bool> {
        let mut leads = vec![false; self.values.len()];
        for x in wrt {
            leads[x.0 as usize] = true;
        }
        // Values are numbered in the order they were made, so one pass in that order suffices.
        for index in 0..self.values.len() {
            if let Source::Node(node) = self.values[index].source {
                leads[index] |= self.nodes[node].inputs.iter().any(|x| leads[x.0 as usize]);
            }
        }
        leads
    }
}
