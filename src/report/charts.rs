//! The page's charts, as SVG without background: the page's style sheet gives each colour its look by day and night.

use std::io;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::ReportError;
use crate::plot::{Axis, COLOURS, FONT, GREY};

/// Width and height of a chart, in pixels: small enough that its text can be read on a telephone.
const SIZE: (u32, u32) = (480, 330);
/// Share of light that bars let through.
const BAR: f64 = 0.45;

/// Lines and bars over two axes.
pub(super) struct Chart<'a> {
    /// What it shows, to name it in an error.
    pub name: &'a str,
    /// What runs to the right, with its unit.
    pub x_label: &'a str,
    /// What runs upwards, with its unit.
    pub y_label: &'a str,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// From the back to the front, in front of the bars.
    pub lines: Vec<Line>,
    /// From the back to the front.
    pub bars: Vec<Bars>,
}

/// Points joined by a line.
pub(super) struct Line {
    /// In the order that they are joined in.
    pub points: Vec<(f64, f64)>,
    /// Its looks.
    pub ink: Ink,
}

/// Bars side by side, from the axis to the right up to a height.
pub(super) struct Bars {
    /// Where each begins, where it ends, and its height.
    pub bars: Vec<(f64, f64, f64)>,
    /// Their looks.
    pub ink: Ink,
}

/// What tells series apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Series number so and so; once the colours are used up they begin again, with dashes.
    Series(usize),
    /// What is there to compare with: grey dashes.
    Guide,
}

type DrawError = DrawingAreaErrorKind<io::Error>;
type Context<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Axis, Axis>>;

impl Ink {
    /// The colour.
    fn colour(self) -> RGBColor {
        match self {
            Self::Series(place) => COLOURS[place % COLOURS.len()],
            Self::Guide => GREY,
        }
    }

    /// Whether lines are dashed.
    pub(super) fn dashed(self) -> bool {
        match self {
            Self::Series(place) => place / COLOURS.len() % 2 == 1,
            Self::Guide => true,
        }
    }

    /// The class of its swatch in a legend.
    pub(super) fn class(self) -> String {
        match self {
            Self::Series(place) => format!("ink{}", place % COLOURS.len()),
            Self::Guide => "guide".into(),
        }
    }
}

impl Chart<'_> {
    /// Draws it. The same chart is the same bytes.
    ///
    /// # Errors
    /// A chart that cannot be drawn.
    pub(super) fn svg(&self) -> Result<String, ReportError> {
        let mut text = String::new();
        {
            let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
            let drawn = self.draw(&area).and_then(|()| area.present());
            drawn.map_err(|error| ReportError::Chart { name: self.name.to_owned(), message: error.to_string() })?;
        }
        Ok(text)
    }

    fn draw(&self, area: &DrawingArea<SVGBackend, Shift>) -> Result<(), DrawError> {
        let mut chart = ChartBuilder::on(area)
            .margin_top(12)
            .margin_left(4)
            .margin_right(20)
            .x_label_area_size(48)
            .y_label_area_size(66)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        chart
            .configure_mesh()
            .x_desc(self.x_label)
            .y_desc(self.y_label)
            .axis_style(GREY)
            .bold_line_style(BLACK.mix(0.12))
            .label_style((FONT, 16))
            .axis_desc_style((FONT, 17))
            .draw()?;
        for Bars { bars, ink } in &self.bars {
            let fill = ink.colour().mix(BAR).filled();
            let filled = bars.iter().filter(|(.., height)| *height > 0.0);
            chart.draw_series(filled.map(|&(from, to, height)| Rectangle::new([(from, 0.0), (to, height)], fill)))?;
        }
        for line in &self.lines {
            line.draw(&mut chart)?;
        }
        Ok(())
    }
}

impl Line {
    fn draw(&self, chart: &mut Context<'_>) -> Result<(), DrawError> {
        let points = self.points.iter().copied();
        let style = self.ink.colour().stroke_width(2);
        if self.ink.dashed() {
            chart.draw_series(DashedLineSeries::new(points, 6, 5, style))?;
        } else {
            chart.draw_series(LineSeries::new(points, style))?;
        }
        Ok(())
    }
}
