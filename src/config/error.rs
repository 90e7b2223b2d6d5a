//! What can be wrong with a configuration, said in one line.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::Recipe;
use crate::format::NewerFormat;
use crate::message::shortened;

/// Why a configuration could not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}; name an existing TOML file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The failure itself.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{}: line {line}: {}; correct the TOML there", path.display(), shortened(message))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line of the fault, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A newer version of the program wrote the file.
    #[error(transparent)]
    Newer(#[from] NewerFormat),
    /// Not of the form `section.key=value`.
    #[error("--set {}: expected section.key=value, such as training.steps=3000", shortened(text))]
    Assignment {
        /// The text given.
        text: String,
    },
    /// A key that no setting has.
    #[error("{}: unknown key `{}`; {}", shortened(origin), shortened(key), advice(suggestion.as_deref()))]
    UnknownKey {
        /// The file or option that has the key.
        origin: String,
        /// The key, with its section.
        key: String,
        /// The nearest key that exists, where one is near.
        suggestion: Option<String>,
    },
    /// A section given a single value.
    #[error("{}: `{key}` is a section; set one of its keys, such as `{example}`", shortened(origin))]
    Section {
        /// The file or option that has the key.
        origin: String,
        /// The section.
        key: String,
        /// A key in it.
        example: String,
    },
    /// A value of the wrong type, or a missing key.
    #[error("{}: {}; correct the value there", shortened(origin), shortened(message))]
    Value {
        /// The file or option that has the value.
        origin: String,
        /// What was found and what was expected.
        message: String,
    },
    /// A value out of its range.
    #[error("`{key}` is {}; it must be {allowed}", shortened(value))]
    Range {
        /// The key, with its section.
        key: &'static str,
        /// The value.
        value: String,
        /// The values allowed.
        allowed: &'static str,
    },
    /// A model file that a run is given says another value than the settings.
    #[error(
        "{}: the model was made with `{key}` = {model}, and the settings say {settings}; leave that setting out, or use \
         another model",
        path.display()
    )]
    Contradiction {
        /// The model file.
        path: PathBuf,
        /// The key, with its section.
        key: String,
        /// The value in the settings.
        settings: String,
        /// The value in the file.
        model: String,
    },
    /// A name that is no recipe's.
    #[error("unknown recipe `{}`; choose {}", shortened(name), Recipe::ALL.map(Recipe::name).join(" or "))]
    UnknownRecipe {
        /// The name given.
        name: String,
    },
    /// Values that TOML cannot hold.
    #[error("the configuration cannot be written as TOML: {0}; choose a seed below 2^63 and a Unicode folder name")]
    Write(toml::ser::Error),
}

fn advice(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(|| "see the keys in a run's config.toml".to_owned(), |key| format!("did you mean `{key}`?"))
}
