//! Horizontal fusion: a program's kernels that do not depend on each other, and do not fill a GPU, as one launch. Which of
//! them are, and what each launch binds. It knows no device.

use std::collections::HashMap;

use super::dispatch::{Dispatch, Slot};
use super::source::own_text;
use super::target::Target;
use super::text::{self, Declared};
use crate::engine::program::{Place, Program, Step};

/// Numbers between the partial sums of steps that run at once: what every adapter can bind at, 256 bytes.
const SCRATCH_ALIGNMENT: usize = 64;

/// What a launch binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    Place(Place),
    /// Partial sums.
    Scratch {
        offset: usize,
        len: usize,
    },
}

impl Storage {
    fn shares_buffer(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Place(a), Self::Place(b)) => a.buffer == b.buffer,
            (Self::Scratch { .. }, Self::Scratch { .. }) => true,
            _ => false,
        }
    }
}

/// A binding of a launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    pub storage: Storage,
    pub writes: bool,
    /// The type of its variable in WGSL.
    pub wgsl: String,
}

/// A kernel of a launch.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Index of the program's step.
    pub step: usize,
    pub dispatch: Dispatch,
    /// Its own text.
    pub text: String,
    /// The launch's binding for each of its own, if it uses it.
    pub bound: Vec<Option<usize>>,
}

/// One launch: a kernel, or several side by side.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub parts: Vec<Part>,
    pub bindings: Vec<Binding>,
}

impl Launch {
    /// The files under `shaders/`, without `.wgsl`, joined by `+`.
    pub(crate) fn shader(&self) -> String {
        joined(self.parts.iter().map(|part| part.dispatch.shader), "+")
    }

    /// Its ops, by their labels.
    pub(crate) fn label(&self, program: &Program) -> String {
        joined(self.parts.iter().map(|part| &*program.steps[part.step].label), " + ")
    }

    /// Multiply-accumulates. An op multiplies in its first kernel; later ones put its parts together.
    pub(crate) fn macs(&self, program: &Program) -> u64 {
        let first =
            self.parts.iter().filter(|part| !part.dispatch.bindings.iter().any(|slot| matches!(slot, Slot::Parts(_))));
        first.map(|part| program.steps[part.step].macs()).sum()
    }

    /// Bytes of what it binds.
    pub(crate) fn bytes(&self) -> u64 {
        let len = |binding: &Binding| match binding.storage {
            Storage::Place(place) => place.len,
            Storage::Scratch { len, .. } => len,
        };
        self.bindings.iter().map(|binding| (size_of::<f32>() * len(binding)) as u64).sum()
    }

    /// Whether wgpu bounds its loops, see [`Dispatch::loops_bounded`].
    pub(crate) fn loops_bounded(&self) -> bool {
        self.parts.iter().any(|part| part.dispatch.loops_bounded)
    }

    /// Workgroups along each axis.
    pub(crate) fn workgroups(&self) -> [u32; 3] {
        match &self.parts[..] {
            [only] => only.dispatch.workgroups,
            parts => [parts.iter().map(|part| part.workgroups() as u32).sum(), 1, 1],
        }
    }

    /// Takes a kernel in, if it fits beside those that are here.
    fn takes(&mut self, part: &Part, bindings: &[Option<Binding>], target: &Target) -> bool {
        let shape = |part: &Part| part.shape(target.adapter.max_workgroups_beside);
        let alike = shape(part).is_some_and(|new| self.parts.iter().all(|other| shape(other) == Some(new)));
        // WebGPU forbids a launch to write a buffer that it reads, wherever in it.
        let clash = |new: &Binding| {
            self.bindings.iter().any(|old| old.writes != new.writes && old.storage.shares_buffer(&new.storage))
        };
        if !alike || bindings.iter().flatten().any(clash) {
            return false;
        }
        let mut all = self.bindings.clone();
        let bound = bind(&mut all, bindings);
        let fits = all.len() <= target.max_bindings;
        if fits {
            self.bindings = all;
            self.parts.push(Part { bound, ..part.clone() });
        }
        fits
    }
}

impl Part {
    /// What kernels agree in that run side by side: the invocations of a workgroup, and whether loops are bounded. None
    /// where a kernel stays alone, as those of more than `most` workgroups.
    fn shape(&self, most: u64) -> Option<(u32, bool)> {
        let small = self.workgroups() <= most && self.dispatch.is_self_contained();
        let [x, y, z] = text::workgroup_sides(&self.text)?;
        small.then_some((x * y * z, self.dispatch.loops_bounded))
    }

