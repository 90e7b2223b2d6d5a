//! What every executor does: take programs, run them, read back; what executors share. It knows no backend.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::EngineError;
use super::graph::Graph;
use super::program::Program;
use super::summary::AdapterSummary;
use super::tuning::KernelChoices;
use super::variables::{VarId, Variables};

/// The two kinds of executors that train and score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// Kernels on an adapter: [`super::Gpu`].
    Gpu,
    /// The cores of this machine: [`super::Cpu`].
    Cpu,
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::Gpu => "gpu",
            Self::Cpu => "cpu",
        })
    }
}

/// A program that an executor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProgramId(pub(crate) usize);

/// Something to read back.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Readback<'a> {
    /// The content of a variable.
    Variable(VarId),
    /// A named output of a program's latest run.
    Output(ProgramId, &'a str),
}

/// Numbers on their way back to the host, one vector for each thing asked for.
pub struct Pending(pub(crate) State);

pub(crate) enum State {
    Ready(Vec<Vec<f32>>),
    InFlight(Box<dyn InFlight>),
}

/// Numbers that a backend still computes or copies.
pub(crate) trait InFlight: Send {
    fn wait(self: Box<Self>) -> Result<Vec<Vec<f32>>, EngineError>;
}

impl Pending {
    /// Waits for the numbers.
    ///
    /// # Errors
    /// If the device failed since the last successful read-back.
    pub fn wait(self) -> Result<Vec<Vec<f32>>, EngineError> {
        match self.0 {
            State::Ready(values) => Ok(values),
            State::InFlight(numbers) => numbers.wait(),
        }
    }

    /// Waits for the first thing asked for.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn wait_one(self) -> Result<Vec<f32>, EngineError> {
        Ok(self.wait()?.into_iter().next().unwrap_or_default())
    }
}

/// Runs programs and holds the variables that they share. [`super::Gpu`] and [`super::Cpu`] are the executors there
/// are: only the engine makes a [`Pending`], so none can be written outside.
///
/// One executor serves one [`Variables`] registry. Values are `f32`, tensors row-major in NCHW.
pub trait Executor: Send {
    /// What it computes on.
    fn summary(&self) -> AdapterSummary;

    /// Makes room for the groups of `variables` that have none yet, filled with zeros.
    ///
    /// # Errors
    /// [`EngineError::Binding`] for another registry than before, or a group that has grown since its first use; too
    /// little memory, and other failures of the device.
    fn allocate(&mut self, variables: &Variables) -> Result<(), EngineError>;

    /// Takes a program in, with buffers and kernels made; allocates the variables it uses.
    ///
    /// # Errors
    /// As [`Self::allocate`]; a program that needs more than the device allows, and kernels that it refuses.
    fn load(&mut self, program: Program) -> Result<ProgramId, EngineError>;

    /// Refuses a program that needs more than the device allows, without taking memory for it.
    ///
    /// # Errors
    /// [`EngineError::Limit`] for the first buffer or launch that is too large.
    fn expect_room(&self, program: &Program) -> Result<(), EngineError>;

    #[doc(hidden)]
    /// Computes the convolutions of programs loaded from now on with these kernels, where the executor has any.
    fn choose_kernels(&mut self, _choices: &KernelChoices) {}

    /// Forgets a program, its buffers and its kernels. Some kernels that no other program uses are kept for a while, those
    /// used last.
    fn unload(&mut self, program: ProgramId);

    /// Sets a variable: as many values as its shape has, the width running fastest.
    ///
    /// # Errors
    /// [`EngineError::Binding`] for a variable that the executor does not hold, and for another number of values.
    fn write(&mut self, variable: VarId, values: &[f32]) -> Result<(), EngineError>;

    /// Sets the elements of a variable from `first` on. Programs that were run before do not see it.
    ///
    /// # Errors
    /// [`EngineError::Binding`] for a variable that the executor does not hold, and elements that it does not have.
    fn write_part(&mut self, variable: VarId, first: usize, values: &[f32]) -> Result<(), EngineError>;

    /// Sets the elements of a variable that holds bytes from `first` on, four bytes an element: what
    /// [`Graph::gather_bytes`] reads. Programs that were run before do not see it.
    ///
    /// # Errors
    /// As [`Self::write_part`], and bytes that do not fill whole elements.
    fn write_bytes(&mut self, variable: VarId, first: usize, bytes: &[u8]) -> Result<(), EngineError>;

    /// Sets a named input for the next run of a program: as many values as its shape has, the width running fastest.
    ///
    /// # Errors
    /// [`EngineError::Binding`] for a program or an input that is not there, and for another number of values.
    fn input(&mut self, program: ProgramId, name: &str, values: &[f32]) -> Result<(), EngineError>;

    /// Runs a program so many times, one after the other. May return before it is done.
    ///
    /// # Errors
    /// A program that the executor does not hold, an input that was never set, and failures of the device.
    fn run(&mut self, program: ProgramId, times: usize) -> Result<(), EngineError>;

