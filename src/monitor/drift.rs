//! Whether a stream of scores drifts from the calibration: the two-sample test of Kolmogorov and Smirnov, window by window.
//!
//! A stream without drift is exchangeable with the calibration scores. Then each order of the scores of a window and the
//! calibration scores, put together, is equally likely, so the p-value of the test is exact for any number of them: it
//! counts on no limit, and on no distribution of scores. Test number `t` of a stream has the level
//! `LEVEL / (t (t + 1))`. These sum up to `LEVEL`, so a stream without drift is ever called drifting with a chance of at
//! most that, however long it is. All windows share the calibration scores; a sum of levels holds all the same.
//!
//! Windows have [`WINDOW`] images. Pairs of them are one of twice the length, and so on: an abrupt change is found in the
//! short ones, a small one in the long ones.

use crate::calibration::{Calibration, tie_bound};

/// The chance at most that drift is called in a stream without drift.
pub const LEVEL: f64 = 0.01;
/// Images of the shortest windows.
pub const WINDOW: usize = 200;
/// The longest windows have so many doublings of that.
pub const MAX_SCALE: u32 = 5;

/// Which way scores went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// More anomalous than the calibration images.
    Higher,
    /// More normal than those, or too alike.
    Lower,
}

/// A window whose scores are not like the calibration scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// Its first image and its last, counted from 1.
    pub images: [usize; 2],
    /// Where the two distributions are farthest apart.
    pub direction: Direction,
    /// How far: the greatest difference of the two shares of scores up to some score, in [0, 1].
    pub distance: f64,
    /// The chance of such a distance or more without drift.
    pub p_value: f64,
    /// The level of this test, which is above that.
    pub level: f64,
}

/// Tests a stream of scores for drift. Takes the memory of the longest window, whatever the stream's length.
#[derive(Debug)]
pub struct Drift {
    calibration: Calibration,
    /// Of each image of the longest window under way: calibration scores that are lower, without and with those that count
    /// as equal. They do so within [`tie_bound`], as for p-values; that brings the two distributions closer at most.
    ranks: Vec<[usize; 2]>,
    images: usize,
    tests: u64,
}

impl Drift {
    /// Compares a stream with this calibration.
    pub fn new(calibration: Calibration) -> Self {
        Self { calibration, ranks: Vec::new(), images: 0, tests: 0 }
    }

    /// Tests done so far.
    pub fn tests(&self) -> u64 {
        self.tests
    }

    /// Images until the next test.
    pub fn until_test(&self) -> usize {
        WINDOW - self.images % WINDOW
    }

    /// Takes the next finite score. Where that ends windows, they are tested; the shortest that drifts is returned.
    pub fn add(&mut self, score: f32) -> Option<Shift> {
        let scores = self.calibration.scores();
        let lower = scores.len() - self.calibration.at_least(score);
        let up_to_equal = scores.partition_point(|&other| other <= tie_bound(score));
        self.ranks.push([lower, up_to_equal]);
        self.images += 1;
        if !self.images.is_multiple_of(WINDOW) {
            return None;
        }
        let longest = (self.images / WINDOW).trailing_zeros().min(MAX_SCALE);
        // All are tested: how many tests there were must depend on nothing else.
        let found: Vec<Shift> = (0..=longest).filter_map(|scale| self.test(WINDOW << scale)).collect();
        if longest == MAX_SCALE {
            self.ranks.clear();
        }
        found.first().copied()
    }

    /// Tests the last so many images.
    fn test(&mut self, len: usize) -> Option<Shift> {
        self.tests += 1;
        let level = LEVEL / (self.tests as f64 * (self.tests as f64 + 1.0));
        let held = self.calibration.scores().len();
        let (higher, lower) = distances(&self.ranks[self.ranks.len() - len..], held);
        let (direction, distance) =
            if higher >= lower { (Direction::Higher, higher) } else { (Direction::Lower, lower) };
        let p_value = chance(held, len, distance);
        (p_value <= level).then(|| Shift {
            images: [self.images + 1 - len, self.images],
            direction,
            distance: distance as f64 / (held * len) as f64,
            p_value,
            level,
        })
    }
}

