//! The difference between an image and its reconstruction, place by place; and smoothing.

/// Standard deviation of the Gaussian that smooths, as a share of the longer side. Chosen on painted defects; see
/// docs/method.md.
pub const SIGMA: f32 = 1.0 / 32.0;

/// The difference between an image and its reconstruction: mean over channels of the absolute difference, of pixels in
/// -1..1. `bytes` are `[C, H, W]`; `reconstruction` is `[C, side, side]`, in whose centre they lie. Shape `[H, W]`.
pub fn difference(bytes: &[u8], reconstruction: &[f32], [height, width]: [usize; 2], side: usize) -> Vec<f32> {
    let (top, left) = ((side - height) / 2, (side - width) / 2);
    let mut sums = vec![0.0; height * width];
    let planes = bytes.chunks_exact(height * width).zip(reconstruction.chunks_exact(side * side));
    for (seen, made) in planes {
        let rows = seen.chunks_exact(width).zip(made.chunks_exact(side).skip(top)).zip(sums.chunks_exact_mut(width));
        for ((seen, made), sums) in rows {
            for ((sum, &byte), made) in sums.iter_mut().zip(seen).zip(&made[left..]) {
                *sum += (f32::from(byte) / 127.5 - 1.0 - made).abs();
            }
        }
    }
    let channels = (bytes.len() / (height * width)).max(1) as f32;
    sums.iter_mut().for_each(|sum| *sum /= channels);
    sums
}

/// Values `[H, W]`, each the mean of those around it, weighted by a Gaussian whose standard deviation is `sigma` places. Near a border the weights of what is there add up to one, so that it is neither darker nor brighter.
pub fn smoothed(values: &[f32], [height, width]: [usize; 2], sigma: f32) -> Vec<f32> {
    if sigma <= 0.0 {
        return values.to_vec();
    }
    let radius = (3.0 * sigma).ceil() as usize;
    let weights: Vec<f32> = (0..=radius).map(|at| (-0.5 * (at as f32 / sigma).powi(2)).exp()).collect();
    let down = blurred_down(values, width, &weights);
    let across = blurred_down(&transposed(&down, width), height, &weights);
    transposed(&across, height)
}

/// Smooths each column. Whole rows are added up, which lie side by side in memory.
fn blurred_down(values: &[f32], width: usize, weights: &[f32]) -> Vec<f32> {
    let (radius, height) = (weights.len() - 1, values.len() / width);
    let mut blurred = vec![0.0; values.len()];
    for (y, row) in blurred.chunks_exact_mut(width).enumerate() {
        let around = y.saturating_sub(radius)..(y + radius + 1).min(height);
        let whole: f32 = around.clone().map(|other| weights[y.abs_diff(other)]).sum();
        for other in around {
            let weight = weights[y.abs_diff(other)] / whole;
            let from = &values[other * width..][..width];
            row.iter_mut().zip(from).for_each(|(sum, value)| *sum += weight * value);
        }
    }
    blurred
}

fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    let height = values.len() / width;
    (0..values.len()).map(|place| values[place % height * width + place / height]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_left_out_and_channels_are_averaged() {
        // Two channels of 1 x 2 pixels in the centre of 4 x 4: row 1, columns 1 and 2.
        let mut made = vec![9.0; 32];
        made[5..7].copy_from_slice(&[-1.0, 1.0]);
        made[21..23].copy_from_slice(&[0.0, 1.0]);
        assert_eq!(difference(&[0, 0, 0, 255], &made, [1, 2], 4), [0.5, 1.0]);
    }

    #[test]
    fn smoothing_keeps_what_is_the_same_everywhere_and_spreads_a_point_evenly() {
        for value in smoothed(&[3.0; 35], [5, 7], 2.1) {
            assert!((value - 3.0).abs() < 1e-5, "{value}");
        }
        let mut point = vec![0.0; 31 * 31];
        point[15 * 31 + 15] = 1.0;
        let spread = smoothed(&point, [31, 31], 2.0);
        let sum: f32 = spread.iter().sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        let [peak, beside, below] = [15 * 31 + 15, 15 * 31 + 17, 17 * 31 + 15].map(|place| spread[place]);
        // Two pixels away is one standard deviation.
        assert!((beside / peak - (-0.5_f32).exp()).abs() < 1e-4 && (beside - below).abs() < 1e-6);
        assert_eq!(smoothed(&point, [31, 31], 0.0), point);
    }
}
