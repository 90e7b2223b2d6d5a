//! A threshold without anomalies: split-conformal calibration on normal images that training did not see.
//!
//! A new normal image is as likely to rank anywhere among the calibration scores, so its p-value is at most `alpha` with
//! a chance of at most `alpha`, whatever the distribution of the scores (Vovk, Gammerman and Shafer 2005, chapter 2;
//! Laxhammar and Falkman 2010 for anomalies). The chance is over new images and calibration sets together.
//!
//! Scoring paths round in different ways, so that the same image has not quite the same score on each. Scores within
//! [`tie_bound`] of each other therefore count as equal, here, in exported graphs and in the page for browsers. This makes
//! p-values larger at most, so the promise holds as before.

use thiserror::Error;

/// Why scores cannot calibrate, or not for what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// There is no score.
    #[error("no image to calibrate with; hold some normal images out of training")]
    Empty,
    /// A score is infinite or not a number.
    #[error("calibration score {place} is {value}; the network diverged or its file is damaged, train again")]
    NotFinite {
        /// Place among the scores given, from 0.
        place: usize,
        /// The score.
        value: f32,
    },
    /// A score that has no p-value.
    #[error("the score is not a number, so it has no p-value; the image or the network is damaged")]
    NotANumber,
    /// A false-alarm rate that is no chance.
    #[error("a false-alarm rate of {0} makes no sense; choose one above 0 and below 1, such as 0.01")]
    Alpha(f64),
    /// Fewer scores than the false-alarm rate takes: nothing could ever be called anomalous.
    #[error(
        "a false-alarm rate of {alpha} takes at least {needed} calibration images and the model has {count}; choose {} or \
         more, or hold more normal images out of training",
        rounded_up(1.0 / (*count as f64 + 1.0))
    )]
    TooFew {
        /// The rate asked for.
        alpha: f64,
        /// Scores that it takes.
        needed: usize,
        /// Scores there are.
        count: usize,
    },
}

/// The false-alarm rate that is promised unless another is asked for.
pub const DEFAULT_ALPHA: f64 = 0.01;

/// Share of a score within which another counts as equal: the most by which scores in half precision differ.
pub const TIE_RATIO: f32 = 1.01;
/// The same for scores near zero: latent vectors are rounded, whatever their distance.
pub const TIE_STEP: f32 = 0.005;

/// The highest score that counts as equal to a calibration score of `score`. In single precision, so that every program
/// that computes it gets the same number.
pub fn tie_bound(score: f32) -> f32 {
    (score * TIE_RATIO).max(score + TIE_STEP).min(f32::MAX)
}

/// A rate with three digits that count, rounded up: whoever types it back asks for no less.
pub fn rounded_up(rate: f64) -> String {
    let places = if rate > 0.0 && rate < 1.0 { (2.0 - rate.log10().floor()).min(17.0) as usize } else { 2 };
    let text = rounded_up_to(rate, places);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A number with so many digits after the point, rounded up.
pub fn rounded_up_to(number: f64, places: usize) -> String {
    let nearest = format!("{number:.places$}");
    match nearest.parse::<f64>() {
        Ok(value) if value < number => format!("{:.places$}", number + 0.1_f64.powi(places as i32)),
        _ => nearest,
    }
}

/// A rate in percent with three digits that count, rounded up: what is promised is at most that.
pub fn percent(rate: f64) -> String {
    let places = if rate > 0.0 { (-rate.log10().floor()).clamp(0.0, 17.0) as usize } else { 0 };
    let text = rounded_up_to(100.0 * rate, places);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} %")
}

/// The scores of the calibration images.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Ascending, finite, at least one.
    scores: Vec<f32>,
}

impl Calibration {
    /// Takes the scores of the calibration images, in any order.
    ///
    /// # Errors
    /// No score at all, and one that is not finite.
    pub fn new(mut scores: Vec<f32>) -> Result<Self, CalibrationError> {
        if scores.is_empty() {
            return Err(CalibrationError::Empty);
        }
        if let Some((place, &value)) = scores.iter().enumerate().find(|(_, score)| !score.is_finite()) {
            return Err(CalibrationError::NotFinite { place, value });
        }
        scores.sort_unstable_by(f32::total_cmp);
        Ok(Self { scores })
    }

    /// The scores, ascending.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// How many calibration scores are at least as high, those that count as equal among them.
    pub fn at_least(&self, score: f32) -> usize {
        self.scores.len() - self.scores.partition_point(|&other| tie_bound(other) < score)
    }

    /// The p-value of a score: (1 + calibration scores at least as high) / (n + 1), in (0, 1].
    ///
    /// # Errors
    /// A score that is not a number: it means nothing.
    pub fn p_value(&self, score: f32) -> Result<f64, CalibrationError> {
        if score.is_nan() { Err(CalibrationError::NotANumber) } else { Ok(self.rate(1 + self.at_least(score))) }
    }

    /// The smallest false-alarm rate that so many scores can promise: 1 / (n + 1).
    pub fn least_alpha(&self) -> f64 {
        self.rate(1)
    }

    /// The false-alarm rate that is promised unless another is asked for: 0.01, or the smallest that so many scores can
    /// promise.
    pub fn default_alpha(&self) -> f64 {
        DEFAULT_ALPHA.max(self.least_alpha())
    }

    /// The score above which p-values are at most `alpha`: of normal images no more than that share is expected there.
    /// It is the [`tie_bound`] of a calibration score.
    ///
    /// # Errors
    /// A rate outside (0, 1), and one that takes more scores than there are.
    pub fn threshold(&self, alpha: f64) -> Result<f32, CalibrationError> {
        if !(alpha > 0.0 && alpha < 1.0) {
            return Err(CalibrationError::Alpha(alpha));
        }
        let count = self.scores.len();
        // The most that the numerator of a p-value may be; the product alone may be off by a rounding.
        let product = (alpha * (count + 1) as f64) as usize;
        let most = if self.rate(product + 1) <= alpha { product + 1 } else { product };
        let highest = most.checked_sub(1).filter(|_| self.rate(most) <= alpha);
        let place = highest.and_then(|highest| count.checked_sub(1 + highest));
        place.map(|place| tie_bound(self.scores[place])).ok_or(CalibrationError::TooFew {
            alpha,
            needed: ((1.0 / alpha).ceil() as usize).saturating_sub(1),
            count,
        })
    }

    fn rate(&self, numerator: usize) -> f64 {
        numerator as f64 / (self.scores.len() + 1) as f64
    }
}
