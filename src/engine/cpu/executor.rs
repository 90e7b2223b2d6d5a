//! The executor: memory, programs made ready, running a step. Op kernels stand beside it; it knows none by name.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use pulp::Arch;

use super::kernel::{Call, CpuKernel};
use super::threads::Threads;
use crate::engine::error::EngineError;
use crate::engine::executor::{Executor, Pending, ProgramId, Programs, Readback, State, expect_few_of, filled};
use crate::engine::ops::Rule;
use crate::engine::program::{Buffer, Place, Program, Step, elements_of, expect_len, expect_within};
use crate::engine::shape::count;
use crate::engine::variables::{GroupId, VarId, Variables};
use crate::engine::{AdapterSummary, Timed};
use crate::threads::pool_threads;

/// Most tensors that an op reads, and most that it writes.
const MAX_INPUTS: usize = 6;
const MAX_WRITTEN: usize = 5;

/// The executor that computes on the CPU, in single precision.
///
/// It has as many threads as rayon's pool that it is made in: one a core, or as many as `RAYON_NUM_THREADS` says.
pub struct Cpu {
    arch: Arch,
    /// Made when they are first needed.
    threads: Option<Arc<Threads>>,
    variables: Variables,
    groups: HashMap<GroupId, usize>,
    /// Groups of variables and programs' own buffers.
    memory: Vec<Vec<f32>>,
    /// How often each of them has changed.
    changes: Vec<u64>,
    /// Places in it that nothing has.
    free: Vec<usize>,
    programs: Programs<Loaded>,
    scratch: Vec<f32>,
}

struct Loaded {
    program: Program,
    steps: Vec<Ready>,
    locals: Vec<usize>,
}

/// A part of a buffer.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    buffer: usize,
    start: usize,
    len: usize,
}

impl Part {
    fn end(&self) -> usize {
        self.start + self.len
    }
}

/// A step with its kernel and its operands.
struct Ready {
    kernel: CpuKernel,
    inputs: Vec<Part>,
    /// Outputs, then what is changed in place, ordered by buffer and place; each with its number in the op's order.
    written: Vec<(Part, usize)>,
    outputs: usize,
    packed: Packed,
}

/// An input that a kernel wants packed.
#[derive(Default)]
struct Packed {
    numbers: Vec<f32>,
    /// How often its buffer had changed when the kernel ran last.
    changes: u64,
    /// Whether the numbers are those of the input.
    current: bool,
}

impl Default for Cpu {
    fn default() -> Self {
        Self::new()
    }
}

impl Cpu {
    /// An executor with the widest vectors that the processor has.
    pub fn new() -> Self {
        Self::with_arch(Arch::new())
    }

