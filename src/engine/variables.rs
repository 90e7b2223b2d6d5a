//! Variables in groups, by shape and offset. The numbers themselves are on executors.

use super::error::EngineError;
use super::shape::{Shape, count};

/// Variables start at multiples of this many `f32`, so that each can be bound by itself: 256 bytes is
/// the largest offset alignment that WebGPU lets an adapter ask for.
pub(crate) const ALIGNMENT: usize = 64;

/// A group of variables that share one device buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(u32);

/// One variable: a tensor that outlives a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VarId {
    pub(crate) group: GroupId,
    index: u32,
}

impl VarId {
    /// The group it belongs to.
    pub fn group(self) -> GroupId {
        self.group
    }
}

#[derive(Clone, Debug)]
struct Variable {
    name: String,
    shape: Shape,
    offset: usize,
}

#[derive(Clone, Debug)]
struct Group {
    name: String,
    variables: Vec<Variable>,
    len: usize,
}

/// The registry of everything that lives on the device between steps: parameters, their moments,
/// running statistics, rings of images, step counters.
///
/// All variables of a group lie in one buffer, so that an optimizer updates a network in one dispatch.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    groups: Vec<Group>,
}

impl Variables {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an empty group.
    pub fn group(&mut self, name: impl Into<String>) -> GroupId {
        self.groups.push(Group { name: name.into(), variables: Vec::new(), len: 0 });
        GroupId(self.groups.len() as u32 - 1)
    }

    /// Adds a variable to `group`; it holds zeros until written. All variables of a group must be
    /// added before the first program that uses the group is loaded.
    pub fn add(&mut self, group: GroupId, name: impl Into<String>, shape: Shape) -> VarId {
        let group_ref = &mut self.groups[group.0 as usize];
        let offset = group_ref.len;
        group_ref.len += count(shape).next_multiple_of(ALIGNMENT);
        group_ref.variables.push(Variable { name: name.into(), shape, offset });
        VarId { group, index: group_ref.variables.len() as u32 - 1 }
    }

    /// Adds a group with the same variables as `group` under another name: gradients and moments.
    pub fn mirror(&mut self, group: GroupId, name: impl Into<String>) -> GroupId {
        let copy = Group { name: name.into(), ..self.groups[group.0 as usize].clone() };
        self.groups.push(copy);
        GroupId(self.groups.len() as u32 - 1)
    }

    /// All groups.
    pub(crate) fn groups(&self) -> impl Iterator<Item = GroupId> + use<> {
        (0..self.groups.len() as u32).map(GroupId)
    }

    /// The variables of a group, in the order they were added.
    pub fn of(&self, group: GroupId) -> impl Iterator<Item = VarId> + use<> {
        (0..self.groups[group.0 as usize].variables.len() as u32).map(move |index| VarId { group, index })
    }

    /// The variable of `group` that stands where `var` stands in its own group (see [`Self::mirror`]).
    pub fn mirror_of(&self, var: VarId, group: GroupId) -> VarId {
        debug_assert_eq!(self.shape(var), self.shape(VarId { group, ..var }));
        VarId { group, ..var }
    }

    /// Name given at [`Self::add`].
    pub fn name(&self, var: VarId) -> &str {
        &self.variable(var).name
    }

    /// Shape given at [`Self::add`].
    pub fn shape(&self, var: VarId) -> Shape {
        self.variable(var).shape
    }

    /// Name of a group.
    pub fn group_name(&self, group: GroupId) -> &str {
        &self.groups[group.0 as usize].name
    }

    /// Refuses a variable that is not of this registry.
    pub(crate) fn expect(&self, var: VarId) -> Result<(), EngineError> {
        match self.groups.get(var.group.0 as usize).and_then(|group| group.variables.get(var.index as usize)) {
            Some(_) => Ok(()),
            None => Err(EngineError::Binding {
                name: format!("variable {} of group {}", var.index, var.group.0),
                problem: "the executor does not hold it; allocate its registry first".into(),
            }),
        }
    }

    /// The larger of two states of one registry, of which one has been added to since the other.
    ///
    /// # Errors
    /// If they are different registries, or a group was added to after it was first used.
    pub(crate) fn latest<'a>(&'a self, other: &'a Self) -> Result<&'a Self, EngineError> {
        let (less, more) = if self.groups.len() <= other.groups.len() { (self, other) } else { (other, self) };
        let differs = less.groups.iter().zip(&more.groups).find(|(a, b)| a.name != b.name || a.len != b.len);
        match differs {
            None => Ok(more),
            Some((a, b)) => Err(EngineError::Binding {
                name: b.name.clone(),
                problem: format!(
                    "the executor holds `{}` of {} numbers in its place; one executor serves one registry, whose \
                     groups are complete before their first use",
                    a.name, a.len
                ),
            }),
        }
    }

    /// Number of `f32` in a group's buffer, padding included.
    pub(crate) fn group_len(&self, group: GroupId) -> usize {
        self.groups[group.0 as usize].len
    }

    /// Where a variable starts in its group's buffer, in `f32`.
    pub(crate) fn offset(&self, var: VarId) -> usize {
        self.variable(var).offset
    }

    fn variable(&self, var: VarId) -> &Variable {
        &self.groups[var.group.0 as usize].variables[var.index as usize]
    }
}
