//! What tells two configurations apart.

use toml::{Table, Value};

use super::{Config, ConfigError};

impl Config {
    /// Names the first setting whose value is not the one in `wanted`, with both values.
    pub(crate) fn difference(&self, wanted: &Self) -> Result<Option<String>, ConfigError> {
        if self == wanted {
            return Ok(None);
        }
        let table = |config: &Self| Table::try_from(config).map_err(ConfigError::Write);
        Ok(Some(first(&table(self)?, &table(wanted)?, "").unwrap_or_default()))
    }
}

fn first(found: &Table, wanted: &Table, section: &str) -> Option<String> {
    wanted.iter().find_map(|(name, wanted)| match (found.get(name), wanted) {
        (Some(Value::Table(found)), Value::Table(wanted)) => first(found, wanted, &format!("{section}{name}.")),
        (Some(found), wanted) if found != wanted => Some(format!("{section}{name} is {found}, wanted {wanted}")),
        _ => None,
    })
}