/// How far the scores of a window lie above and below the calibration scores at most, as differences of shares times the
/// product of both numbers of scores.
fn distances(window: &[[usize; 2]], held: usize) -> (usize, usize) {
    // How many images have each rank.
    let mut counts = vec![[0_usize; 2]; held + 1];
    for &[lower, up_to_equal] in window {
        counts[lower][0] += 1;
        counts[up_to_equal][1] += 1;
    }
    let (mut higher, mut lower) = (0, 0);
    let [mut below, mut up_to] = [0, 0];
    for (rank, count) in counts[..held].iter().enumerate() {
        // Images up to the bound of this calibration score, and images whose own bound is below it.
        below += count[0];
        up_to += count[1];
        higher = higher.max(((rank + 1) * window.len()).saturating_sub(below * held));
        lower = lower.max((up_to * held).saturating_sub(rank * window.len()));
    }
    (higher, lower)
}

/// The chance that two samples of one distribution, without ties, are so far apart or farther: the greatest difference of
/// their shares, times the product of their numbers. With ties it is smaller.
///
/// Put together in order, the samples are a path through a lattice, each path as likely as any other. From the end of the
/// paths on this computes for each place the chance to come so far from the diagonal; Hodges (1958) counts paths in the
/// same way. Sums of positive numbers only, so that the smallest chances are as exact as large ones.
fn chance(n: usize, m: usize, distance: usize) -> f64 {
    if distance == 0 {
        return 1.0;
    }
    // The chances at `i` of the first sample and each `j` of the second. Outside the band around the diagonal they are 1.
    let mut chances = vec![1.0; m + 2];
    let inverses: Vec<f64> = (0..=n + m).map(|left| 1.0 / left.max(1) as f64).collect();
    for i in (0..=n).rev() {
        let first = (i * m).saturating_sub(distance - 1).div_ceil(n);
        let last = ((i * m + distance - 1) / n).min(m);
        chances[last + 1] = 1.0;
        for j in (first..=last).rev() {
            let [left, right] = [n - i, m - j];
            // At the end of all paths nothing is left, and the chance is 0.
            chances[j] = (left as f64 * chances[j] + right as f64 * chances[j + 1]) * inverses[left + right];
        }
    }
    chances[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every order of both samples, one by one.
    fn counted(n: usize, m: usize, distance: usize) -> f64 {
        let [mut far, mut all] = [0_u32, 0];
        for order in 0_u32..1 << (n + m) {
            if order.count_ones() as usize == n {
                let [mut i, mut j] = [0, 0];
                all += 1;
                far += u32::from((0..n + m).any(|place| {
                    if order >> place & 1 == 1 {
                        i += 1
                    } else {
                        j += 1
                    }
                    (i * m).abs_diff(j * n) >= distance
                }));
            }
        }
        f64::from(far) / f64::from(all)
    }

    #[test]
    fn the_chance_is_that_of_all_orders() {
        for (n, m) in [(1, 1), (3, 4), (5, 5), (7, 4), (4, 9), (6, 9)] {
            for distance in 0..=n * m + 1 {
                let (found, expected) = (chance(n, m, distance), counted(n, m, distance));
                assert!((found - expected).abs() <= 1e-12, "{n} {m} {distance}: {found} {expected}");
            }
        }
        // scipy.stats.ks_2samp, exact: 5 and 5, statistic 0.8.
        assert!((chance(5, 5, 20) - 0.079_365_079_365).abs() < 1e-9);
        // Two samples that do not overlap, of 2 / (400 choose 200) orders.
        let apart = chance(200, 200, 200 * 200).ln();
        let orders: f64 = (1..=200).map(|k| (f64::from(200 + k) / f64::from(k)).ln()).sum();
        assert!((apart - (2_f64.ln() - orders)).abs() < 1e-6, "{apart}");
    }

    #[test]
    fn distances_are_those_of_the_shares() {
        let held: Vec<f32> = (1..=4).map(|score| score as f32).collect();
        let of = |window: &[f32]| {
            let mut drift = Drift::new(Calibration::new(held.clone()).unwrap());
            for &score in window {
                assert_eq!(drift.add(score), None);
            }
            distances(&drift.ranks, held.len())
        };
        // In between, all above, all below; equal within the bound of ties.
        assert_eq!(of(&[1.5, 2.5, 3.5]), (3, 3));
        assert_eq!(of(&[5.0, 6.0]), (8, 0));
        assert_eq!(of(&[0.0, 0.5]), (0, 8));
        assert_eq!(of(&[1.0, 2.0, 3.0, 4.0]), (0, 0));
        assert_eq!(of(&[1.009, 1.99, 3.02, 3.97]), (0, 0));
        assert_eq!(of(&[2.5; 4]), (8, 8));
    }
}
