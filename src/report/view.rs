//! A run as its folder has it, read for a page. It knows no picture.

use std::path::Path;

use toml::{Table, Value};

use super::ReportError;
use crate::config::{Config, ConfigError};
use crate::data::Source;
use crate::run::{Logged, NetworkReport, Report, RunError, RunFile, RunFolder, Score, read_metrics, read_scores};

/// A run as its folder has it, but for pictures.
pub struct RunView {
    /// The last part of the folder's path.
    pub(super) name: String,
    pub(super) config: Config,
    pub(super) report: Report,
    pub(super) log: Vec<Logged>,
    /// The networks whose scores are known, the run's result last.
    pub(super) evaluated: Vec<Evaluated>,
    /// The result's scores, in the order of the images.
    pub(super) scores: Vec<Score>,
}

/// Scores by a network.
pub(super) struct Evaluated {
    /// As in the report.
    pub network: String,
    /// Of images of the normal class.
    pub normal: Vec<f32>,
    /// Of all others.
    pub anomalous: Vec<f32>,
}

impl RunView {
    /// Reads a run that is done.
    ///
    /// # Errors
    /// Files that are missing or damaged.
    pub fn read(folder: &RunFolder) -> Result<Self, ReportError> {
        let report = Report::read(&folder.file(RunFile::Report))?;
        let scores = read_scores(&folder.file(RunFile::Scores))?;
        Self::new(folder, report, scores)
    }

    /// A run whose figures and result's scores are at hand.
    ///
    /// # Errors
    /// Files that are missing or damaged.
    pub fn new(folder: &RunFolder, report: Report, scores: Vec<Score>) -> Result<Self, ReportError> {
        let config = Config::read(&folder.file(RunFile::Config))?;
        let log = read_metrics(&folder.file(RunFile::Metrics))?;
        let path = folder.path().canonicalize().unwrap_or_else(|_| folder.path().to_owned());
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut view = Self { name, config, report, log, evaluated: Vec::new(), scores };
        let result = view.report.networks.last().map_or("model", |network| &network.network).to_owned();
        view.evaluated.push(view.part(result, &view.scores));
        Ok(view)
    }

    /// Puts the scores by another network of the run before those by its result.
    pub fn add_scores(&mut self, network: &str, scores: &[Score]) {
        let evaluated = self.part(network.to_owned(), scores);
        self.evaluated.insert(self.evaluated.len() - 1, evaluated);
    }

    /// Names runs by their paths where the names of their folders are the same.
    pub fn tell_apart(runs: &mut [Self], folders: &[RunFolder]) {
        let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
        for (run, folder) in runs.iter_mut().zip(folders) {
            if names.iter().filter(|name| **name == run.name).count() > 1 {
                run.name = folder.path().display().to_string();
            }
        }
    }

    /// Whether all of the runs are evaluated on the same images.
    pub fn evaluated_alike(runs: &[Self]) -> bool {
        let split = |run: &Self| {
            let data = &run.config.data;
            // Of own pictures, the share that calibrates says which images they are.
            let share = data.images.as_ref().map(|_| data.calibration);
            (data.dataset, data.eval_split, data.images.clone(), share)
        };
        runs.windows(2).all(|pair| split(&pair[0]) == split(&pair[1]))
    }

    /// The figures of a network.
    pub(super) fn figures(&self, network: &str) -> Option<&NetworkReport> {
        self.report.networks.iter().find(|report| report.network == network)
    }

    /// Above which score of a network an image is called anomalous, where images were held out to set it by.
    pub(super) fn threshold(&self, network: &str) -> Option<f32> {
        self.figures(network)?.threshold.map(|threshold| threshold.threshold)
    }

    /// The network that the run is there for.
    pub(super) fn result(&self) -> &Evaluated {
        &self.evaluated[self.evaluated.len() - 1]
    }

    /// What a class is called.
    pub(super) fn class(&self, label: u8) -> String {
        match self.config.data.dataset {
            Source::Published(dataset) => {
                let name = dataset.classes().get(usize::from(label)).copied();
                name.map_or_else(|| label.to_string(), str::to_owned)
            }
            Source::Images if self.is_normal(label) => "normal".into(),
            Source::Images => "anomalous".into(),
        }
    }

    /// Whether an image of this class is normal.
    pub(super) fn is_normal(&self, label: u8) -> bool {
        label == self.config.data.normal
    }

    /// Whether it was trained on pictures of one's own.
    pub(super) fn is_own(&self) -> bool {
        self.config.data.dataset == Source::Images
    }

    /// Whether there are anomalous images to evaluate it on.
    pub(super) fn has_anomalies(&self) -> bool {
        !self.result().anomalous.is_empty()
    }

    /// Every setting by its key, as TOML writes it.
    pub(super) fn settings(&self) -> Result<Vec<(String, String)>, ConfigError> {
        let mut settings = Vec::new();
        flatten(&Table::try_from(&self.config).map_err(ConfigError::Write)?, "", &mut settings);
        Ok(settings)
    }

    fn part(&self, network: String, scores: &[Score]) -> Evaluated {
        let of = |normal: bool| {
            let chosen = scores.iter().filter(|score| self.is_normal(score.label) == normal);
            chosen.map(|score| score.score).collect()
        };
        Evaluated { network, normal: of(true), anomalous: of(false) }
    }
}

/// The files that a page is made from, beside the networks.
pub(super) const NEEDED: [RunFile; 5] =
    [RunFile::Config, RunFile::Metrics, RunFile::Model, RunFile::Report, RunFile::Scores];

/// Opens the folder of a run that is done.
///
/// # Errors
/// A folder that is none, or whose run is not done.
pub fn open_done(path: &Path) -> Result<RunFolder, RunError> {
    RunFolder::open(path, &NEEDED)
}

fn flatten(table: &Table, section: &str, into: &mut Vec<(String, String)>) {
    for (name, value) in table {
        match value {
            Value::Table(inner) => flatten(inner, &format!("{section}{name}."), into),
            value => into.push((format!("{section}{name}"), value.to_string())),
        }
    }
}
