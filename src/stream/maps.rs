//! Maps: a picture as the network sees it, its reconstruction and their difference, side by side.

use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use sha2::{Digest, Sha256};

use super::{Picture, StreamError};
use crate::data::Preprocessing;
use crate::run::replace_whole;

/// Least longer side of a panel, in pixels.
const PANEL: usize = 128;
/// How the names of maps end.
const ENDING: &str = ".map.png";
/// The endings of all files that are written beside maps.
const ENDINGS: [&str; 3] = [ENDING, ".heat.png", ".heat.npy"];
/// Longest name that file systems take, in bytes.
const MAX_NAME: usize = 255;

/// Writes maps below a folder.
#[derive(Clone, Debug)]
pub struct Maps(MapFolder);

/// A folder that has files for each picture.
#[derive(Clone, Debug)]
pub(super) struct MapFolder {
    folder: PathBuf,
    /// The folder made last.
    made: PathBuf,
}

impl MapFolder {
    pub(super) fn new(folder: &Path) -> Result<Self, StreamError> {
        make(folder)?;
        Ok(Self { folder: folder.to_owned(), made: folder.to_owned() })
    }

    /// The file of a picture with one of the known endings, in a folder that is there.
    pub(super) fn file(&mut self, picture: &Picture, ending: &str) -> Result<PathBuf, StreamError> {
        let file = self.folder.join(file_of(picture, ending));
        if let Some(parent) = file.parent().filter(|parent| **parent != self.made) {
            make(parent)?;
            self.made = parent.to_owned();
        }
        Ok(file)
    }
}

impl Maps {
    /// Makes the folder, where it is not there.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub fn new(folder: &Path) -> Result<Self, StreamError> {
        MapFolder::new(folder).map(Self)
    }

    /// Writes the map of a picture, in place of one that is there.
    ///
    /// `bytes` are those of [`Preprocessing::pixels`], `reconstruction` the network's `[C, side, side]` in -1..1. Panels
    /// are scaled by the least whole number that gives them 128 pixels; the difference is `|picture - reconstruction|`
    /// in the same 256 steps.
    pub(super) fn write(
        &mut self,
        picture: &Picture,
        bytes: &[u8],
        reconstruction: &[f32],
        preprocessing: &Preprocessing,
    ) -> Result<(), StreamError> {
        let file = self.0.file(picture, ENDING)?;
        let panels = Panels::new(bytes, reconstruction, preprocessing);
        Ok(replace_whole(&file, |out| panels.write(out))?)
    }
}

fn make(folder: &Path) -> Result<(), StreamError> {
    fs::create_dir_all(folder).map_err(|source| StreamError::Folder { path: folder.to_owned(), source })
}

/// Where a picture's map lies below the folder of maps: the picture's own path, with `.map.png` behind it. Two pictures
/// have two maps, none of which lies outside: `..`, `/` at the front and odd characters are written as `%2E%2E`, `%2F`. A
/// name that becomes too long keeps its beginning, and a digest behind `%` stands for the rest.
pub fn map_file(picture: &Picture) -> PathBuf {
    file_of(picture, ENDING)
}

/// [`map_file`] with another ending.
fn file_of(picture: &Picture, ending: &str) -> PathBuf {
    let mut components: Vec<String> = picture.file.components().filter_map(component).collect();
    let mut name = components.pop().unwrap_or_default();
    // A folder's name is never that of a map.
    for folder in &mut components {
        if let Some(ending) = ENDINGS.into_iter().find(|ending| folder.ends_with(ending)) {
            *folder = format!("{}%2E{}", &folder[..folder.len() - ending.len()], &ending[1..]);
        }
    }
    if let Some(array) = &picture.array {
        name += &format!("#{}", escaped(array.as_bytes()));
    }
    if let Some(index) = picture.index {
        name += &format!("#{index}");
    }
    let folders = components.into_iter().map(|folder| fitting(folder, ""));
    folders.collect::<PathBuf>().join(fitting(name, ending))
}

/// A name with its ending, no longer than file systems take. No other name has two `%` in a row.
fn fitting(name: String, ending: &str) -> String {
    if name.len() + ending.len() <= MAX_NAME {
        return name + ending;
    }
    let digest: String = Sha256::digest(&name).iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let rest = format!("%%{digest}{ending}");
    let end = (0..=MAX_NAME - rest.len()).rev().find(|&end| name.is_char_boundary(end)).unwrap_or_default();
    name[..end].to_owned() + &rest
}

fn component(component: Component) -> Option<String> {
    match component {
        Component::CurDir => None,
        Component::ParentDir => Some("%2E%2E".into()),
        Component::RootDir => Some("%2F".into()),
        Component::Prefix(prefix) => Some(escaped(prefix.as_os_str().as_encoded_bytes())),
        Component::Normal(name) => Some(escaped(name.as_encoded_bytes())),
    }
}

/// A name that tells whatever other names do, in characters that every file system takes.
fn escaped(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_ascii_control() || "%#\\/:*?\"<>|".contains(character) {
                text += &format!("%{:02X}", u32::from(character));
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    text
}

/// The three panels in one picture.
struct Panels {
    colour: ExtendedColorType,
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Panels {
    fn new(bytes: &[u8], reconstruction: &[f32], preprocessing: &Preprocessing) -> Self {
        let Preprocessing { channels, height, width, side, .. } = *preprocessing;
        let (top, left) = ((side - height) / 2, (side - width) / 2);
        let scale = PANEL.div_ceil(height.max(width));
        let row = 3 * width * scale * channels;
        let mut pixels = vec![0; height * scale * row];
        for y in 0..height {
            let start = y * scale * row;
            for (x, channel) in (0..width).flat_map(|x| (0..channels).map(move |channel| (x, channel))) {
                let seen = bytes[(channel * height + y) * width + x];
                let value = reconstruction[(channel * side + top + y) * side + left + x];
                let made = ((value + 1.0) * 127.5).round() as u8;
                for (panel, value) in [seen, made, seen.abs_diff(made)].into_iter().enumerate() {
                    let first = (panel * width + x) * scale;
                    (first..first + scale).for_each(|pixel| pixels[start + pixel * channels + channel] = value);
                }
            }
            (1..scale).for_each(|copy| pixels.copy_within(start..start + row, start + copy * row));
        }
        let colour = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        Self { colour, width: 3 * width * scale, height: height * scale, pixels }
    }

    /// As a PNG file.
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        PngEncoder::new_with_quality(out, CompressionType::Fast, FilterType::Adaptive)
            .write_image(&self.pixels, self.width as u32, self.height as u32, self.colour)
            .map_err(io::Error::other)
    }
}
