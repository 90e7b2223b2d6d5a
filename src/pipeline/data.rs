//! The images of a run, read and split as its configuration says. Formats and splits are `data/`'s.

use std::path::PathBuf;

use crate::config::{Config, EvalSplit, ImagesConfig};
use crate::data::{Colour, DataError, Dataset, LabelledImages, OneClass, OwnImages, Part, PictureError, Source};

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
    /// The files that cannot be used.
    pub skipped: Vec<PictureError>,
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
        let (preprocessing, share) = (config.preprocessing(), config.data.calibration);
        let mut read = OwnImages::read(
            &images.folder,
            &images.anomalies,
            &preprocessing,
            share,
            images.cross_file_systems,
            progress,
        )?;
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
        let OwnImages { train, eval, split, eval_paths, skipped, digest, names, .. } = read;
        Ok(Self { train, eval, split, own: Some(Own { eval_paths, skipped, colour, digest, names }) })
    }

    /// Whether a digest is that which an earlier version made of the names of these pictures.
    pub fn has_names(&self, digest: &str) -> bool {
        self.own.as_ref().is_some_and(|own| own.names == digest)
    }

    /// Puts into a configuration what was found out about its own pictures, so that the run goes on with the same from
    /// any folder.
    pub fn settle(&self, config: &mut Config) {
        if let (Some(own), Some(images)) = (&self.own, &mut config.data.images) {
            images.colour = own.colour;
            images.digest.clone_from(&own.digest);
            for folder in [&mut images.folder, &mut images.anomalies] {
                // Empty stands for none, and has no absolute path.
                if let Ok(absolute) = std::path::absolute(&*folder) {
                    *folder = absolute;
                }
            }
        }
    }
}
