//! What all plots share: axes, and a look. Text stays text, so no font is needed to draw it.

mod axis;

use plotters::style::RGBColor;

pub(crate) use axis::Axis;

/// Colours that stay apart for the colour-blind (Okabe and Ito, 2008).
pub(crate) const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];
/// Of axes and of what is there to compare with.
pub(crate) const GREY: RGBColor = RGBColor(90, 90, 90);
/// Any font of the reader's without serifs.
pub(crate) const FONT: &str = "sans-serif";
