//! Where the anomaly is: maps of how unusual each place of an image is, in standard deviations of held-out normal images,
//! boxes around what stands out, and how well maps point at defects that are known. It knows no network and no file.
//!
//! Maps are `[H, W]`, the width running fastest: the pixels that a network sees, without the margin. Outside of the picture
//! they are NaN.

mod boxes;
mod colours;
mod difference;
mod localization;
mod scale;

pub use boxes::{AnomalyBox, MAX_BOXES, boxes};
pub use colours::colour;
pub use difference::{SIGMA, difference, smoothed};
pub use localization::{Localization, LocalizationFigures};
pub use scale::{MAX_IMAGES, MIN_IMAGES, MapScale, MapScaleError};