    /// How many workgroups it has.
    pub(super) fn workgroups(&self) -> u64 {
        self.dispatch.workgroups.iter().map(|&n| u64::from(n)).product()
    }
}

/// Adds a kernel's bindings to those of others, with what they read in the same way once; says where each is. Two bindings of the
/// kernel itself stay two, so that no two of its names become one.
fn bind(all: &mut Vec<Binding>, bindings: &[Option<Binding>]) -> Vec<Option<usize>> {
    let mut free = vec![true; all.len()];
    let mut place = |binding: &Binding| {
        let known = |at: &usize| free[*at] && !binding.writes && all[*at] == *binding;
        match (0..free.len()).find(known) {
            Some(at) => {
                free[at] = false;
                at
            }
            None => {
                all.push(binding.clone());
                all.len() - 1
            }
        }
    };
    bindings.iter().map(|binding| binding.as_ref().map(&mut place)).collect()
}

fn joined<'a>(names: impl Iterator<Item = &'a str>, by: &str) -> String {
    names.collect::<Vec<_>>().join(by)
}

impl Program {
    /// The launches of one run, level by level.
    pub(crate) fn launches(&self, target: &Target) -> Vec<Launch> {
        self.launches_of(&(0..self.steps.len()).collect::<Vec<_>>(), target)
    }

    /// The launches of some steps.
    pub(super) fn launches_of(&self, steps: &[usize], target: &Target) -> Vec<Launch> {
        let of = |&index: &usize| {
            let step = &self.steps[index];
            let numbered = step.dispatches(target).into_iter().enumerate();
            numbered.map(move |(order, dispatch)| ((step.level, order), index, dispatch))
        };
        let mut dispatches: Vec<((usize, usize), usize, Dispatch)> = steps.iter().flat_map(of).collect();
        dispatches.sort_by_key(|&(turn, ..)| turn);
        let mut launches: Vec<Launch> = Vec::new();
        let (mut turn, mut first, mut scratch) = ((0, 0), 0, Scratch::default());
        for (at, step, dispatch) in dispatches {
            if at.0 != turn.0 {
                scratch.end = 0;
            }
            if at != turn {
                (turn, first) = (at, launches.len());
            }
            let text = own_text(&dispatch);
            let bindings = self.bindings(step, &dispatch, &text, &mut scratch);
            let part = Part { step, dispatch, text, bound: Vec::new() };
            if !launches[first..].iter_mut().any(|launch| launch.takes(&part, &bindings, target)) {
                let mut all = Vec::new();
                let bound = bind(&mut all, &bindings);
                launches.push(Launch { parts: vec![Part { bound, ..part }], bindings: all });
            }
        }
        launches
    }

    /// What a kernel binds, in the order of its bindings; none where it uses nothing.
    fn bindings(&self, step: usize, dispatch: &Dispatch, text: &str, scratch: &mut Scratch) -> Vec<Option<Binding>> {
        let Step { inputs, outputs, mutated, .. } = &self.steps[step];
        let declared: Vec<Declared> = text.lines().filter_map(Declared::of).collect();
        let binding = |(number, slot): (usize, &Slot)| {
            let (storage, writes) = match *slot {
                Slot::Input(i) => (Storage::Place(inputs[i].place), false),
                Slot::Output(i) => (Storage::Place(outputs[i].place), true),
                Slot::Mutated(i) => (Storage::Place(mutated[i]), true),
                Slot::Scratch(len) => (scratch.take(step, len), true),
                Slot::Parts(len) => (Storage::Scratch { offset: *scratch.offsets.get(&step)?, len }, false),
                Slot::Unused | Slot::UnusedOutput => return None,
            };
            let wgsl = declared.iter().find(|it| it.binding == number)?.stored(dispatch);
            Some(Binding { storage, writes, wgsl })
        };
        dispatch.bindings.iter().enumerate().map(binding).collect()
    }
}

/// Where the steps of a level have their partial sums.
#[derive(Default)]
struct Scratch {
    offsets: HashMap<usize, usize>,
    end: usize,
}

impl Scratch {
    fn take(&mut self, step: usize, len: usize) -> Storage {
        let offset = self.end;
        self.offsets.insert(step, offset);
        self.end += len.next_multiple_of(SCRATCH_ALIGNMENT);
        Storage::Scratch { offset, len }
    }
}
