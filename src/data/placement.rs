//! Where a picture lies in the pixels that a network sees, so that places in them can be found in the picture again.

use super::{Fit, Preprocessing};

/// Where a picture lies in the `height` x `width` pixels that a network sees of it, without the margin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// Column and row of the upper left corner of what the picture fills, in the network's pixels.
    pub corner: [usize; 2],
    /// Columns and rows that the picture fills.
    pub filled: [usize; 2],
    /// Column and row of the upper left corner of the part of the picture that is seen, in its own pixels.
    pub seen_from: [f64; 2],
    /// Columns and rows of that part.
    pub seen: [f64; 2],
    /// Width and height of the picture.
    pub picture: [u32; 2],
}

impl Placement {
    /// Where a picture of so many columns and rows comes to lie.
    pub fn new(preprocessing: &Preprocessing, picture: [u32; 2]) -> Self {
        let target = [preprocessing.width, preprocessing.height];
        let whole = picture.map(f64::from);
        let mut placement = Self { corner: [0; 2], filled: target, seen_from: [0.0; 2], seen: whole, picture };
        let scales: [f64; 2] = std::array::from_fn(|axis| target[axis] as f64 / whole[axis]);
        match preprocessing.fit {
            Fit::Stretch => {}
            Fit::Pad => {
                let scale = scales[0].min(scales[1]);
                let within = |axis: usize| ((whole[axis] * scale).round() as usize).clamp(1, target[axis]);
                placement.filled = [within(0), within(1)];
                placement.corner = [0, 1].map(|axis| (target[axis] - placement.filled[axis]) / 2);
            }
            Fit::Crop => {
                let scale = scales[0].max(scales[1]);
                placement.seen = [0, 1].map(|axis| (target[axis] as f64 / scale).min(whole[axis]));
                placement.seen_from = [0, 1].map(|axis| (whole[axis] - placement.seen[axis]) / 2.0);
            }
        }
        placement
    }

    /// The place in the picture, in its pixels, of a place in the network's pixels, column and row, which may be their border.
    pub fn in_picture(&self, place: [f64; 2]) -> [f64; 2] {
        std::array::from_fn(|axis| {
            let along = (place[axis] - self.corner[axis] as f64) / self.filled[axis] as f64;
            self.seen_from[axis] + along * self.seen[axis]
        })
    }

    /// The other way round. What lies outside of what is seen lies outside of what is filled.
    pub fn in_network(&self, place: [f64; 2]) -> [f64; 2] {
        std::array::from_fn(|axis| {
            let along = (place[axis] - self.seen_from[axis]) / self.seen[axis];
            self.corner[axis] as f64 + along * self.filled[axis] as f64
        })
    }

    /// Whether a pixel of the network shows the picture, and no padding.
    pub fn fills(&self, [x, y]: [usize; 2]) -> bool {
        let within = |axis: usize, at: usize| (self.corner[axis]..self.corner[axis] + self.filled[axis]).contains(&at);
        within(0, x) && within(1, y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Range;

    fn placed(fit: Fit, picture: [u32; 2]) -> Placement {
        let preprocessing = Preprocessing { channels: 1, height: 32, width: 32, side: 32, fit, range: Range::Full };
        Placement::new(&preprocessing, picture)
    }

    #[test]
    fn corners_are_where_the_fit_puts_them() {
        let pad = placed(Fit::Pad, [200, 100]);
        assert_eq!((pad.corner, pad.filled), ([0, 8], [32, 16]));
        assert_eq!((pad.in_picture([0.0, 8.0]), pad.in_picture([32.0, 24.0])), ([0.0, 0.0], [200.0, 100.0]));
        assert!(pad.fills([0, 8]) && pad.fills([31, 23]) && !pad.fills([0, 7]) && !pad.fills([0, 24]));
        let crop = placed(Fit::Crop, [200, 100]);
        assert_eq!((crop.in_picture([0.0, 0.0]), crop.in_picture([32.0, 32.0])), ([50.0, 0.0], [150.0, 100.0]));
        let stretch = placed(Fit::Stretch, [200, 100]);
        assert_eq!((stretch.in_picture([0.0, 0.0]), stretch.in_picture([32.0, 32.0])), ([0.0, 0.0], [200.0, 100.0]));
        for placement in [pad, crop, stretch] {
            let [x, y] = placement.in_network(placement.in_picture([10.5, 12.25]));
            assert!((x - 10.5).abs() < 1e-9 && (y - 12.25).abs() < 1e-9, "{x} {y}");
        }
    }
}
