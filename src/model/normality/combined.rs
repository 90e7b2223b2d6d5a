//! Several scores as one, through p-values.

use super::{BaseScores, ScoreKind};
use crate::calibration::{Calibration, CalibrationError, TIE_STEP};

/// The scores of held-out normal images, and what makes one score of several.
///
/// Of `n` held-out images and a new one, let `p_i` be the share of all `n + 1` that score at least as high as the new one by
/// score `i`. Its combined score is `-sum ln p_i` (Fisher 1925). That of a held-out image is taken among the `n` alone, with
/// `n + 1` below: at least what it would be among all `n + 1`. So the combined p-value is at least one that treats all
/// `n + 1` alike, and promises what those promise.
///
/// Many images are beyond all held-out ones in every way, and would score the same. So the scores themselves are added,
/// squeezed into less than [`TIE_STEP`]. This orders images, and changes no p-value.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Combination {
    /// By image.
    held_out: Vec<BaseScores>,
    /// By kind.
    calibrations: Vec<Calibration>,
}

impl Combination {
    /// Takes the scores of held-out images.
    ///
    /// # Errors
    /// No image, and a score that is not finite.
    pub(super) fn new(held_out: &[BaseScores]) -> Result<Self, CalibrationError> {
        let of = |kind: ScoreKind| Calibration::new(held_out.iter().map(|scores| scores[kind.index()]).collect());
        let calibrations = ScoreKind::BASE.into_iter().map(of).collect::<Result<Vec<_>, _>>()?;
        let mut combination = Self { held_out: held_out.to_vec(), calibrations };
        // An image is one of those that score as high as it does.
        let combined = held_out.iter().map(|scores| combination.sum(scores, 0)).collect();
        combination.calibrations.push(Calibration::new(combined)?);
        Ok(combination)
    }

    /// The scores of held-out images, in their order.
    pub(super) fn held_out(&self) -> &[BaseScores] {
        &self.held_out
    }

    /// Those of one kind.
    ///
    /// # Errors
    /// No held-out image.
    pub(super) fn calibration(&self, kind: ScoreKind) -> Result<Calibration, CalibrationError> {
        self.calibrations.get(kind.index()).cloned().ok_or(CalibrationError::Empty)
    }

    /// The combined score of a new image.
    pub(super) fn score(&self, scores: &BaseScores) -> f32 {
        self.sum(scores, 1)
    }

    fn sum(&self, scores: &BaseScores, more: usize) -> f32 {
        let count = (self.held_out.len() + 1) as f64;
        let each = self.calibrations.iter().zip(scores).map(|(calibration, &score)| {
            let rank = calibration.at_least(score) + more;
            order(score) - (rank.max(1) as f64 / count).ln()
        });
        if scores.iter().any(|score| score.is_nan()) { f32::NAN } else { each.sum::<f64>() as f32 }
    }
}

/// What an image's own scores add for each: ascending, and below a quarter of what p-values tell apart.
fn order(score: f32) -> f64 {
    let score = f64::from(score.max(0.0));
    f64::from(TIE_STEP) / 5.0 * if score.is_finite() { score / (1.0 + score) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four scores that hang together, of image `index`.
    fn scores(index: u32) -> BaseScores {
        let mixed = |salt: u32| f64::from((index + salt).wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24);
        [1, 2, 3, 4].map(|salt| (10.0 + 50.0 * (mixed(0) + mixed(salt * 7_919))) as f32)
    }

    #[test]
    fn no_more_false_alarms_than_promised() {
        let (mut alarms, mut images) = (0, 0);
        for round in 0..40 {
            let held_out: Vec<_> = (0..99).map(|index| scores(round * 1_000 + index)).collect();
            let combination = Combination::new(&held_out).unwrap();
            let calibration = combination.calibration(ScoreKind::Combined).unwrap();
            for index in 500..900 {
                let score = combination.score(&scores(round * 1_000 + index));
                alarms += usize::from(calibration.p_value(score).unwrap() <= 0.05);
                images += 1;
            }
        }
        let rate = alarms as f64 / f64::from(images);
        assert!((0.01..0.06).contains(&rate), "{rate}");
    }

    #[test]
    fn an_image_that_is_odd_in_one_way_scores_higher() {
        let held_out: Vec<_> = (0..99).map(scores).collect();
        let combination = Combination::new(&held_out).unwrap();
        let usual = combination.score(&[60.0; 4]);
        let odd = combination.score(&[60.0, 60.0, 60.0, 500.0]);
        assert!(odd > usual + 3.0, "{odd} {usual}");
        // Both are beyond all held-out images in every way: the order stays, and so does the p-value.
        let [far, farther] = [500.0, 600.0].map(|score| combination.score(&[score; 4]));
        let calibration = combination.calibration(ScoreKind::Combined).unwrap();
        assert!(farther > far && calibration.p_value(farther).unwrap() == calibration.p_value(far).unwrap());
        assert!(combination.score(&[f32::INFINITY; 4]) >= farther);
        assert!(combination.score(&[f32::NAN, 0.0, 0.0, 0.0]).is_nan());
    }

    #[test]
    fn nothing_held_out_is_an_error() {
        assert_eq!(Combination::new(&[]), Err(CalibrationError::Empty));
        assert_eq!(Combination::default().calibration(ScoreKind::Latent), Err(CalibrationError::Empty));
    }
}
