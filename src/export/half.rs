//! The generator in half precision, as safetensors.

use half::f16;

use super::ExportError;
use super::error::finite;
use crate::model::{ModelFile, Statistics};
use crate::run::Given;
use crate::score_kind::ScoreKind;
use crate::weights::Element;

/// Writes a model file to where a command was told to.
///
/// # Errors
/// Values too large for their precision, and a file that cannot be written.
pub fn write_model(model: &ModelFile, given: &Given) -> Result<(), ExportError> {
    Ok(model.whole().write_given(given)?)
}

/// The generator alone, which is all that scores take, in half precision; the calibration scores stay in single, and what another
/// score than the latent distance takes.
///
/// Running averages are left out where scoring does not look at them.
///
/// # Errors
/// A tensor with a value that is infinite or not a number. One with a value too large for half precision is refused
/// when the file is written.
pub fn in_half(model: &ModelFile) -> Result<ModelFile, ExportError> {
    let mut half = ModelFile { map_scale: None, ..model.clone() };
    if model.score == ScoreKind::Latent {
        half.normality = None;
    }
    let averages = model.statistics == Statistics::Running;
    let tensors = &mut half.weights.tensors;
    tensors.retain(|name, _| !name.starts_with("discriminator.") && (averages || !name.contains(".running_")));
    for (name, tensor) in tensors {
        finite(name, &tensor.values)?;
        // What features are compared with was computed from these.
        if half.normality.is_some() && name.starts_with("encoder1.conv1.") {
            continue;
        }
        tensor.element = Element::F16;
        // Those that half precision has no room for are refused when the file is written.
        for value in &mut tensor.values {
            let rounded = f16::from_f32(*value).to_f32();
            *value = if rounded.is_finite() { rounded } else { *value };
        }
    }
    Ok(half)
}
