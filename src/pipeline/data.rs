use crate::config::{Config, Judge};
use crate::data::{DataError, LabelledImages, OneClass, Part};

/// The images of a run, read and split.
pub struct Data {
    /// The official training set.
    pub train: LabelledImages,
    /// What the networks are judged by: the official test set, or the training set where some of it is held out.
    pub judge: LabelledImages,
    /// Which of them the run uses.
    pub split: OneClass,
}

impl Data {
    /// Reads and splits the data set of a configuration.
    ///
    /// # Errors
    /// Files that are missing or damaged, and a class without images.
    pub fn load(config: &Config) -> Result<Self, DataError> {
        let data = &config.data;
        let folder = data.dataset.find(&data.folder)?;
        let train = data.dataset.load(&folder, Part::Train)?;
        let (judge, split) = match data.judge {
            Judge::Test => {
                let test = data.dataset.load(&folder, Part::Test)?;
                let split = OneClass::new(data.normal, &train.labels, &test.labels)?;
                (test, split)
            }
            Judge::Validation => (train.clone(), OneClass::validation(data.normal, &train.labels)?),
        };
        Ok(Self { train, judge, split: split.calibrated(data.calibration) })
    }
}
