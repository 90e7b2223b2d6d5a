//! The images of a run, read and split as its configuration says. Formats and splits are `data/`'s.

use std::path::PathBuf;

use crate::calibration::{Calibration, CalibrationError};
use crate::config::{Config, EvalSplit, ImagesConfig};
use crate::data::{
    Colour, DataError, Dataset, HoldOut, Independence, LabelledImages, LeftOut, Noted, OneClass, OwnFolders, OwnImages,
    Part, Patterns, PictureError, Preprocessing, Range, Search, Source, at_most,
};
use crate::model::MAX_FITTED;
use crate::run::{GroupsReport, ThresholdReport};
use crate::train::Evaluation;

/// The images of a run, read and split.
pub struct Data {
    /// The official training set, or the normal pictures.
    pub train: LabelledImages,
    /// What the networks are evaluated on: the official test set, or the training set where some of it is held out. Of
    /// own pictures, normal ones that are held out and the anomalous ones.
    pub eval: LabelledImages,
    /// Which of them the run uses.
    pub split: OneClass,
    /// What else there is to know of own pictures.
    pub own: Option<Own>,
}

/// What there is to know of own pictures.
pub struct Own {
    /// Where each evaluation picture lies.
    pub eval_paths: Vec<PathBuf>,
    /// Where each picture lies whose latent vector a model keeps, in that order.
    pub references: Vec<PathBuf>,
    /// The files that cannot be used.
    pub skipped: Vec<PictureError>,
    /// How independent they are.
    pub independence: Independence,
    /// How many those are, and which files are none that are wanted.
    pub left_out: LeftOut,
    /// What is worth knowing of the others.
    pub noted: Noted,
    /// What of the values of 16-bit pictures is white, which is decided.
    pub range: Range,
    /// Grey or coloured, which is decided.
    colour: Colour,
    /// Stands for the names and the pixels of the pictures.
    digest: String,
    /// Stands for their names alone.
    names: String,
}

impl Data {
    /// Reads and splits the data that a configuration names; `progress` hears how many of how many pictures are read.
    ///
    /// # Errors
    /// Files that are missing or damaged, and a class without images; pictures that are too few, or are not those that
    /// the run began with.
    pub fn load(config: &Config, progress: &mut dyn FnMut(usize, usize)) -> Result<Self, DataError> {
        match (config.data.dataset, &config.data.images) {
            (Source::Published(dataset), _) => Self::published(config, dataset),
            (Source::Images, images) => Self::own(config, &images.clone().unwrap_or_default(), progress),
        }
    }

    fn published(config: &Config, dataset: Dataset) -> Result<Self, DataError> {
        let data = &config.data;
        let folder = dataset.find(&data.folder)?;
        let train = dataset.load(&folder, Part::Train)?;
        let (eval, split) = match data.eval_split {
            EvalSplit::Test => {
                let test = dataset.load(&folder, Part::Test)?;
                let split = OneClass::new(data.normal, &train.labels, &test.labels)?;
                (test, split)
            }
            EvalSplit::Validation => (train.clone(), OneClass::validation(data.normal, &train.labels)?),
        };
        Ok(Self { train, eval, split: split.calibrated(data.calibration), own: None })
    }

