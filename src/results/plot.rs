//! Plots of series with error bars, as SVG. Text stays text, so no font is needed to draw it.

use std::io;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::ResultsError;
use crate::plot::{Axis, COLOURS, FONT, GREY};

/// Width and height of a panel, in pixels.
const SIZE: (u32, u32) = (880, 420);
/// Height that the title and one line of the legend take of it, and that of each further line.
const HEAD: u32 = 72;
const LEGEND_LINE: i32 = 24;
/// Least distance of ticks on the axis upwards, in percent.
const MIN_ERROR: f64 = 0.01;

type DrawError = DrawingAreaErrorKind<io::Error>;

/// One plot of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Heading.
    pub title: String,
    /// What runs to the right, with its unit.
    pub x_label: String,
    /// What runs upwards, with its unit.
    pub y_label: String,
    /// Places on the axis to the right that have a name, in ascending order.
    pub ticks: Vec<(f64, String)>,
    /// What is drawn.
    pub series: Vec<Series>,
    /// Whether the points of a series are joined by a line.
    pub lines: bool,
}

/// Points of one colour.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// The points, in ascending order of `x`.
    pub points: Vec<Point>,
}

/// A mean and how far it scatters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Place to the right.
    pub x: f64,
    /// The mean.
    pub y: f64,
    /// Half the length of the error bar, if it has one.
    pub sd: Option<f64>,
}

/// Draws the panels below each other, as an SVG document. The same panels are the same bytes.
///
/// # Errors
/// A panel that cannot be drawn.
pub fn svg(panels: &[Panel]) -> Result<String, ResultsError> {
    let mut text = String::new();
    {
        let (width, height) = SIZE;
        let root = SVGBackend::with_string(&mut text, (width, height * panels.len().max(1) as u32)).into_drawing_area();
        let failed = |title: &str| {
            let title = title.to_owned();
            move |error: DrawError| ResultsError::Plot { title, message: error.to_string() }
        };
        root.fill(&WHITE).map_err(failed("background"))?;
        for (panel, area) in panels.iter().zip(root.split_evenly((panels.len().max(1), 1))) {
            panel.draw(&area).map_err(failed(&panel.title))?;
        }
        root.present().map_err(failed("document"))?;
    }
    Ok(text)
}

impl Panel {
    fn draw(&self, area: &DrawingArea<SVGBackend, Shift>) -> Result<(), DrawError> {
        area.draw(&Text::new(self.title.clone(), (16, 12), (FONT, 21)))?;
        let further_lines = self.draw_legend(area)?;

        let (gap, x_axis) = self.x_axis();
        let bars = self.series.iter().flat_map(|series| &series.points).map(bar);
        let bars = bars.filter(|(low, high)| low.is_finite() && high.is_finite());
        let y_axis = Axis::round(bars.flat_map(|(low, high)| [low, high]), MIN_ERROR);
        let mut chart = ChartBuilder::on(area)
            .margin_top(HEAD as i32 + further_lines * LEGEND_LINE)
            .margin_left(8)
            .margin_right(16)
            .margin_bottom(8)
            .x_label_area_size(48)
            .y_label_area_size(64)
            .build_cartesian_2d(x_axis, y_axis)?;
        chart
            .configure_mesh()
            .x_desc(&self.x_label)
            .y_desc(&self.y_label)
            .axis_style(GREY)
            .bold_line_style(BLACK.mix(0.12))
            .label_style((FONT, 17))
            .axis_desc_style((FONT, 18))
            .draw()?;

        // Side by side, so that bars at the same place can be told apart.
        let apart = gap * if self.lines { 0.03 } else { 0.2 };
        let middle = self.series.len().saturating_sub(1) as f64 / 2.0;
        for ((place, series), colour) in self.series.iter().enumerate().zip(COLOURS.into_iter().cycle()) {
            let x = |point: &Point| point.x + apart * (place as f64 - middle);
            if self.lines {
                let line = series.points.iter().map(|point| (x(point), point.y));
                chart.draw_series(LineSeries::new(line, colour.stroke_width(2)))?;
            }
            let (with_bar, bare): (Vec<_>, Vec<_>) = series.points.iter().partition(|point| point.sd.is_some());
            chart.draw_series(bare.into_iter().map(|point| Circle::new((x(point), point.y), 4, colour.filled())))?;
            chart.draw_series(with_bar.into_iter().map(|point| {
                let (low, high) = bar(point);
                ErrorBar::new_vertical(x(point), low, point.y, high, colour.filled().stroke_width(2), 9)
            }))?;
        }
        Ok(())
    }

    /// Names the series, in as many lines as they take; returns how many lines there are after the first.
    fn draw_legend(&self, area: &DrawingArea<SVGBackend, Shift>) -> Result<i32, DrawError> {
        let (mut left, mut line) = (16, 0);
        for (series, colour) in self.series.iter().zip(COLOURS.into_iter().cycle()) {
            // Letters of a sans-serif of this size are some 8 pixels wide at most, on average.
            let width = 56 + 8 * series.name.chars().count() as i32;
            if left > 16 && left + width > SIZE.0 as i32 {
                (left, line) = (16, line + 1);
            }
            let middle = 48 + line * LEGEND_LINE;
            if self.lines {
                area.draw(&PathElement::new([(left, middle), (left + 24, middle)], colour.stroke_width(2)))?;
            }
            area.draw(&Circle::new((left + 12, middle), 4, colour.filled()))?;
            area.draw(&Text::new(series.name.clone(), (left + 32, middle - 7), (FONT, 17)))?;
            left += width;
        }
        Ok(line)
    }

    /// The axis to the right, half a gap wider than its ticks, and the smallest gap between them.
    fn x_axis(&self) -> (f64, Axis) {
        let gaps = self.ticks.windows(2).map(|pair| pair[1].0 - pair[0].0);
        let gap = gaps.reduce(f64::min).unwrap_or(1.0);
        let end = |tick: Option<&(f64, String)>| tick.map_or(0.0, |tick| tick.0);
        let (low, high) = (end(self.ticks.first()) - gap / 2.0, end(self.ticks.last()) + gap / 2.0);
        (gap, Axis::named(low, high, self.ticks.clone()))
    }
}

/// The ends of an error bar.
fn bar(point: &Point) -> (f64, f64) {
    let sd = point.sd.unwrap_or(0.0);
    (point.y - sd, point.y + sd)
}
