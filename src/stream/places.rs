//! Where the anomaly is in a picture: boxes in its own pixels, and its heat map as a picture and as numbers.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::maps::MapFolder;
use super::{Picture, StreamError};
use crate::anomaly_map::{AnomalyBox, MapScale, boxes, colour, difference};
use crate::data::{KeptPicture, Placement, Preprocessing};
use crate::run::replace_whole;

/// How the names of heat maps end: the picture under its colours, and the numbers.
const ENDINGS: [&str; 2] = [".heat.png", ".heat.npy"];

/// A part of a picture that stands out, in the picture's own pixels as it is seen upright.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct PictureBox {
    /// Column of its left border.
    pub left: u32,
    /// Row of its upper border.
    pub top: u32,
    /// Column behind its right border.
    pub right: u32,
    /// Row below its lower border.
    pub bottom: u32,
    /// The highest value of the map in it, in standard deviations of normal pictures.
    pub peak: f32,
}

/// Finds where the anomaly is, and writes heat maps if wanted.
#[derive(Clone, Debug)]
pub struct Places {
    scale: Arc<MapScale>,
    files: Option<MapFolder>,
}

/// The heat map of a picture.
pub(super) struct HeatMap {
    /// `[H, W]`, NaN where there is no picture.
    values: Vec<f32>,
    size: [usize; 2],
    placement: Placement,
    level: f32,
}

impl Places {
    /// By a model's scale.
    pub fn new(scale: &MapScale) -> Self {
        Self { scale: Arc::new(scale.clone()), files: None }
    }

    /// With files of heat maps in a folder, which is made where it is not there.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub fn in_folder(self, folder: &Path) -> Result<Self, StreamError> {
        Ok(Self { files: Some(MapFolder::new(folder)?), ..self })
    }

    /// Whether a picture must be there once its map is known.
    pub(super) fn keeps_pictures(&self) -> bool {
        self.files.is_some()
    }

    /// The map of a picture of this width and height; `bytes` are those that the network sees.
    pub(super) fn map(
        &self,
        bytes: &[u8],
        reconstruction: &[f32],
        preprocessing: &Preprocessing,
        picture: [u32; 2],
    ) -> HeatMap {
        let size = self.scale.size();
        let placement = Placement::new(preprocessing, picture);
        let difference = difference(bytes, reconstruction, size, preprocessing.side);
        let values = self.scale.map_within(&difference, placement.corner, placement.filled);
        HeatMap { values, size, placement, level: self.scale.level() }
    }

    /// Writes the two files of a picture's heat map, if they are wanted.
    pub(super) fn write(&mut self, name: &Picture, map: &HeatMap, picture: &KeptPicture) -> Result<(), StreamError> {
        let Some(files) = &mut self.files else { return Ok(()) };
        let [png, npy] = ENDINGS;
        replace_whole(&files.file(name, png)?, |out| map.write_png(picture, out))?;
        Ok(replace_whole(&files.file(name, npy)?, |out| map.write_npy(out))?)
    }
}

impl HeatMap {
    /// Boxes around what exceeds the level, the highest peak first. A border lies where that of the network's pixels does.
    pub(super) fn boxes(&self) -> Vec<PictureBox> {
        let found = boxes(&self.values, self.size, self.level);
        found
            .into_iter()
            .map(|AnomalyBox { left, top, right, bottom, peak }| {
                let least = self.placement.in_picture([left as f64, top as f64]);
                let most = self.placement.in_picture([right as f64, bottom as f64]);
                let [width, height] = self.placement.picture;
                let within = |place: f64, most: u32| place.clamp(0.0, most.into()) as u32;
                PictureBox {
                    left: within(least[0].floor(), width),
                    top: within(least[1].floor(), height),
                    right: within(most[0].ceil(), width),
                    bottom: within(most[1].ceil(), height),
                    peak,
                }
            })
            .collect()
    }

    /// The picture at its own size under the colours of the map, row by row, so that it takes no memory of its own.
    fn write_png(&self, picture: &KeptPicture, out: &mut dyn Write) -> io::Result<()> {
        let [width, height] = self.placement.picture;
        let mut encoder = png::Encoder::new(out, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::Fast);
        let mut writer = encoder.write_header()?;
        let mut stream = writer.stream_writer()?;
        let columns: Vec<Option<Between>> = (0..width).map(|x| self.between(0, x)).collect();
        let mut bytes = Vec::with_capacity(3 * width as usize);
        for (y, row) in (0..).zip(picture.rows()) {
            let rows = self.between(1, y);
            bytes.clear();
            for (pixel, column) in row.iter().zip(&columns) {
                let value = rows.zip(*column).map_or(f32::NAN, |(rows, columns)| self.value(rows, columns));
                let (colour, hidden) = colour(value, self.level);
                for (seen, colour) in pixel.iter().zip(colour) {
                    let seen = f32::from(*seen);
                    bytes.push((seen + hidden * (colour - seen)).round() as u8);
                }
            }
            stream.write_all(&bytes)?;
        }
        stream.finish()?;
        Ok(())
    }

