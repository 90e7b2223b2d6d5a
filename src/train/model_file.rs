//! Models on an executor: from files, and into them.

use std::path::Path;

use super::error::TrainError;
use crate::calibration::Calibration;
use crate::config::Config;
use crate::engine::{Executor, Readback, Variables};
use crate::model::{Architecture, EdeGan, ModelFile, Normal, Statistics, arrange, named};
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
}

impl Model {
    /// Reads a model file, and puts it on an executor that holds no other.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged or no model, and tensors that do not go with the architecture.
    pub fn load(path: &Path, executor: &mut dyn Executor) -> Result<Self, TrainError> {
        Self::place(ModelFile::read(path)?, executor)
    }

    /// Puts a model on an executor that holds no other.
    ///
    /// # Errors
    /// Tensors that do not go with the architecture, and failures of the device.
    pub fn place(file: ModelFile, executor: &mut dyn Executor) -> Result<Self, TrainError> {
        let mut variables = Variables::new();
        let gan = EdeGan::register(&mut variables, "model", &file.architecture, file.norm_epsilon);
        put(file.weights, executor, &variables, &gan)?;
        Ok(Self { gan, variables, statistics: file.statistics, calibration: file.calibration })
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
        calibration: None,
        weights,
    })
}

/// Sets networks that are registered from a model file, or any safetensors file with the same names and shapes. A file
/// without running averages leaves them as they are; one without the discriminator likewise.
///
/// # Errors
/// A file that cannot be read or has other tensors; then nothing was set.
pub fn load_weights(
    path: &Path,
    executor: &mut dyn Executor,
    variables: &Variables,
    gan: &EdeGan,
) -> Result<(), TrainError> {
    put(Weights::read(path)?, executor, variables, gan)
}

/// The bytes of a file that [`load_weights`] would take for networks of this architecture; no device is needed. It is
/// read once, for it may be a pipe.
///
/// # Errors
/// A file that cannot be read or has other tensors.
pub fn checked_bytes(path: &Path, architecture: &Architecture) -> Result<Vec<u8>, TrainError> {
    let mut variables = Variables::new();
    let gan = EdeGan::register(&mut variables, "checked", architecture, 1.0);
    let (weights, bytes) = Weights::read_with_bytes(path, |_| Ok(u64::MAX))?;
    arrange(weights, &variables, &gan)?;
    Ok(bytes)
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
