//! Models on an executor: from files, and into them.

use std::path::Path;
use std::sync::Arc;

use super::error::TrainError;
use crate::anomaly_map::MapScale;
use crate::calibration::Calibration;
use crate::config::{Config, Given};
use crate::engine::{Executor, Readback, Variables};
use crate::model::{EdeGan, ModelFile, Normal, NormalityModel, ScoreKind, Statistics, arrange, named};
use crate::weights::Weights;

/// A trained encoder-decoder-encoder GAN whose weights are on an executor.
pub struct Model {
    /// Its networks.
    pub gan: EdeGan,
    /// All variables on the executor.
    pub variables: Variables,
    /// How its norms work when it scores.
    pub statistics: Statistics,
    /// Scores of normal images that it was not trained on, where there are any.
    pub calibration: Option<Calibration>,
    /// What images are scored by.
    pub score: ScoreKind,
    /// What further scores are taken by.
    pub normality: Option<Arc<NormalityModel>>,
    /// What those differ by at each place, where there are enough.
    pub map_scale: Option<MapScale>,
}

impl Model {
    /// Reads a model file, and puts it on an executor that holds no other.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged or no model, and tensors that do not go with the architecture.
    pub fn load(path: &Path, executor: &mut dyn Executor) -> Result<Self, TrainError> {
        Self::place(ModelFile::read(path)?, executor)
    }

    /// The same, for images that a configuration says.
    ///
    /// # Errors
    /// As of [`Self::load`], and a model that was trained for other images.
    pub fn load_for(config: &Config, path: &Path, executor: &mut dyn Executor) -> Result<Self, TrainError> {
        let file = ModelFile::read(path)?;
        config.check_images_of(&file)?;
        Self::place(file, executor)
    }

    /// Puts a model on an executor that holds no other.
    ///
    /// # Errors
    /// Tensors that do not go with the architecture, and failures of the device.
    pub fn place(file: ModelFile, executor: &mut dyn Executor) -> Result<Self, TrainError> {
        let mut variables = Variables::new();
        let gan = EdeGan::register(&mut variables, "model", &file.architecture, file.norm_epsilon);
        let ModelFile { weights, statistics, calibration, score, normality, map_scale, .. } = file;
        put(weights, executor, &variables, &gan)?;
        Ok(Self { gan, variables, statistics, calibration, score, normality, map_scale })
    }
}

/// The networks as they are on the executor, to be scored with by these statistics; not calibrated.
pub fn take_model(
    executor: &mut dyn Executor,
    variables: &Variables,
    gan: &EdeGan,
    statistics: Statistics,
    config: &Config,
) -> Result<ModelFile, TrainError> {
    let named = named(gan, variables);
    let wanted: Vec<Readback> = named.iter().map(|tensor| Readback::Variable(tensor.variable)).collect();
    let values = executor.read(&wanted)?.wait()?;
    let mut weights = Weights::default();
    for (tensor, values) in named.into_iter().zip(values) {
        let len: usize = tensor.shape.iter().product();
        weights.insert(tensor.name, &tensor.shape, values[tensor.offset..tensor.offset + len].to_vec());
    }
    Ok(ModelFile {
        architecture: gan.architecture.clone(),
        norm_epsilon: config.training.norm_epsilon as f32,
        statistics,
        preprocessing: config.preprocessing(),
        normal: Normal { dataset: config.data.dataset.to_string(), class: config.data.normal },
        score: ScoreKind::Latent,
        calibration: None,
        normality: None,
        map_scale: None,
        weights,
    })
}

/// Sets one of a configuration's networks, which is registered, from a model file, or any safetensors file with the same
/// names and shapes. A file without running averages leaves them as they are; one without the discriminator likewise.
///
/// # Errors
/// A file that cannot be read, has other tensors, or says other settings; then nothing was set.
pub fn load_weights(
    path: &Path,
    config: &Config,
    given: Given,
    executor: &mut dyn Executor,
    variables: &Variables,
    gan: &EdeGan,
) -> Result<(), TrainError> {
    let file = GivenFile::read(path)?;
    file.check_settings(config, given)?;
    put(file.weights, executor, variables, gan)
}

/// A file with weights that a run is given: a model file, or any safetensors file with the names of one. It is read once,
/// for it may be a pipe.
#[derive(Debug, Clone)]
pub struct GivenFile {
    weights: Weights,
    bytes: Vec<u8>,
    model: Option<ModelFile>,
}

impl GivenFile {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let (weights, bytes) = Weights::read_with_bytes(path, |_| Ok(u64::MAX))?;
        let model = ModelFile::described_in(&weights)?;
        Ok(Self { weights, bytes, model })
    }

    /// The model that the file describes, if it does.
    pub fn model(&self) -> Option<&ModelFile> {
        self.model.as_ref()
    }

    /// What is in the file, where [`load_weights`] would take it; no device is needed.
    ///
    /// # Errors
    /// Other tensors than the network's, and other settings than the configuration's.
    pub fn checked_bytes(&self, config: &Config, given: Given) -> Result<&[u8], TrainError> {
        self.check_settings(config, given)?;
        let mut variables = Variables::new();
        let architecture = match given {
            Given::Teacher => config.teacher(),
            Given::Student => config.student(),
        };
        let gan = EdeGan::register(&mut variables, "checked", &architecture, 1.0);
        arrange(self.weights.clone(), &variables, &gan)?;
        Ok(&self.bytes)
    }

    fn check_settings(&self, config: &Config, given: Given) -> Result<(), TrainError> {
        Ok(self.model.iter().try_for_each(|model| config.check_given(model, given))?)
    }
}

fn put(weights: Weights, executor: &mut dyn Executor, variables: &Variables, gan: &EdeGan) -> Result<(), TrainError> {
    let arranged = arrange(weights, variables, gan)?;
    // The tensors are really there: only now does the device make room for them.
    executor.allocate(variables)?;
    for (variable, values) in arranged {
        executor.write(variable, &values)?;
    }
    Ok(())
}
