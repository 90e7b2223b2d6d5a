use std::path::PathBuf;

use crate::config::{Config, ImagesConfig, Judge};
use crate::data::{Colour, DataError, Dataset, LabelledImages, OneClass, OwnImages, Part, PictureError, Source};

/// The images of a run, read and split.
pub struct Data {
    /// The official training set, or the normal pictures.
    pub train: LabelledImages,
    /// What the networks are judged by: the official test set, or the training set where some of it is held out. Of own
    /// pictures, normal ones that are held out and the anomalous ones.
    pub judge: LabelledImages,
    /// Which of them the run uses.
    pub split: OneClass,
    /// What else there is to know of own pictures.
    pub own: Option<Own>,
}

/// What there is to know of own pictures.
pub struct Own {
    /// Where each picture lies that judges.
    pub judge_paths: Vec<PathBuf>,
    /// The files that cannot be used.
    pub skipped: Vec<PictureError>,
    /// Grey or coloured, which is decided.
    colour: Colour,
    /// Stands for the names of the pictures.
    digest: String,
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
        let (judge, split) = match data.judge {
            Judge::Test => {
                let test = dataset.load(&folder, Part::Test)?;
                let split = OneClass::new(data.normal, &train.labels, &test.labels)?;
                (test, split)
            }
            Judge::Validation => (train.clone(), OneClass::validation(data.normal, &train.labels)?),
        };
        Ok(Self { train, judge, split: split.calibrated(data.calibration), own: None })
    }

    fn own(config: &Config, images: &ImagesConfig, progress: &mut dyn FnMut(usize, usize)) -> Result<Self, DataError> {
        let (preprocessing, share) = (config.preprocessing(), config.data.calibration);
        let mut read = OwnImages::read(&images.folder, &images.anomalies, &preprocessing, share, progress)?;
        if !images.digest.is_empty() && images.digest != read.digest {
            return Err(DataError::Changed { folder: images.folder.clone(), count: read.train.labels.len() });
        }
        let mut colour = images.colour;
        if colour == Colour::Auto {
            colour = Colour::Rgb;
            if let Some((train, judge)) = read.grey() {
                (read.train.images, read.judge.images, colour) = (train, judge, Colour::Grey);
            }
        }
        let OwnImages { train, judge, split, judge_paths, skipped, digest } = read;
        Ok(Self { train, judge, split, own: Some(Own { judge_paths, skipped, colour, digest }) })
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
