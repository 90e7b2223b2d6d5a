//! One network: its variables, initial weights, forward graph and tensor names. It knows no loss.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::Normal;

use super::spec::{LayerKind, NetworkSpec};
use crate::engine::{EngineError, Executor, Graph, GroupId, Running, Statistics, Tensor, VarId, Variables, Window};

/// Where batch norm takes its statistics from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NormMode {
    /// The batch, cut into so many sets with statistics of their own.
    Batch {
        /// Number of sets.
        sets: usize,
    },
    /// The batch; running averages follow with this momentum.
    Tracked {
        /// Weight of the newest batch.
        momentum: f32,
    },
    /// The running averages.
    Running,
    /// Each image by itself.
    PerImage,
}

/// What weights are drawn from at first: normal distributions with mean 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// The same deviation everywhere.
    Deviation(f32),
    /// `sqrt(2 / n)` where an output sums `n` products (He and others 2015, equation 10).
    He,
}

/// A network whose variables are registered.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its layer table.
    pub spec: NetworkSpec,
    /// Whose network it is, for errors and profiles.
    label: String,
    layers: Vec<LayerVariables>,
    epsilon: f32,
}

#[derive(Clone, Debug)]
struct LayerVariables {
    weight: VarId,
    rest: Rest,
}

#[derive(Clone, Copy, Debug)]
enum Rest {
    Bias(VarId),
    Norm { scale: VarId, shift: VarId, running: VarId },
}

/// A tensor as weight files name it.
#[derive(Clone, Debug)]
pub struct Named {
    /// As `encoder1.conv2.weight`.
    pub name: String,
    /// As PyTorch lays it out.
    pub shape: Vec<usize>,
    /// The variable that holds it.
    pub variable: VarId,
    /// Where in the variable it starts: running means and variances share one.
    pub offset: usize,
}

impl Network {
    /// Registers the variables of `spec`: what is trained in group `parameters`, running averages in
    /// group `averages`. Errors and profiles name the network `LABEL.NAME`.
    pub fn register(
        spec: NetworkSpec,
        label: &str,
        variables: &mut Variables,
        [parameters, averages]: [GroupId; 2],
        epsilon: f32,
    ) -> Self {
        let layers = spec
            .layer_inputs()
            .enumerate()
            .map(|(index, (layer, input))| {
                let name = |part: &str| format!("{}.{}.{part}", spec.name, spec.layer_name(index));
                let channels = [1, layer.channels, 1, 1];
                let weight = variables.add(parameters, name("weight"), layer.weight(input[0]));
                let rest = if layer.norm {
                    Rest::Norm {
                        scale: variables.add(parameters, name("norm.weight"), channels),
                        shift: variables.add(parameters, name("norm.bias"), channels),
                        running: variables.add(averages, name("norm.running"), [1, 2, layer.channels, 1]),
                    }
                } else {
                    Rest::Bias(variables.add(parameters, name("bias"), channels))
                };
                LayerVariables { weight, rest }
            })
            .collect();
        Self { spec, label: label.into(), layers, epsilon }
    }

    /// Sets every variable: weights as `initial` says, biases and shifts 0, scales 1, running means 0 and
    /// variances 1.
    pub fn initialise(
        &self,
        executor: &mut dyn Executor,
        variables: &Variables,
        rng: &mut ChaCha8Rng,
        initial: Initial,
    ) -> Result<(), EngineError> {
        let len = |variable| variables.shape(variable).iter().product::<usize>();
        for (layer, (spec, input)) in self.layers.iter().zip(self.spec.layer_inputs()) {
            let deviation = match initial {
                Initial::Deviation(deviation) => deviation,
                Initial::He => (2.0 / spec.summands(input[0])).sqrt() as f32,
            };
            let weight: Vec<f32> = match Normal::new(0.0, deviation) {
                Ok(normal) => (0..len(layer.weight)).map(|_| rng.sample(normal)).collect(),
                // Not a number: leave the weights at zero for the first losses to show.
                Err(_) => vec![0.0; len(layer.weight)],
            };
            executor.write(layer.weight, &weight)?;
            match layer.rest {
                Rest::Bias(bias) => executor.write(bias, &vec![0.0; len(bias)])?,
                Rest::Norm { scale, shift, running } => {
                    executor.write(scale, &vec![1.0; len(scale)])?;
                    executor.write(shift, &vec![0.0; len(shift)])?;
                    let channels = len(scale);
                    executor.write(running, &[vec![0.0; channels], vec![1.0; channels]].concat())?;
                }
            }
        }
        Ok(())
    }

    /// Adds the network to a graph: `x` `[N, C, H, W]` to the output of the last layer.
    pub fn forward(
        &self,
        graph: &mut Graph,
        variables: &Variables,
        x: Tensor,
        mode: NormMode,
    ) -> Result<Tensor, EngineError> {
        let images = graph.shape(x)[0];
        let mut x = x;
        for (index, (layer, held)) in self.spec.layers.iter().zip(&self.layers).enumerate() {
            graph.scope(format!("{}.{}.{}", self.label, self.spec.name, self.spec.layer_name(index)));
            let weight = graph.variable(variables, held.weight);
            let bias = match held.rest {
                Rest::Bias(bias) => Some(graph.variable(variables, bias)),
                Rest::Norm { .. } => None,
            };
            let window = Window::stride(layer.stride).padding(layer.padding);
            x = match layer.kind {
                LayerKind::Conv => graph.conv2d(x, weight, bias, window)?,
                LayerKind::ConvTranspose => graph.conv_transpose2d(x, weight, bias, window, [0, 0])?,
            };
            if let Rest::Norm { scale, shift, running } = held.rest {
                let statistics = match mode {
                    NormMode::Batch { sets } => Statistics::Batch { sets, running: None },
                    NormMode::PerImage => Statistics::Batch { sets: images, running: None },
                    NormMode::Tracked { momentum } => {
                        Statistics::Batch { sets: 1, running: Some(Running { variable: running, momentum }) }
                    }
                    NormMode::Running => Statistics::Fixed(graph.variable(variables, running)),
                };
                let (scale, shift) = (graph.variable(variables, scale), graph.variable(variables, shift));
                x = graph.batch_norm(x, scale, shift, statistics, self.epsilon)?;
            }
            x = graph.activation(x, layer.activation)?;
        }
        if self.spec.unit_rms {
            x = graph.unit_rms(x)?;
        }
        graph.scope("");
        Ok(x)
    }

    /// The tensors of the network as weight files name them; running averages only where `averages`.
    pub fn named(&self, variables: &Variables, averages: bool) -> Vec<Named> {
        let mut named = Vec::new();
        for layer in &self.layers {
            let name = |variable| variables.name(variable).to_owned();
            let channels = |variable| vec![variables.shape(variable)[1]];
            let weight = layer.weight;
            named.push(Named {
                name: name(weight),
                shape: variables.shape(weight).to_vec(),
                variable: weight,
                offset: 0,
            });
            let vector = |variable| Named { name: name(variable), shape: channels(variable), variable, offset: 0 };
            match layer.rest {
                Rest::Bias(bias) => named.push(vector(bias)),
                Rest::Norm { scale, shift, running } => {
                    named.extend([vector(scale), vector(shift)]);
                    if averages {
                        let [_, _, channels, _] = variables.shape(running);
                        for (part, offset) in [("_mean", 0), ("_var", channels)] {
                            let name = name(running) + part;
                            named.push(Named { name, shape: vec![channels], variable: running, offset });
                        }
                    }
                }
            }
        }
        named
    }
}
