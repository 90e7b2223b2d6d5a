//! Means and how far they can be trusted.

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

/// Mean of paired differences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gain {
    /// Mean difference.
    pub mean: f64,
    /// Standard error of that mean: sample standard deviation of the differences over the root of their number; `None`
    /// for fewer than two pairs.
    pub standard_error: Option<f64>,
    /// How many pairs.
    pub pairs: usize,
}

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
    /// Sums up paired `differences`; `None` where there are none.
    pub fn of(differences: impl IntoIterator<Item = f64>) -> Option<Self> {
        let Summary { mean, sd, n } = Summary::of(differences)?;
        Some(Self { mean, standard_error: sd.map(|sd| sd / (n as f64).sqrt()), pairs: n })
    }
}