    /// An executor without vectors of 16 numbers, as on processors without AVX-512.
    #[doc(hidden)]
    pub(crate) fn without_avx512() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(v3) = pulp::x86::V3::try_new() {
            return Self::with_arch(Arch::V3(v3));
        }
        Self::new()
    }

    fn with_arch(arch: Arch) -> Self {
        Self {
            arch,
            threads: None,
            variables: Variables::new(),
            groups: HashMap::new(),
            memory: Vec::new(),
            changes: Vec::new(),
            free: Vec::new(),
            programs: Programs::default(),
            scratch: Vec::new(),
        }
    }

    /// Runs a program once and times each op.
    ///
    /// # Errors
    /// A program that it does not hold.
    pub(crate) fn profile(&mut self, program: ProgramId) -> Result<Vec<Timed>, EngineError> {
        let threads = self.threads()?;
        let Loaded { program, steps, .. } = self.programs.get_mut(program)?;
        let mut memory = Memory { buffers: &mut self.memory, changes: &mut self.changes, scratch: &mut self.scratch };
        let arch = self.arch;
        let mut timed = Vec::with_capacity(steps.len());
        threads.run(|| {
            for (step, ready) in program.steps.iter().zip(steps) {
                let started = Instant::now();
                ready.run(&mut memory, arch);
                timed.push(Timed {
                    label: step.label.clone(),
                    shader: step.op.name().to_owned(),
                    macs: step.macs(),
                    workgroups: [1; 3],
                    seconds: started.elapsed().as_secs_f64(),
                });
            }
        });
        Ok(timed)
    }

    fn threads(&mut self) -> Result<Arc<Threads>, EngineError> {
        match &self.threads {
            Some(threads) => Ok(threads.clone()),
            None => Ok(self.threads.insert(Arc::new(Threads::new()?)).clone()),
        }
    }

    /// Takes a buffer of `len` numbers for `what` into the memory.
    fn buffer(&mut self, what: &str, len: usize, value: f32) -> Result<usize, EngineError> {
        let buffer = filled(what, len, value)?;
        Ok(self.keep(buffer))
    }

    fn keep(&mut self, buffer: Vec<f32>) -> usize {
        match self.free.pop() {
            Some(free) => {
                self.memory[free] = buffer;
                self.changes[free] += 1;
                free
            }
            None => {
                self.memory.push(buffer);
                self.changes.push(0);
                self.memory.len() - 1
            }
        }
    }

    /// Where a place of a program lies.
    fn part(&self, locals: &[usize], place: Place) -> Part {
        let buffer = match place.buffer {
            Buffer::Group(group) => self.groups[&group],
            Buffer::Local(local) => locals[local],
        };
        Part { buffer, start: place.offset, len: place.len }
    }

    fn ready(&self, locals: &[usize], step: &Step) -> Result<Ready, EngineError> {
        let (inputs, outputs) = (step.input_shapes(), step.output_shapes());
        let kernel = step.op.cpu(&inputs, &outputs);
        let mut written: Vec<(Part, usize)> = step
            .outputs
            .iter()
            .map(|y| y.place)
            .chain(step.mutated.iter().copied())
            .enumerate()
            .map(|(number, place)| (self.part(locals, place), number))
            .collect();
        written.sort_by_key(|(part, _)| (part.buffer, part.start));
        // What an optimizer waits for beside, it finds in a group that it changes.
        let is_written = |part: &Part| written.iter().any(|(written, _)| written.buffer == part.buffer);
        let parts = step.inputs.iter().map(|operand| self.part(locals, operand.place));
        let inputs: Vec<Part> = parts.filter(|part| !is_written(part)).collect();
        let overlap =
            written.windows(2).any(|pair| pair[0].0.buffer == pair[1].0.buffer && pair[0].0.end() > pair[1].0.start);
        if overlap || written.len() > MAX_WRITTEN || inputs.len() > MAX_INPUTS {
            let problem = format!("{} operands that cannot be told apart", inputs.len() + written.len());
            return Err(EngineError::Shape { op: step.label.clone(), problem });
        }
        let len = kernel.packing.as_ref().map_or(0, |packing| packing.len);
        let numbers = filled(&format!("the packed weights of `{}`", step.label), len, 0.0)?;
        let packed = Packed { numbers, ..Packed::default() };
        Ok(Ready { kernel, inputs, written, outputs: outputs.len(), packed })
    }

    fn slice(&self, part: Part) -> &[f32] {
        &self.memory[part.buffer][part.start..part.end()]
    }

    fn change(&mut self, part: Part, values: &[f32]) {
        self.memory[part.buffer][part.start..part.end()].copy_from_slice(values);
        self.changes[part.buffer] += 1;
    }

    fn variable(&self, variable: VarId) -> Result<Part, EngineError> {
        self.variables.expect(variable)?;
        Ok(Part {
            buffer: self.groups[&variable.group],
            start: self.variables.offset(variable),
            len: count(self.variables.shape(variable)),
        })
    }
}

/// What steps work on.
struct Memory<'a> {
    buffers: &'a mut [Vec<f32>],
    changes: &'a mut [u64],
    scratch: &'a mut [f32],
}