    /// Begins to read back what was there after everything run so far.
    ///
    /// # Errors
    /// Variables, programs and outputs that are not there, and failures of the device.
    fn read(&mut self, what: &[Readback]) -> Result<Pending, EngineError>;

    /// Runs a program once and begins to read its outputs back, in one submission where there are such.
    ///
    /// # Errors
    /// As [`Self::run`] and [`Self::read`].
    fn run_and_read(&mut self, program: ProgramId, what: &[Readback]) -> Result<Pending, EngineError> {
        self.run(program, 1)?;
        self.read(what)
    }

    /// Runs a graph without variables once, from host slices: outputs by name.
    ///
    /// # Errors
    /// As [`Program::compile`], [`Self::load`], [`Self::input`] and [`Pending::wait`].
    fn evaluate(&mut self, graph: &Graph, inputs: &[(&str, &[f32])]) -> Result<HashMap<String, Vec<f32>>, EngineError> {
        let program = Program::compile(graph, &Variables::new())?;
        let names: Vec<String> = program.outputs.iter().map(|(name, _)| name.clone()).collect();
        let program = self.load(program)?;
        let values = (|| {
            for (name, values) in inputs {
                self.input(program, name, values)?;
            }
            self.run(program, 1)?;
            let wanted: Vec<Readback> = names.iter().map(|name| Readback::Output(program, name)).collect();
            self.read(&wanted)?.wait()
        })();
        self.unload(program);
        let values = values?;
        Ok(names.into_iter().zip(values).collect())
    }
}

/// Programs by their handles, and which of their inputs have no values yet.
pub(crate) struct Programs<P> {
    held: HashMap<ProgramId, (P, Vec<String>)>,
    next: usize,
}

impl<P> Default for Programs<P> {
    fn default() -> Self {
        Self { held: HashMap::new(), next: 0 }
    }
}

impl<P> Programs<P> {
    /// Takes a program in that has these inputs.
    pub(super) fn add(&mut self, inputs: Vec<String>, program: P) -> ProgramId {
        let id = ProgramId(self.next);
        self.next += 1;
        self.held.insert(id, (program, inputs));
        id
    }

    pub(super) fn remove(&mut self, id: ProgramId) -> Option<P> {
        self.held.remove(&id).map(|(program, _)| program)
    }

    pub(super) fn get(&self, id: ProgramId) -> Result<&P, EngineError> {
        self.held.get(&id).map(|(program, _)| program).ok_or_else(|| unknown(id))
    }

    pub(super) fn get_mut(&mut self, id: ProgramId) -> Result<&mut P, EngineError> {
        self.held.get_mut(&id).map(|(program, _)| program).ok_or_else(|| unknown(id))
    }

    /// Takes note that an input has values.
    pub(super) fn set_input(&mut self, id: ProgramId, name: &str) {
        if let Some((_, missing)) = self.held.get_mut(&id) {
            missing.retain(|input| input != name);
        }
    }

    /// Refuses to run a program that has an input without values.
    pub(super) fn expect_inputs(&self, id: ProgramId) -> Result<(), EngineError> {
        match self.held.get(&id).and_then(|(_, missing)| missing.first()) {
            Some(name) => {
                Err(EngineError::Binding { name: name.clone(), problem: "the input has no values yet".into() })
            }
            None => Ok(()),
        }
    }
}

fn unknown(id: ProgramId) -> EngineError {
    EngineError::Binding { name: format!("program {}", id.0), problem: "this executor does not hold it".into() }
}

/// Most numbers in one buffer: 2 GiB of `f32`, as much as most GPUs allow.
const MAX_NUMBERS: usize = 1 << 29;

/// Refuses a buffer of more numbers than one may hold.
fn expect_few<T>(what: &str, len: usize) -> Result<(), EngineError> {
    if len > MAX_NUMBERS {
        let mib = |len: usize| format!("{} MiB", (len as u64 * size_of::<T>() as u64) >> 20);
        return Err(EngineError::Limit { what: what.into(), needed: mib(len), limit: mib(MAX_NUMBERS) });
    }
    Ok(())
}

/// Refuses a program that has a buffer in main memory of more numbers than one may hold.
pub(crate) fn expect_few_of(program: &Program) -> Result<(), EngineError> {
    program.buffers().try_for_each(|(what, len)| expect_few::<f32>(&what, len))
}

/// A buffer of `len` numbers for `what`.
///
/// # Errors
/// More numbers than a buffer may hold, and than there is memory for.
pub(crate) fn filled<T: Clone>(what: &str, len: usize, value: T) -> Result<Vec<T>, EngineError> {
    expect_few::<T>(what, len)?;
    let mut numbers = Vec::new();
    let refused = |error| EngineError::OutOfMemory { what: what.into(), problem: format!("{error}") };
    numbers.try_reserve_exact(len).map_err(refused)?;
    numbers.resize(len, value);
    Ok(numbers)
}
