//! The pair of structures of the two steps of distillation, as text.

use std::fmt;
use std::str::FromStr;

use crate::config::{Config, ConfigError, Structure};

/// The structures of the two steps of progressive distillation, written `1+4`; `1` is the first step alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pair {
    /// Of the first step.
    pub first: Structure,
    /// Of the second, if there is one.
    pub second: Option<Structure>,
}

impl Pair {
    /// The pair that a configuration asks for.
    pub fn of(config: &Config) -> Self {
        let distillation = &config.distillation;
        let second = (distillation.step2.steps > 0).then_some(distillation.step2.structure);
        Self { first: distillation.step1.structure, second }
    }

    /// Sets the structures of a configuration; without a second one, its steps to none.
    ///
    /// # Errors
    /// A configuration without steps for a structure of the pair.
    pub fn set(self, config: &mut Config) -> Result<(), ConfigError> {
        let distillation = &mut config.distillation;
        let missing =
            |key| ConfigError::Range { key, value: "0".into(), allowed: "1 or more for the structures named" };
        distillation.step1.structure = self.first;
        if distillation.step1.steps == 0 {
            return Err(missing("distillation.step1.steps"));
        }
        match self.second {
            Some(_) if distillation.step2.steps == 0 => return Err(missing("distillation.step2.steps")),
            Some(second) => distillation.step2.structure = second,
            None => distillation.step2.steps = 0,
        }
        Ok(())
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first.number())?;
        self.second.map_or(Ok(()), |second| write!(f, "+{}", second.number()))
    }
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let structure = |text: &str| {
            let number: Option<u8> = text.trim().parse().ok();
            let number = number.ok_or_else(|| format!("`{text}` is no structure; write 1+4, or 1 for one step"))?;
            Structure::try_from(number)
        };
        match text.split_once('+') {
            Some((first, second)) => Ok(Self { first: structure(first)?, second: Some(structure(second)?) }),
            None => Ok(Self { first: structure(text)?, second: None }),
        }
    }
}
