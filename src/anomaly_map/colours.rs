//! The colours of heat maps. They mean the same on every picture.

/// Below this share of the level the picture is left as it is.
const FAINT: f32 = 0.5;
/// From this multiple of the level on, colours no longer change.
const FULL: f32 = 2.0;
/// Most of a picture that a colour hides.
const OPACITY: f32 = 0.6;
/// Most that the colour of what normal pictures reach too hides.
const FAINT_OPACITY: f32 = 0.3;
const BLUE: [f32; 3] = [60.0, 120.0, 255.0];
const YELLOW: [f32; 3] = [255.0, 225.0, 0.0];
const RED: [f32; 3] = [215.0, 0.0, 0.0];

/// The colour of a value, and how much of the picture it hides, in 0..1. Up to half of `level` it hides nothing. Up to
/// `level`, which normal pictures reach too, it is blue. From there on it goes from yellow to red, which it has at twice the
/// level.
pub fn colour(value: f32, level: f32) -> ([f32; 3], f32) {
    // A level near zero would make noise red.
    let share = value / level.max(1.0);
    if share.is_nan() || share <= FAINT {
        ([0.0; 3], 0.0)
    } else if share <= 1.0 {
        (BLUE, FAINT_OPACITY * (share - FAINT) / (1.0 - FAINT))
    } else {
        let along = ((share - 1.0) / (FULL - 1.0)).min(1.0);
        (std::array::from_fn(|channel| YELLOW[channel] + along * (RED[channel] - YELLOW[channel])), OPACITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yellow_begins_above_the_level() {
        assert_eq!(colour(2.0, 4.0).1, 0.0);
        assert_eq!(colour(f32::NAN, 4.0).1, 0.0);
        assert_eq!(colour(4.0, 4.0), (BLUE, FAINT_OPACITY));
        let (just_above, opacity) = colour(4.001, 4.0);
        assert!(just_above[0] > 250.0 && just_above[1] > 220.0 && just_above[2] == 0.0 && opacity == OPACITY);
        assert_eq!(colour(8.0, 4.0).0, RED);
        assert_eq!(colour(1e9, 4.0).0, RED);
    }
}
