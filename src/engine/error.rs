/// What can go wrong while a graph is built, compiled or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// An op was given tensors that it cannot work on.
    #[error("{op}: {problem}")]
    Shape {
        /// The op with the scope it was built in, as `generator.encoder/conv2d`.
        op: String,
        /// What does not fit.
        problem: String,
    },
    /// A tensor asked for as gradient does not influence the loss.
    #[error("{name} does not influence the loss, so it has no gradient; leave it out or connect it")]
    Unreachable {
        /// Name of the tensor.
        name: String,
    },
    /// The op has no backward rule.
    #[error("{op} cannot be differentiated; detach its input or leave it out of the loss")]
    NotDifferentiable {
        /// Name of the op.
        op: String,
    },
    /// A tensor of a variable was read after an op had changed the variable.
    #[error("{op} reads {variable} as it was before a later op changed it; ask the graph for the variable again")]
    Stale {
        /// Name of the op that reads.
        op: String,
        /// Name of the variable.
        variable: String,
    },
    /// No such input, output or variable, or the wrong number of values for it.
    #[error("{name}: {problem}")]
    Binding {
        /// Name of the input, output or variable.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// No adapter was found, or not the one asked for.
    #[error(
        "no usable GPU adapter: {problem}\n  on Debian or Ubuntu a software Vulkan driver is one command away: apt-get install -y mesa-vulkan-drivers libvulkan1\n  `pkdgan devices` lists what is there; `--device cpu` runs without an adapter, slowly"
    )]
    NoAdapter {
        /// What was looked for and what was there.
        problem: String,
    },
    /// The device cannot hold what the program needs.
    #[error(
        "{what} needs {needed}, but the adapter allows {limit}; use a smaller network or batch, or another adapter"
    )]
    Limit {
        /// The buffer or dispatch at fault.
        what: String,
        /// What it needs, with unit.
        needed: String,
        /// The adapter's limit, with unit.
        limit: String,
    },
    /// The driver reported an error or lost the device.
    #[error("the device failed in {during}: {problem}")]
    Device {
        /// What was being done.
        during: String,
        /// The driver's words.
        problem: String,
    },
}
