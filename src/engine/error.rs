//! What can go wrong in the engine: facts only. What to do about it is the command line's to say.

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
    #[error("no usable GPU adapter: {problem}")]
    NoAdapter {
        /// What was looked for and what was there.
        problem: String,
    },
    /// The device cannot hold what the program needs.
    #[error("{what} needs {needed}, but the adapter allows {limit}")]
    Limit {
        /// The buffer or dispatch at fault.
        what: String,
        /// What it needs, with unit.
        needed: String,
        /// The adapter's limit, with unit.
        limit: String,
    },
    /// The device has no memory left.
    #[error("no memory for {what}: {problem}")]
    OutOfMemory {
        /// What the memory was for: a buffer with the op that it is for, or what was run.
        what: String,
        /// The driver's words.
        problem: String,
    },
    /// The driver refuses a kernel.
    #[error("{op}: the driver refuses the kernel {shader}: {problem}")]
    Kernel {
        /// The op with its scope.
        op: String,
        /// File under `shaders/`; of kernels side by side all, joined by `+`.
        shader: String,
        /// The driver's words.
        problem: String,
    },
    /// The device is gone: unplugged, reset, or given up by its driver. What was on it is lost.
    #[error("the device was lost in {during}: {problem}")]
    Lost {
        /// What was being done.
        during: String,
        /// The driver's words.
        problem: String,
    },
    /// The device did not answer in time.
    #[error("the device did not finish {during} within {seconds} s: it hangs, or is very slow")]
    TimedOut {
        /// What was waited for.
        during: String,
        /// How long it was waited for.
        seconds: f64,
    },
    /// The driver reported another error.
    #[error("the device failed in {during}: {problem}")]
    Device {
        /// What was being done.
        during: String,
        /// The driver's words.
        problem: String,
    },
}

impl EngineError {
    /// Whether it is the device's failure, so that the same work may succeed on another: the CPU executor, for one.
    pub fn is_of_device(&self) -> bool {
        use EngineError::{Device, Kernel, Limit, Lost, NoAdapter, OutOfMemory, TimedOut};
        matches!(
            self,
            NoAdapter { .. }
                | Limit { .. }
                | OutOfMemory { .. }
                | Kernel { .. }
                | Lost { .. }
                | TimedOut { .. }
                | Device { .. }
        )
    }
}