impl Ready {
    /// Packs what the kernel wants packed, if it has changed since. What changes from run to run is packed only where it is worth
    /// it for one.
    fn pack(&mut self, memory: &[Vec<f32>], changes: &[u64]) {
        let Some(packing) = &self.kernel.packing else { return };
        let part = self.inputs[packing.input];
        let stayed = self.packed.changes == changes[part.buffer];
        self.packed.current &= stayed;
        if !self.packed.current && (stayed || packing.always) {
            (packing.pack)(&memory[part.buffer][part.start..part.end()], &mut self.packed.numbers);
            self.packed.current = true;
        }
        self.packed.changes = changes[part.buffer];
    }

    /// Runs the step. Buffers that it writes leave the memory meanwhile, so that what it reads can be told from them.
    fn run(&mut self, memory: &mut Memory, arch: Arch) {
        let Memory { buffers: memory, changes, scratch } = memory;
        self.pack(memory, changes);
        let mut taken: [Vec<f32>; MAX_WRITTEN] = Default::default();
        let mut count = 0;
        let mut last = None;
        for (part, _) in &self.written {
            if last != Some(part.buffer) {
                taken[count] = mem::take(&mut memory[part.buffer]);
                changes[part.buffer] += 1;
                count += 1;
                last = Some(part.buffer);
            }
        }
        {
            let mut inputs: [&[f32]; MAX_INPUTS] = [&[]; MAX_INPUTS];
            for (input, part) in inputs.iter_mut().zip(&self.inputs) {
                *input = &memory[part.buffer][part.start..part.end()];
            }
            let mut written: [&mut [f32]; MAX_WRITTEN] = Default::default();
            let mut buffers = taken.iter_mut();
            let (mut rest, mut start): (&mut [f32], usize) = (&mut [], 0);
            let mut last = None;
            for &(part, number) in &self.written {
                if last != Some(part.buffer) {
                    (rest, start) = (buffers.next().map(Vec::as_mut_slice).unwrap_or_default(), 0);
                    last = Some(part.buffer);
                }
                let (_, from) = mem::take(&mut rest).split_at_mut(part.start - start);
                let (slice, after) = from.split_at_mut(part.len);
                written[number] = slice;
                (rest, start) = (after, part.end());
            }
            let (outputs, mutated) = written.split_at_mut(self.outputs);
            self.kernel.run(&mut Call {
                inputs: &inputs[..self.inputs.len()],
                outputs,
                mutated: &mut mutated[..self.written.len() - self.outputs],
                packed: if self.packed.current { &self.packed.numbers } else { &[] },
                scratch: &mut scratch[..self.kernel.scratch],
                arch,
            });
        }
        let mut last = None;
        let mut taken = taken.into_iter();
        for (part, _) in &self.written {
            if last != Some(part.buffer) {
                memory[part.buffer] = taken.next().unwrap_or_default();
                last = Some(part.buffer);
            }
        }
    }
}

impl Executor for Cpu {
    fn summary(&self) -> AdapterSummary {
        let threads = self.threads.as_ref().map_or_else(pool_threads, |threads| threads.count());
        let vectors = match format!("{:?}", self.arch) {
            arch if arch.starts_with("V4") => "AVX-512",
            arch if arch.starts_with("V3") => "AVX2",
            arch if arch.starts_with("Neon") => "NEON",
            _ => "no vectors",
        };
        AdapterSummary::cpu(
            "CPU executor",
            format!("{threads} thread{}, {vectors}", if threads == 1 { "" } else { "s" }),
        )
    }

    fn allocate(&mut self, variables: &Variables) -> Result<(), EngineError> {
        self.variables = self.variables.latest(variables)?.clone();
        for group in variables.groups() {
            if !self.groups.contains_key(&group) {
                let what = format!("the variables `{}`", variables.group_name(group));
                let buffer = self.buffer(&what, variables.group_len(group), 0.0)?;
                self.groups.insert(group, buffer);
            }
        }
        Ok(())
    }

