//! How well maps point at defects whose place is known.

use serde::{Deserialize, Serialize};

/// Values that are told apart: the upper 16 bits of a number in single precision, which is some 0.8 % of it.
const BINS: usize = 1 << 16;

/// How well maps point at defects.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LocalizationFigures {
    /// Area under the ROC curve over all pixels, those of defects as positives, in [0, 1].
    pub pixel_auroc: f64,
    /// Share of the images with a defect whose map is highest on it.
    pub maximum_on_defect: f64,
    /// Mean share of an image that its defect covers: the share of maxima that chance would put there.
    pub defect_area: f64,
}

/// Counts over the maps of many images, in memory that does not grow with them.
#[derive(Debug, Clone)]
pub struct Localization {
    /// Pixels of each value, ascending, on no defect and on one.
    counts: Vec<[u64; 2]>,
    masked: usize,
    hits: usize,
    areas: f64,
}

impl Default for Localization {
    fn default() -> Self {
        Self { counts: vec![[0; 2]; BINS], masked: 0, hits: 0, areas: 0.0 }
    }
}

impl Localization {
    /// Adds the map of an image, with which of its places lie on a defect; none of a normal image do. Places that are NaN in
    /// the map do not count.
    pub fn add(&mut self, map: &[f32], on_defect: Option<&[bool]>) {
        let on = |place: usize| on_defect.is_some_and(|mask| mask.get(place) == Some(&true));
        let (mut highest, mut places, mut covered) = (None, 0, 0);
        for (place, &value) in map.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            self.counts[bin(value)][usize::from(on(place))] += 1;
            places += 1;
            covered += usize::from(on(place));
            if highest.is_none_or(|highest: usize| value > map[highest]) {
                highest = Some(place);
            }
        }
        if covered > 0 {
            self.masked += 1;
            self.hits += usize::from(highest.is_some_and(on));
            self.areas += covered as f64 / f64::from(places);
        }
    }

    /// Images with a defect.
    pub fn masked(&self) -> usize {
        self.masked
    }

    /// The figures; none without a pixel on a defect, or without one elsewhere.
    pub fn figures(&self) -> Option<LocalizationFigures> {
        let [normal, defect] =
            [0, 1].map(|kind| self.counts.iter().map(|counts| u128::from(counts[kind])).sum::<u128>());
        if normal == 0 || defect == 0 {
            return None;
        }
        // As `metrics::auroc` counts: ties are half.
        let (mut below, mut half_wins) = (0, 0);
        for &[normal, defect] in &self.counts {
            let [normal, defect] = [normal, defect].map(u128::from);
            half_wins += defect * (2 * below + normal);
            below += normal;
        }
        let masked = self.masked.max(1) as f64;
        Some(LocalizationFigures {
            pixel_auroc: half_wins as f64 / (2 * normal * defect) as f64,
            maximum_on_defect: self.hits as f64 / masked,
            defect_area: self.areas / masked,
        })
    }
}

/// Where a number stands among all: the order of the bins is that of the numbers.
fn bin(value: f32) -> usize {
    let bits = value.to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    (ordered >> 16) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::auroc;

    #[test]
    fn bins_have_the_order_of_the_numbers() {
        let values = [f32::NEG_INFINITY, -3.0, -1e-3, 0.0, 1e-3, 0.5, 0.51, 7.0, f32::INFINITY];
        assert!(values.map(bin).is_sorted_by(|one, other| one < other));
    }

    #[test]
    fn counts_give_the_figures() {
        let mut counted = Localization::default();
        assert_eq!(counted.figures(), None);
        let maps: Vec<Vec<f32>> = (0..50)
            .map(|image: usize| {
                (0..64).map(|place: usize| ((image * 64 + place) * 7_919 % 997) as f32 / 100.0 - 3.0).collect()
            })
            .collect();
        let (mut normal, mut defect) = (Vec::new(), Vec::new());
        for (image, map) in maps.iter().enumerate() {
            let mask: Vec<bool> = (0..64).map(|place| image % 2 == 0 && (place / 8 < 2)).collect();
            counted.add(map, Some(&mask));
            for (&value, &on) in map.iter().zip(&mask) {
                if on { defect.push(value) } else { normal.push(value) }
            }
        }
        let figures = counted.figures().unwrap();
        let exact = auroc(&normal, &defect).unwrap().unwrap();
        assert!((figures.pixel_auroc - exact).abs() < 2e-3, "{} for {exact}", figures.pixel_auroc);
        assert_eq!((counted.masked(), figures.defect_area), (25, 0.25));
    }

    #[test]
    fn a_maximum_lies_on_the_defect_or_beside_it() {
        let mut counted = Localization::default();
        counted.add(&[1.0, 5.0, f32::NAN], Some(&[false, true, true]));
        counted.add(&[6.0, 5.0, 2.0], Some(&[false, true, true]));
        counted.add(&[6.0, 5.0, 2.0], None);
        let figures = counted.figures().unwrap();
        assert_eq!((figures.maximum_on_defect, counted.masked()), (0.5, 2));
    }
}
