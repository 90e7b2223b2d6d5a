//! Which pictures of one's own are independent of each other, and how a run divides them. A threshold promises something
//! of new pictures only if those that set it are as independent of the training pictures as new ones are.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::near_copies::{Sets, join_exact_copies, join_near_copies};
use super::one_class::{held_out, spread};
use super::{DataError, Images};
use crate::message::shortened;

/// What makes pictures belong together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum GroupBy {
    /// Nothing: each file is a group, copies too.
    None,
    /// They are exact or near copies of each other.
    #[default]
    Copies,
    /// They lie in the same folder. Exact copies belong together wherever they lie.
    Folder,
    /// The first group of this regular expression has the same text in their file names. Exact copies belong together
    /// whatever their names.
    Name(String),
}

/// A text that is no way to group pictures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` says no groups: {problem}; choose copies, folder or none, or a regular expression for file names whose first \
     group, in parentheses, is what pictures of a group share, such as '^(tile[0-9]+)_'",
    shortened(text)
)]
pub struct UnknownGroups {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub problem: String,
}

impl GroupBy {
    /// What stands for no groups in files of earlier versions, which knew none.
    pub(crate) fn none() -> Self {
        Self::None
    }

    fn name(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Copies => "copies",
            Self::Folder => "folder",
            Self::Name(pattern) => pattern,
        }
    }
}

impl fmt::Display for GroupBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for GroupBy {
    type Err = UnknownGroups;

    fn from_str(text: &str) -> Result<Self, UnknownGroups> {
        if let Some(known) = [Self::None, Self::Copies, Self::Folder].into_iter().find(|known| known.name() == text) {
            return Ok(known);
        }
        pattern(text).map(|_| Self::Name(text.to_owned()))
    }
}

impl TryFrom<String> for GroupBy {
    type Error = UnknownGroups;

    fn try_from(text: String) -> Result<Self, UnknownGroups> {
        text.parse()
    }
}

impl From<GroupBy> for String {
    fn from(by: GroupBy) -> Self {
        by.to_string()
    }
}

/// A regular expression with a group.
fn pattern(text: &str) -> Result<Regex, UnknownGroups> {
    let unknown = |problem: String| UnknownGroups { text: text.to_owned(), problem };
    let regex = Regex::new(text).map_err(|error| {
        let error = error.to_string();
        unknown(error.lines().last().unwrap_or_default().trim().to_owned())
    })?;
    if regex.captures_len() < 2 { Err(unknown("it has no group in parentheses".into())) } else { Ok(regex) }
}

/// Pictures in groups, in the order of their first pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups(Vec<Vec<usize>>);

impl Groups {
    /// Groups the images that lie at `paths`.
    ///
    /// # Errors
    /// Images that cannot be read, and a name that says no group.
    pub fn new(by: &GroupBy, images: &Images, paths: &[PathBuf]) -> Result<Self, DataError> {
        let mut sets = Sets::new(images.count());
        match by {
            GroupBy::None => {}
            GroupBy::Copies => join_near_copies(images, &mut sets)?,
            GroupBy::Folder => {
                join_equal(paths.iter().map(|path| path.parent().unwrap_or(Path::new(""))), &mut sets);
                join_exact_copies(images, &mut sets)?;
            }
            GroupBy::Name(text) => {
                let regex = pattern(text)?;
                let names = paths.iter().map(|path| {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    let group = regex.captures(&name).and_then(|found| found.get(1));
                    let none = || DataError::NoGroup { path: path.clone(), pattern: text.clone() };
                    group.map(|group| group.as_str().to_owned()).ok_or_else(none)
                });
                join_equal(names.collect::<Result<Vec<_>, _>>()?.into_iter(), &mut sets);
                join_exact_copies(images, &mut sets)?;
            }
        }
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut places = HashMap::new();
        for image in 0..images.count() {
            let place = *places.entry(sets.of(image)).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.push(image),
                None => groups.push(vec![image]),
            }
        }
        Ok(Self(groups))
    }

    /// The group of each picture.
    pub(super) fn places(&self) -> Vec<usize> {
        let mut places = vec![0; self.0.iter().map(Vec::len).sum()];
        for (place, group) in self.0.iter().enumerate() {
            group.iter().for_each(|&picture| places[picture] = place);
        }
        places
    }

    /// What [`Groups::places`] gave; `None` for anything else.
    pub(super) fn from_places(places: impl Iterator<Item = usize>) -> Option<Self> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (picture, place) in places.enumerate() {
            if place == groups.len() {
                groups.push(Vec::new());
            }
            groups.get_mut(place)?.push(picture);
        }
        Some(Self(groups))
    }

    /// How many groups there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Pictures of the largest group.
    pub fn largest(&self) -> usize {
        self.0.iter().map(Vec::len).max().unwrap_or_default()
    }

    /// Divides the first `normal` pictures into those that train and those that calibrate, and where `evaluates` into
    /// those that evaluate too; no group is in two parts. Each of the latter parts has a `share` of the groups, spread
    /// evenly over their order. If there are pictures behind the first `normal`, those calibrate, and nothing is held out.
    ///
    /// Of each group that calibrates one picture does, for the others say nothing new: its first, or its second, and so on
    /// in turn, so that no place in a group is preferred.
    pub(super) fn divide(&self, normal: usize, share: f64, evaluates: bool) -> Parts {
        let given = self.0.iter().any(|group| group.last().is_some_and(|&last| last >= normal));
        let with_normal = |group: &&Vec<usize>| group[0] < normal;
        let all: Vec<usize> = (0..self.count()).filter(|&place| !given || with_normal(&&self.0[place])).collect();
        let wanted = held_out(all.len(), share).max(1);
        let (train, calibration) = if given {
            (all, (0..self.count()).filter(|&place| !with_normal(&&self.0[place])).collect())
        } else {
            spread(all, wanted)
        };
        let (train, eval) = if evaluates && !given { spread(train, wanted) } else { (train, Vec::new()) };
        let pictures = |groups: &[usize]| {
            let mut pictures: Vec<usize> = groups.iter().flat_map(|&place| &self.0[place]).copied().collect();
            pictures.retain(|&picture| picture < normal);
            pictures.sort_unstable();
            pictures
        };
        let turns = calibration.iter().enumerate();
        let mut one_each: Vec<usize> = turns.map(|(turn, &place)| self.0[place][turn % self.0[place].len()]).collect();
        one_each.sort_unstable();
        Parts { train_groups: train.len(), train: pictures(&train), calibration: one_each, eval: pictures(&eval) }
    }
}

/// Pictures by what they are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    pub train_groups: usize,
    pub train: Vec<usize>,
    /// One of each group.
    pub calibration: Vec<usize>,
    pub eval: Vec<usize>,
}

fn join_equal<T: Eq + Hash>(keys: impl Iterator<Item = T>, sets: &mut Sets) {
    let mut first = HashMap::new();
    for (image, key) in keys.enumerate() {
        sets.join(*first.entry(key).or_insert(image), image);
    }
}
