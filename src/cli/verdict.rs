//! When a score is anomalous: what is scored by (`--score`), and the rule that `--alpha` and `--threshold` make. The p-value itself is `calibration.rs`'s.

use std::path::Path;

use anyhow::bail;
use clap::Args;
use pkdgan::model::{ModelFile, ScoreChoice, WeightsError};
use pkdgan::unstable::calibration::{Calibration, CalibrationError, DEFAULT_ALPHA, rounded_up};

/// What is asked for.
#[derive(Args)]
pub(super) struct Wanted {
    /// What images are scored by: `latent`, `reconstruction`, `neighbour`, `features`, `combined`, `auto` for the one that told
    /// painted defects best when the model was trained, or `default` for what it was trained with
    #[arg(long, value_name = "KIND", default_value = "default", help_heading = "Verdict")]
    score: ScoreChoice,
    /// False-alarm rate: anomalous is what has a p-value of at most this [default: 0.01, or the smallest that the model
    /// can promise]
    #[arg(long, value_name = "RATE", help_heading = "Verdict")]
    alpha: Option<f64>,
    /// Anomalous is what has a score above this, whatever its p-value
    #[arg(long, value_name = "SCORE", help_heading = "Verdict", conflicts_with = "alpha", allow_negative_numbers = true,
        value_parser = finite)]
    threshold: Option<f32>,
}

impl Wanted {
    /// Reads a model, to score by what is asked for.
    pub(super) fn model(&self, path: &Path) -> Result<ModelFile, WeightsError> {
        ModelFile::read(path)?.scored_by(self.score)
    }
}

fn finite(text: &str) -> Result<f32, String> {
    let number: f32 = text.parse().map_err(|_| "no number".to_owned())?;
    if number.is_finite() { Ok(number) } else { Err("not finite".into()) }
}

/// What makes a picture anomalous.
pub(super) enum Rule {
    /// A p-value of at most this.
    Alpha(f64),
    /// A score above this.
    Threshold(f32),
    /// Nothing that is known.
    None,
}

/// What a score means.
#[derive(Clone, Copy)]
pub(super) struct Decision {
    pub p_value: Option<f64>,
    pub anomalous: Option<bool>,
}

impl Rule {
    /// The rule that was asked for, as far as a model's calibration carries it. Without a wish it is the rate of
    /// [`Calibration::default_alpha`].
    pub(super) fn new(wanted: &Wanted, calibration: Option<&Calibration>, needed: bool) -> anyhow::Result<Self> {
        let alpha = wanted.alpha;
        Ok(match (wanted.threshold, calibration) {
            (Some(threshold), _) => Self::Threshold(threshold),
            (None, Some(calibration)) => {
                let alpha = alpha.unwrap_or_else(|| calibration.default_alpha());
                calibration.threshold(alpha)?;
                Self::Alpha(alpha)
            }
            (None, None) if needed || alpha.is_some() => {
                let flag = if needed { "--fail-on-anomaly" } else { "--alpha" };
                bail!(Uncalibrated(flag))
            }
            (None, None) => Self::None,
        })
    }

    /// What to say of the rule beforehand.
    pub(super) fn note(&self, wanted: &Wanted, calibration: Option<&Calibration>) -> Option<String> {
        match (self, calibration) {
            (Self::None, _) => Some(
                "note: the model is not calibrated, so there are no p-values, and no verdicts without --threshold SCORE"
                    .into(),
            ),
            (Self::Alpha(alpha), Some(calibration)) if wanted.alpha.is_none() && *alpha > DEFAULT_ALPHA => Some(format!(
                "note: {} calibration images cannot promise a false-alarm rate of {DEFAULT_ALPHA}; verdicts are by the \
                 smallest that they can: --alpha {}",
                calibration.scores().len(),
                rounded_up(*alpha)
            )),
            _ => None,
        }
    }

    /// Decides what a score means.
    ///
    /// # Errors
    /// A score that is not a number.
    pub(super) fn decide(&self, score: f32, calibration: Option<&Calibration>) -> Result<Decision, CalibrationError> {
        let p_value = calibration.map(|calibration| calibration.p_value(score)).transpose()?;
        let anomalous = match *self {
            Self::Alpha(alpha) => p_value.map(|p_value| p_value <= alpha),
            Self::Threshold(threshold) => Some(score > threshold),
            Self::None => None,
        };
        Ok(Decision { p_value, anomalous })
    }
}

impl Decision {
    /// The word for it.
    pub(super) fn verdict(self) -> Option<&'static str> {
        self.anomalous.map(|anomalous| if anomalous { "anomalous" } else { "normal" })
    }
}

/// A flag that takes a scale of heat maps, which the model does not have.
#[derive(Debug, thiserror::Error)]
#[error(
    "{model}: it does not say what normal pictures differ by at each place, which {flag} takes; take a model file of a run, not one in \
     half precision, or train it again, with 3 or more normal images held out. `--save-maps` shows plain differences"
)]
pub(super) struct Unscaled {
    pub(super) flag: &'static str,
    pub(super) model: String,
}

/// A flag that the model has no calibration for.
#[derive(Debug, thiserror::Error)]
#[error(
    "the model is not calibrated, so that {0} has nothing to go by; name a threshold of the score with --threshold"
)]
pub(super) struct Uncalibrated(&'static str);