    fn own(config: &Config, images: &ImagesConfig, progress: &mut dyn FnMut(usize, usize)) -> Result<Self, DataError> {
        let (mut preprocessing, share) = (config.preprocessing(), config.data.calibration);
        let patterns = Patterns::new(&images.include, &images.exclude)
            .map_err(|error| DataError::Patterns { message: error.to_string() })?;
        let search = Search { cross_file_systems: images.cross_file_systems, patterns, ..Search::default() };
        let held = HoldOut { share, group_by: &images.group_by };
        let folders = OwnFolders {
            normal: &images.folder,
            anomalies: &images.anomalies,
            test_normal: &images.test_normal,
            calibration: &images.calibration,
            begun: !images.digest.is_empty(),
        };
        let mut read =
            |preprocessing: &Preprocessing| OwnImages::read(&folders, preprocessing, &held, &search, progress);
        let (mut read, range) = match (read(&preprocessing)?, preprocessing.range) {
            // Decided by all of them, so that they are read once more where they do not use all bits.
            (first, Range::Auto) => match first.noted.range() {
                Range::Full => (first, Range::Full),
                range => {
                    preprocessing.range = range;
                    drop(first);
                    (read(&preprocessing)?, range)
                }
            },
            (first, range) => (first, range),
        };
        // Runs of earlier versions know names alone.
        if !images.digest.is_empty() && ![&read.digest, &read.names].contains(&&images.digest) {
            return Err(DataError::Changed { folder: images.folder.clone(), count: read.train.labels.len() });
        }
        let mut colour = images.colour;
        if colour == Colour::Auto {
            colour = Colour::Rgb;
            if let Some((train, eval)) = read.grey() {
                (read.train.images, read.eval.images, colour) = (train, eval, Colour::Grey);
            }
        }
        let OwnImages {
            train,
            eval,
            split,
            train_paths,
            eval_paths,
            skipped,
            left_out,
            noted,
            digest,
            independence,
            names,
            ..
        } = read;
        let references = at_most(&split.train, MAX_FITTED);
        let references = references.into_iter().map(|index| train_paths[index].clone()).collect();
        let own = Own { eval_paths, references, skipped, independence, left_out, noted, range, colour, digest, names };
        Ok(Self { train, eval, split, own: Some(own) })
    }

    /// The evaluation images that are normal, or those that are not.
    pub(super) fn evaluated(&self, normal: bool) -> impl Iterator<Item = usize> {
        let test = self.split.test.iter().copied();
        test.filter(move |&index| (self.eval.labels[index] == self.split.normal) == normal)
    }

    /// Where each evaluation picture lies, where they are own pictures.
    pub fn paths(&self) -> Option<&[PathBuf]> {
        self.own.as_ref().map(|own| &own.eval_paths[..])
    }

    /// Whether a digest is that which an earlier version made of the names of these pictures.
    pub fn has_names(&self, digest: &str) -> bool {
        self.own.as_ref().is_some_and(|own| own.names == digest)
    }

    /// What a calibration promises, and what comes of it on the evaluation images; see [`Evaluation::threshold`]. Images
    /// that calibrate say nothing about false alarms.
    ///
    /// # Errors
    /// As of [`Evaluation::threshold`].
    pub fn threshold(
        &self,
        evaluation: &Evaluation,
        calibration: &Calibration,
        alpha: Option<f64>,
    ) -> Result<ThresholdReport, CalibrationError> {
        let mut report = evaluation.threshold(calibration, alpha, self.split.normal)?;
        if self.own.as_ref().is_some_and(|own| own.independence.calibration_evaluates) {
            report.false_alarm_rate = None;
        }
        Ok(report)
    }

    /// What a report says of the groups of own pictures.
    pub(super) fn groups(&self, config: &Config) -> Option<GroupsReport> {
        let (own, images) = (self.own.as_ref()?, config.data.images.as_ref()?);
        let Independence { pictures, groups, largest, train_groups, left_out, .. } = own.independence;
        Some(GroupsReport {
            group_by: images.group_by.to_string(),
            pictures: pictures as u64,
            groups: groups as u64,
            largest: largest as u64,
            training: train_groups as u64,
            calibration: self.split.calibration.len() as u64,
            left_out: left_out as u64,
        })
    }

    /// Puts into a configuration what was found out about its own pictures, so that the run goes on with the same from
    /// any folder.
    pub fn settle(&self, config: &mut Config) {
        if let (Some(own), Some(images)) = (&self.own, &mut config.data.images) {
            images.colour = own.colour;
            images.range = own.range;
            images.digest.clone_from(&own.digest);
            for folder in [&mut images.folder, &mut images.anomalies, &mut images.test_normal, &mut images.calibration]
            {
                // Empty stands for none, and has no absolute path.
                if let Ok(absolute) = std::path::absolute(&*folder) {
                    *folder = absolute;
                }
            }
        }
    }
}
