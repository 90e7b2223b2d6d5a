//! A configuration in layers: a recipe, over it a file, over that single settings.

use std::cmp::Ordering;
use std::path::Path;

use serde::Deserialize;
use strsim::jaro_winkler;
use toml::{Table, Value};

use super::given::{Given, settings};
use super::{Config, ConfigError, Goal, Recipe};
use crate::data::{Dataset, Source};
use crate::files::read_text;
use crate::format;
use crate::model::ModelFile;

/// Keys of earlier versions, which still load: section, old name, new name.
const OLD_KEYS: [(&[&str], &str, &str); 3] = [
    (&["data"], "judge", "eval_split"),
    (&["distillation"], "ask_once", "precompute_teacher_outputs"),
    (&["distillation", "weights"], "latent_again", "reconstruction_latent"),
];

/// Longest configuration that is read, in bytes. One takes some kilobytes.
pub(crate) const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Longest unknown key that a suggestion is looked for, in bytes.
const MAX_KEY: usize = 200;

/// Least similarity (Jaro-Winkler) at which a key is suggested in place of an unknown one.
const SIMILAR: f64 = 0.8;

/// The configuration of `recipe` on the data set that the layers name, with the settings of the TOML `file` in place of
/// its own, and then those of `sets`, each `section.key=value` with a value in TOML's syntax; what is not TOML counts
/// as a string. Ranges are checked.
///
/// # Errors
/// A file that cannot be read or is no TOML, an unknown key (with the nearest that exists), a value of the wrong type
/// or out of range.
pub fn resolve(recipe: Recipe, file: Option<&Path>, sets: &[String]) -> Result<Config, ConfigError> {
    resolve_given(recipe, &[], file, sets)
}

/// The same, with the settings that `given` model files say in place of the recipe's. Those of `file` and `sets` may not
/// contradict them.
///
/// # Errors
/// As of [`resolve`], and [`ConfigError::Contradiction`].
pub fn resolve_given(
    recipe: Recipe,
    given: &[(&ModelFile, Given)],
    file: Option<&Path>,
    sets: &[String],
) -> Result<Config, ConfigError> {
    let layers = read_layers(file, sets)?;
    let mut said = Vec::new();
    for (model, given) in given {
        let path = &model.weights.origin;
        // Of another data set not even the keys are the same.
        if let Some(dataset) = named(layers.iter().rev().map(|(layer, _)| layer), "data", "dataset")
            && dataset.as_str() != Some(&model.normal.dataset)
        {
            return Err(ConfigError::Contradiction {
                path: path.clone(),
                key: "data.dataset".into(),
                settings: dataset.to_string(),
                model: Value::from(model.normal.dataset.as_str()).to_string(),
            });
        }
        said.push((settings(model, Some(*given))?, path.display().to_string()));
    }
    // A recipe depends on the data set, which a later layer may name.
    let mut table = complete(recipe, layers.iter().rev().chain(&said).map(|(layer, _)| layer))?;
    for (layer, origin) in said.into_iter().chain(layers) {
        lay(&mut table, layer, &origin)?;
    }
    let config = typed(table, "configuration")?;
    given.iter().try_for_each(|(model, given)| config.check_given(model, *given))?;
    config.validate()?;
    Ok(config)
}

/// What a run is for by the settings of `file` and `sets`, whatever the rest of them say.
///
/// # Errors
/// A file that cannot be read or is no TOML.
pub fn goal(file: Option<&Path>, sets: &[String]) -> Result<Goal, ConfigError> {
    let layers = read_layers(file, sets)?;
    let stage = named(layers.iter().rev().map(|(layer, _)| layer), "run", "stage");
    // One that is none is found when all is resolved.
    Ok(stage.and_then(|stage| stage.clone().try_into().ok()).unwrap_or(Goal::All))
}

/// The settings of a file, and over it single ones, each with where it comes from.
fn read_layers(file: Option<&Path>, sets: &[String]) -> Result<Vec<(Table, String)>, ConfigError> {
    let mut layers = Vec::new();
    if let Some(path) = file {
        layers.push((read_table(path)?, path.display().to_string()));
    }
    for set in sets {
        layers.push((assignment(set)?, format!("--set {set}")));
    }
    Ok(layers)
}

/// A setting in the first of the layers that has it.
fn named<'a>(layers: impl IntoIterator<Item = &'a Table>, section: &str, key: &str) -> Option<&'a Value> {
    layers.into_iter().find_map(|layer| layer.get(section)?.get(key))
}

/// Reads a configuration in which no key is left out.
pub(super) fn read_complete(path: &Path) -> Result<Config, ConfigError> {
    let origin = path.display().to_string();
    let table = read_table(path)?;
    let mut known = complete(Recipe::default(), [&table])?;
    lay(&mut known, table.clone(), &origin)?;
    let config = typed(table, &origin)?;
    config.validate()?;
    Ok(config)
}

/// The recipe for the data that the first of the layers name which do.
fn complete<'a>(recipe: Recipe, layers: impl IntoIterator<Item = &'a Table> + Clone) -> Result<Table, ConfigError> {
    let dataset = named(layers.clone(), "data", "dataset").and_then(|name| name.as_str()?.parse().ok());
    let side = named(layers, "data", "side").and_then(|side| usize::try_from(side.as_integer()?).ok());
    let config = match dataset.unwrap_or(Source::Published(Dataset::Mnist)) {
        Source::Published(dataset) => recipe.config(dataset),
        Source::Images => recipe.images(side.unwrap_or(32)),
    };
    Table::try_from(config).map_err(ConfigError::Write)
}