    fn load(&mut self, program: Program) -> Result<ProgramId, EngineError> {
        self.allocate(&program.variables)?;
        let mut locals = Vec::with_capacity(program.locals.len());
        for (local, user) in program.locals.iter().zip(program.users()) {
            locals.push(match &local.content {
                Some(content) => self.keep(content.to_vec()),
                // What no kernel writes shows.
                None => self.buffer(&format!("a tensor of {user}"), local.len, f32::NAN)?,
            });
        }
        let threads = self.threads()?;
        let ready = || program.steps.iter().map(|step| self.ready(&locals, step)).collect::<Result<Vec<Ready>, _>>();
        let steps = threads.run(ready)?;
        let scratch = steps.iter().map(|step| step.kernel.scratch).max().unwrap_or(0);
        if scratch > self.scratch.len() {
            self.scratch = filled("the windows of convolutions", scratch, 0.0)?;
        }
        Ok(self.programs.add(program.input_names(), Loaded { program, steps, locals }))
    }

    fn expect_room(&self, program: &Program) -> Result<(), EngineError> {
        expect_few_of(program)
    }

    fn unload(&mut self, program: ProgramId) {
        for local in self.programs.remove(program).into_iter().flat_map(|loaded| loaded.locals) {
            self.memory[local] = Vec::new();
            self.free.push(local);
        }
    }

    fn write(&mut self, variable: VarId, values: &[f32]) -> Result<(), EngineError> {
        let part = self.variable(variable)?;
        expect_len(self.variables.name(variable), self.variables.shape(variable), values.len())?;
        self.change(part, values);
        Ok(())
    }

    fn write_part(&mut self, variable: VarId, first: usize, values: &[f32]) -> Result<(), EngineError> {
        let part = self.variable(variable)?;
        expect_within(self.variables.name(variable), self.variables.shape(variable), first, values.len())?;
        self.change(Part { start: part.start + first, len: values.len(), ..part }, values);
        Ok(())
    }

    fn write_bytes(&mut self, variable: VarId, first: usize, bytes: &[u8]) -> Result<(), EngineError> {
        let part = self.variable(variable)?;
        let len = elements_of(self.variables.name(variable), bytes.len())?;
        expect_within(self.variables.name(variable), self.variables.shape(variable), first, len)?;
        let room = &mut self.memory[part.buffer][part.start + first..][..len];
        bytemuck::cast_slice_mut::<f32, u8>(room).copy_from_slice(bytes);
        self.changes[part.buffer] += 1;
        Ok(())
    }

    fn input(&mut self, program: ProgramId, name: &str, values: &[f32]) -> Result<(), EngineError> {
        let loaded = self.programs.get(program)?;
        let part = self.part(&loaded.locals, loaded.program.input(name, values.len())?);
        self.change(part, values);
        self.programs.set_input(program, name);
        Ok(())
    }

    fn run(&mut self, program: ProgramId, times: usize) -> Result<(), EngineError> {
        self.programs.expect_inputs(program)?;
        let threads = self.threads()?;
        let steps = &mut self.programs.get_mut(program)?.steps;
        let mut memory = Memory { buffers: &mut self.memory, changes: &mut self.changes, scratch: &mut self.scratch };
        let arch = self.arch;
        threads.run(|| {
            for _ in 0..times {
                steps.iter_mut().for_each(|step| step.run(&mut memory, arch));
            }
        });
        Ok(())
    }

    fn read(&mut self, what: &[Readback]) -> Result<Pending, EngineError> {
        let mut values = Vec::with_capacity(what.len());
        for item in what {
            let part = match *item {
                Readback::Variable(variable) => self.variable(variable)?,
                Readback::Output(id, name) => {
                    let loaded = self.programs.get(id)?;
                    self.part(&loaded.locals, loaded.program.output(name)?)
                }
            };
            values.push(self.slice(part).to_vec());
        }
        Ok(Pending(State::Ready(values)))
    }
}
