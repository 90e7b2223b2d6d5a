//! What a grid goes over: data sets, classes, seeds; and the folder of each.

use std::path::PathBuf;

use super::{Cell, Origin};
use crate::config::{Config, ConfigError, EvalSplit, Goal};

/// What a grid goes over, and where its runs are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    /// Settings for each data set; class, seed and stage are the grid's.
    pub settings: Vec<Config>,
    /// Normal classes.
    pub classes: Vec<u8>,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// The folder that holds a folder for each data set, class and seed.
    pub runs: PathBuf,
}

/// A class and a seed of a data set: what the cells there have in common.
pub(super) struct Spot {
    config: Config,
    folder: PathBuf,
}

impl Scope {
    /// Every spot: seed by seed, so that means over classes are there early.
    pub(super) fn spots(&self) -> impl Iterator<Item = Spot> {
        let of = |settings: &Config, seed: u64, normal: u8| {
            let mut config = settings.clone();
            config.data.normal = normal;
            config.training.seed = seed;
            config.run.with_baseline = false;
            // As in the published figures: every official training image trains, the official test set evaluates.
            config.data.calibration = 0.0;
            config.data.eval_split = EvalSplit::Test;
            let folder = self.runs.join(format!("{}-{normal}-seed{seed}", config.data.dataset));
            Spot { config, folder }
        };
        self.settings.iter().flat_map(move |settings| {
            let of_seed = move |&seed: &u64| self.classes.iter().map(move |&normal| of(settings, seed, normal));
            self.seeds.iter().flat_map(of_seed)
        })
    }
}

impl Spot {
    /// The folder of a cell here.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A cell here, with more settings.
    pub(super) fn cell(
        &self,
        name: impl Into<String>,
        stage: Goal,
        origin: Option<Origin>,
        set: impl FnOnce(&mut Config) -> Result<(), ConfigError>,
    ) -> Result<Cell, ConfigError> {
        let name = name.into();
        let mut config = self.config.clone();
        config.run.stage = stage;
        set(&mut config)?;
        config.validate()?;
        Ok(Cell { folder: self.folder(&name), name, config, origin })
    }

    /// The settings here.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }
}