/// Key of the version of the run folder that a file belongs to. It is no setting.
const FORMAT: &str = "format";

/// The first line of a run's configuration, which says the version of its folder.
pub(super) fn format_line() -> String {
    format!("{FORMAT} = {}\n\n", format::RUN_FOLDER)
}

/// Refuses a file of a newer version, before it is asked for settings that this program knows.
pub(crate) fn check_format(path: &Path) -> Result<(), ConfigError> {
    read_table(path).map(|_| ())
}

/// The settings of a file.
fn read_table(path: &Path) -> Result<Table, ConfigError> {
    let text =
        read_text(path, MAX_CONFIG_BYTES).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let message = error.message().replace('\n', ", ");
        ConfigError::Syntax { path: path.to_owned(), line: before.matches('\n').count() + 1, message }
    })?;
    if let Some(version) = table.remove(FORMAT) {
        let number = version.as_integer().and_then(|version| u64::try_from(version).ok());
        let version = number.ok_or_else(|| ConfigError::Value {
            origin: path.display().to_string(),
            message: format!("`{FORMAT}` is {version}, which is no version"),
        })?;
        format::check(path, version, format::RUN_FOLDER)?;
    }
    Ok(with_new_keys(table))
}

/// Gives settings under the keys of an earlier version their present names, unless those are there too.
fn with_new_keys(mut table: Table) -> Table {
    for (sections, old, new) in OLD_KEYS {
        let mut section = Some(&mut table);
        for name in sections {
            section = section.and_then(|section| section.get_mut(*name)?.as_table_mut());
        }
        if let Some(section) = section.filter(|section| !section.contains_key(new))
            && let Some(value) = section.remove(old)
        {
            section.insert(new.to_owned(), value);
        }
    }
    table
}

/// The table that holds the one setting of `section.key=value`.
fn assignment(text: &str) -> Result<Table, ConfigError> {
    let malformed = || ConfigError::Assignment { text: text.to_owned() };
    let (key, value) = text.split_once('=').ok_or_else(malformed)?;
    let value = value.trim();
    let value = value.parse().unwrap_or_else(|_| Value::String(value.to_owned()));
    let mut names = key.split('.').map(str::trim).rev();
    let innermost = names.next().filter(|name| !name.is_empty()).ok_or_else(malformed)?;
    let table = names.fold(Table::from_iter([(innermost.to_owned(), value)]), |table, name| {
        Table::from_iter([(name.to_owned(), Value::Table(table))])
    });
    Ok(with_new_keys(table))
}

/// Puts the settings of `layer` in place of those of `base`, which has every key, and checks their types.
pub(super) fn lay(base: &mut Table, layer: Table, origin: &str) -> Result<(), ConfigError> {
    let keys = key_paths(base, "");
    merge(base, layer, "", origin, &keys)?;
    typed(base.clone(), origin).map(|_| ())
}

fn merge(base: &mut Table, layer: Table, section: &str, origin: &str, keys: &[String]) -> Result<(), ConfigError> {
    for (name, value) in layer {
        let key = format!("{section}{name}");
        match (base.get_mut(&name), value) {
            (None, _) => {
                let suggestion = nearest(&key, keys);
                return Err(ConfigError::UnknownKey { origin: origin.to_owned(), key, suggestion });
            }
            (Some(Value::Table(inner)), Value::Table(value)) => merge(inner, value, &format!("{key}."), origin, keys)?,
            (Some(Value::Table(inner)), _) => {
                let example = key_paths(inner, &format!("{key}.")).into_iter().next().unwrap_or_default();
                return Err(ConfigError::Section { origin: origin.to_owned(), key, example });
            }
            (Some(setting), value) => *setting = value,
        }
    }
    Ok(())
}

/// The full names of all settings of `table`, each beginning with `section`.
fn key_paths(table: &Table, section: &str) -> Vec<String> {
    let paths = table.iter().flat_map(|(name, value)| match value {
        Value::Table(inner) => key_paths(inner, &format!("{section}{name}.")),
        _ => vec![format!("{section}{name}")],
    });
    paths.collect()
}

/// The existing key most like `key`: by its last part first, so that a wrong section is found out, then the one in the
/// fewest sections, then as a whole.
fn nearest(key: &str, keys: &[String]) -> Option<String> {
    // The comparison takes the square of its length.
    if key.len() > MAX_KEY {
        return None;
    }
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_lowercase();
    let likeness = |candidate: &String| {
        let sections = candidate.matches('.').count() as f64;
        [jaro_winkler(&last(candidate), &last(key)), -sections, jaro_winkler(candidate, key)]
    };
    let scored = keys.iter().map(|candidate| (likeness(candidate), candidate));
    let best = scored.max_by(|(a, _), (b, _)| a.partial_cmp(b).unwrap_or(Ordering::Equal))?;
    (best.0[0] >= SIMILAR).then(|| best.1.clone())
}

pub(super) fn typed(table: Table, origin: &str) -> Result<Config, ConfigError> {
    Config::deserialize(table).map_err(|error| {
        let message = error.to_string().trim_end().replace('\n', " ");
        ConfigError::Value { origin: origin.to_owned(), message }
    })
}