    /// The two places of the map, along an axis, between whose middles that of a picture's pixel lies; none where the network
    /// does not see it.
    fn between(&self, axis: usize, at: u32) -> Option<Between> {
        let Placement { corner, filled, .. } = self.placement;
        let place = self.placement.in_network([f64::from(at) + 0.5; 2])[axis];
        let (first, last) = (corner[axis], corner[axis] + filled[axis] - 1);
        if !(first as f64..=(last + 1) as f64).contains(&place) {
            return None;
        }
        let place = (place - 0.5).clamp(first as f64, last as f64);
        let low = place.floor() as usize;
        Some(Between { low, high: (low + 1).min(last), share: (place - low as f64) as f32 })
    }

    fn value(&self, rows: Between, columns: Between) -> f32 {
        let along = |row: usize| {
            let [low, high] = [columns.low, columns.high].map(|column| self.values[row * self.size[1] + column]);
            low + columns.share * (high - low)
        };
        let (low, high) = (along(rows.low), along(rows.high));
        low + rows.share * (high - low)
    }

    /// The values where the picture is, as a NumPy array of float32, `[rows, columns]` of the network's pixels.
    fn write_npy(&self, out: &mut dyn Write) -> io::Result<()> {
        let Placement { corner: [left, top], filled: [columns, rows], .. } = self.placement;
        let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
        // The values begin at a multiple of 64 bytes, behind 10 bytes and a line break.
        header += &" ".repeat((64 - (10 + header.len() + 1) % 64) % 64);
        header.push('\n');
        out.write_all(b"\x93NUMPY\x01\x00")?;
        out.write_all(&(header.len() as u16).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        for row in self.values.chunks_exact(self.size[1]).skip(top).take(rows) {
            for value in &row[left..left + columns] {
                out.write_all(&value.to_le_bytes())?;
            }
        }
        Ok(())
    }
}

/// A place between two others.
#[derive(Clone, Copy)]
struct Between {
    low: usize,
    high: usize,
    share: f32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Fit, Range};

    fn map(fit: Fit, picture: [u32; 2], bright: [usize; 2]) -> HeatMap {
        let preprocessing = Preprocessing { channels: 1, height: 16, width: 16, side: 16, fit, range: Range::Full };
        let scale = MapScale::new([16, 16], vec![0.0; 256], vec![0.1; 256], vec![2.0; 20]).unwrap();
        let placement = Placement::new(&preprocessing, picture);
        let values = (0..256).map(|place| match [place % 16, place / 16] {
            at if !placement.fills(at) => f32::NAN,
            at if at == bright => 9.0,
            _ => 0.0,
        });
        HeatMap { values: values.collect(), size: [16, 16], placement, level: scale.level() }
    }

    #[test]
    fn a_box_covers_what_the_networks_pixel_shows() {
        let found = |fit, picture, bright| {
            let boxes = map(fit, picture, bright).boxes();
            assert_eq!(boxes.len(), 1);
            let PictureBox { left, top, right, bottom, peak } = boxes[0];
            assert_eq!(peak, 9.0);
            [left, top, right, bottom]
        };
        assert_eq!(found(Fit::Stretch, [160, 32], [3, 5]), [30, 10, 40, 12]);
        // 8 columns of 16, from the fifth on.
        assert_eq!(found(Fit::Pad, [80, 160], [4, 5]), [0, 50, 10, 60]);
        assert_eq!(found(Fit::Crop, [80, 160], [15, 0]), [75, 40, 80, 45]);
        assert_eq!(map(Fit::Pad, [80, 160], [0, 0]).boxes(), []);
    }

    #[test]
    fn numbers_are_those_where_the_picture_is() {
        let mut file = Vec::new();
        map(Fit::Pad, [80, 160], [4, 5]).write_npy(&mut file).unwrap();
        assert_eq!(file.len() % 64, 0);
        let values: Vec<f32> =
            file[file.len() - 4 * 128..].chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        assert!(String::from_utf8_lossy(&file[..128]).contains("'shape': (16, 8)"));
        assert!(values.iter().all(|value| value.is_finite()) && values[5 * 8] == 9.0);
    }

    #[test]
    fn between_two_pixels_values_pass_from_one_to_the_other() {
        let map = map(Fit::Stretch, [160, 160], [0, 0]);
        let at = |x: u32| map.value(map.between(1, 0).unwrap(), map.between(0, x).unwrap());
        assert_eq!([at(0), at(4), at(15)], [9.0, 9.0, 0.0]);
        assert!((at(9) - 4.95).abs() < 1e-4 && at(9) > at(10), "{} {}", at(9), at(10));
    }
}
