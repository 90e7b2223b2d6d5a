//! A share that is estimated from counts.

/// The quantile of the normal distribution for an interval of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// How many of some images were called anomalous.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// Those that were.
    pub called: u64,
    /// All.
    pub of: u64,
}

impl Rate {
    /// Counts one more image.
    pub fn add(&mut self, called: bool) {
        self.called += u64::from(called);
        self.of += 1;
    }

    /// The share; of no images it is unknown.
    pub fn share(&self) -> Option<f64> {
        (self.of > 0).then(|| self.called as f64 / self.of as f64)
    }

    /// The 95 % interval of Wilson (1927), which Brown, Cai and DasGupta (2001) recommend: the shares that are within 1.96
    /// of their own standard errors of the one found. Of no images it is [0, 1].
    pub fn interval(&self) -> [f64; 2] {
        let Some(share) = self.share() else { return [0.0, 1.0] };
        let n = self.of as f64;
        let middle = share + Z * Z / (2.0 * n);
        let width = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        // At the ends rounding may leave a little.
        let low = if self.called == 0 { 0.0 } else { (middle - width) / scale };
        let high = if self.called == self.of { 1.0 } else { (middle + width) / scale };
        [low, high]
    }
}
