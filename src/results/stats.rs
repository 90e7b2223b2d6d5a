//! Means and how far they can be trusted.

use std::collections::BTreeMap;

/// Mean of some values and how far they scatter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (divisor n - 1); `None` for fewer than two values.
    pub sd: Option<f64>,
    /// How many values.
    pub n: usize,
}

/// Mean of paired differences, over classes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gain {
    /// Mean over the classes of their mean differences.
    pub mean: f64,
    /// Half the width of its 95 % confidence interval, by Student's t over the means of the classes: seeds of one class
    /// are no independent measurements. `None` for one class.
    pub half_width: Option<f64>,
    /// How many classes.
    pub classes: usize,
    /// How many pairs.
    pub pairs: usize,
}

/// Quantiles of Student's t for a two-sided 95 %, with 1 to 9 degrees of freedom: there are ten classes at most.
const QUANTILES: [f64; 9] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];

impl Summary {
    /// Sums up `values`; `None` where there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect();
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let sd = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
        Some(Self { mean, sd, n })
    }
}

impl Gain {
    /// Sums up `differences` of pairs, each with its class; `None` where there are none, or more than ten classes.
    pub fn of(differences: impl IntoIterator<Item = (u8, f64)>) -> Option<Self> {
        let mut classes: BTreeMap<u8, Vec<f64>> = BTreeMap::new();
        for (class, difference) in differences {
            classes.entry(class).or_default().push(difference);
        }
        let pairs = classes.values().map(Vec::len).sum();
        let means = classes.into_values().filter_map(Summary::of).map(|class| class.mean);
        let Summary { mean, sd, n } = Summary::of(means)?;
        let quantile = |sd: f64| Some(sd / (n as f64).sqrt() * QUANTILES.get(n - 2)?);
        let half_width = match sd {
            Some(sd) => Some(quantile(sd)?),
            None => None,
        };
        Some(Self { mean, half_width, classes: n, pairs })
    }
}
