//! Where a defect lies: how much of each pixel it covers.

/// A part of an image, in pixels from its upper left corner.
#[derive(Debug, Clone, Copy)]
pub(super) enum Region {
    /// A disc around a point.
    Disc {
        /// Column and row of its centre.
        centre: [f32; 2],
        /// Its radius.
        radius: f32,
    },
    /// A square around a point.
    Square {
        /// Column and row of its centre.
        centre: [f32; 2],
        /// Half of its side.
        half: f32,
    },
    /// A line between two points.
    Line {
        /// Column and row of both ends.
        ends: [[f32; 2]; 2],
        /// Half of its width.
        half: f32,
    },
}

impl Region {
    /// How much of each pixel it covers, in 0..1, row by row. Borders are as sharp as a camera sees them: one pixel wide.
    pub(super) fn coverage(&self, height: usize, width: usize) -> Vec<f32> {
        let places = (0..height * width).map(|place| [(place % width) as f32 + 0.5, (place / width) as f32 + 0.5]);
        places.map(|point| (0.5 - self.distance(point)).clamp(0.0, 1.0)).collect()
    }

    /// The distance of a point from the border, below zero inside.
    fn distance(&self, [x, y]: [f32; 2]) -> f32 {
        match *self {
            Self::Disc { centre: [a, b], radius } => (x - a).hypot(y - b) - radius,
            Self::Square { centre: [a, b], half } => (x - a).abs().max((y - b).abs()) - half,
            Self::Line { ends: [[a, b], [c, d]], half } => {
                let (dx, dy) = (c - a, d - b);
                let along =
                    (((x - a) * dx + (y - b) * dy) / (dx * dx + dy * dy).max(f32::MIN_POSITIVE)).clamp(0.0, 1.0);
                (x - a - along * dx).hypot(y - b - along * dy) - half
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixels that are covered, in all.
    fn area(region: Region) -> f32 {
        region.coverage(64, 48).iter().sum()
    }

    #[test]
    fn regions_cover_their_area() {
        let centre = [24.0, 32.0];
        let disc = area(Region::Disc { centre, radius: 10.0 });
        assert!((disc - 314.0).abs() < 4.0, "{disc}");
        let square = area(Region::Square { centre, half: 8.0 });
        assert!((square - 256.0).abs() < 4.0, "{square}");
        let line = area(Region::Line { ends: [[10.0, 32.0], [40.0, 32.0]], half: 1.0 });
        assert!((line - 60.0).abs() < 6.0, "{line}");
    }

    #[test]
    fn what_lies_outside_covers_nothing() {
        assert_eq!(area(Region::Disc { centre: [-20.0, 5.0], radius: 10.0 }), 0.0);
    }
}
