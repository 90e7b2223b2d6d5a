//! Boxes around what stands out in a map.

/// Most boxes of a map.
pub const MAX_BOXES: usize = 16;

/// A part of an image that stands out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnomalyBox {
    /// Column of its left border.
    pub left: usize,
    /// Row of its upper border.
    pub top: usize,
    /// Column behind its right border.
    pub right: usize,
    /// Row below its lower border.
    pub bottom: usize,
    /// The highest value of the map in it, in standard deviations.
    pub peak: f32,
}

/// Boxes around the connected parts of a map `[H, W]` that lie above a level, the highest peak first: [`MAX_BOXES`] at most.
/// Places that touch at a corner are connected.
pub fn boxes(map: &[f32], [height, width]: [usize; 2], level: f32) -> Vec<AnomalyBox> {
    let mut open: Vec<bool> = map.iter().map(|&value| value > level).collect();
    let mut found = Vec::new();
    for first in 0..map.len() {
        if !std::mem::take(&mut open[first]) {
            continue;
        }
        let (y, x) = (first / width, first % width);
        let mut one = AnomalyBox { left: x, top: y, right: x + 1, bottom: y + 1, peak: map[first] };
        let mut waiting = vec![(y, x)];
        while let Some((y, x)) = waiting.pop() {
            one.left = one.left.min(x);
            one.top = one.top.min(y);
            one.right = one.right.max(x + 1);
            one.bottom = one.bottom.max(y + 1);
            one.peak = one.peak.max(map[y * width + x]);
            for near_y in y.saturating_sub(1)..(y + 2).min(height) {
                for near_x in x.saturating_sub(1)..(x + 2).min(width) {
                    if std::mem::take(&mut open[near_y * width + near_x]) {
                        waiting.push((near_y, near_x));
                    }
                }
            }
        }
        found.push(one);
    }
    found.sort_by(|one, other| other.peak.total_cmp(&one.peak));
    found.truncate(MAX_BOXES);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connected_places_share_a_box_and_the_highest_peak_comes_first() {
        #[rustfmt::skip]
        let map = [
            2.0, 0.0, 0.0, 0.0, 5.0,
            0.0, 3.0, 0.0, 0.0, 4.0,
            0.0, 0.0, 0.0, f32::NAN, 0.0,
        ];
        let found = boxes(&map, [3, 5], 1.0);
        let expected = [
            AnomalyBox { left: 4, top: 0, right: 5, bottom: 2, peak: 5.0 },
            AnomalyBox { left: 0, top: 0, right: 2, bottom: 2, peak: 3.0 },
        ];
        assert_eq!(found, expected);
        assert_eq!(boxes(&map, [3, 5], 5.0), []);
    }

    #[test]
    fn there_are_only_so_many() {
        let map: Vec<f32> = (0..100).map(|place| if place % 2 == 0 { place as f32 + 1.0 } else { 0.0 }).collect();
        let found = boxes(&map, [1, 100], 0.5);
        assert_eq!((found.len(), found[0].peak), (MAX_BOXES, 99.0));
    }
}
