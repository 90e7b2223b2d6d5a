//! Whether a model's scores are numbers, by a few images.

use super::ExportError;
use crate::model::ModelFile;
use crate::scoring::Generator;

/// Refuses a model that makes no number of any of a few images: of black, of white, of a ramp and of noise.
///
/// # Errors
/// Tensors that are missing or do not go with the architecture, and such a model.
pub fn check_scores(model: &ModelFile) -> Result<(), ExportError> {
    let scorer = Generator::new(model)?.on_cpu();
    let len = scorer.image_len();
    // A linear congruence (Numerical Recipes, 3rd edition, section 7.1.4), whose upper bits are noise enough.
    let noise = (0..len).scan(1_u32, |state, _| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((*state >> 8) as f32 / (1 << 23) as f32 - 1.0)
    });
    let ramp = (0..len).map(|place| 2.0 * place as f32 / len as f32 - 1.0);
    let pixels: Vec<f32> =
        [-1.0, 1.0].into_iter().flat_map(|value| vec![value; len]).chain(ramp).chain(noise).collect();
    let mut scores = vec![0.0; pixels.len() / len];
    scorer.score_here(&pixels, &mut scores, None);
    if scores.iter().any(|score| score.is_finite()) { Ok(()) } else { Err(ExportError::NoScore { score: scores[0] }) }
}
